//! Parametrisations of networks on noise paths, and their conversions.

use maxlik_model::{Batch, Objective, VectorField};
use maxlik_objectives::transport::{AsVelocity, Interpolant, Prediction, PredictionMatching};
use maxlik_tensor::Result;
use maxlik_testkit::{Support, distance, normal};
use proptest::prelude::*;
use tch::Tensor;

const INTERPOLANTS: [Interpolant; 3] = [
    Interpolant::Linear {},
    Interpolant::Trigonometric {},
    Interpolant::Diffusion { beta_min: 0.1, beta_max: 20.0 },
];
const PREDICTIONS: [Prediction; 5] = [
    Prediction::Velocity,
    Prediction::Data,
    Prediction::Noise,
    Prediction::Rotation,
    Prediction::Score,
];

/// A network that says the same whatever it sees.
#[derive(Debug)]
struct Says(Tensor);

impl VectorField for Says {
    fn velocity(&self, _t: &Tensor, _x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok(self.0.shallow_clone())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Slopes are derivatives; any prediction turns into any other and back; and squared errors
    /// change by the weight.
    #[test]
    fn predictions_turn_into_each_other(seed in 0_u64..1 << 40) {
        let (data, noise) = (normal(seed, &[5, 2, 2]), normal(seed + 1, &[5, 2, 2]));
        let wrong = normal(seed + 2, &[5, 2, 2]) * 0.1;
        let t = Support::Interval(0.1, 0.9).draw(seed + 3, 5, &[]);
        let h = 1e-6;
        let column = |t: &Tensor| t.view([5, 1, 1]);
        for path in INTERPOLANTS {
            let level = path.level(&t).unwrap();
            let (after, before) = (path.level(&(&t + h)).unwrap(), path.level(&(&t - h)).unwrap());
            prop_assert!(distance(&((after.alpha - before.alpha) / (2.0 * h)), &level.alpha_rate) < 1e-6);
            prop_assert!(distance(&((after.sigma - before.sigma) / (2.0 * h)), &level.sigma_rate) < 1e-6);
            let x = &data * column(&level.alpha) + &noise * column(&level.sigma);
            for from in PREDICTIONS {
                let exact = from.target(&level, &data, &noise).unwrap();
                for to in PREDICTIONS {
                    let wanted = to.target(&level, &data, &noise).unwrap();
                    let found = from.convert(to, &exact, &level, &x).unwrap();
                    let scale = 1.0 + distance(&wanted, &wanted.zeros_like());
                    prop_assert!(distance(&found, &wanted) < 1e-7 * scale, "{path:?} {from:?} {to:?}");
                    let off = from.convert(to, &(&exact + &wrong), &level, &x).unwrap() - &found;
                    let weight = column(&from.weight(to, &level).unwrap());
                    let ratio = off.square() / wrong.square();
                    let relative = (ratio / weight - 1.0).abs().max().double_value(&[]);
                    prop_assert!(relative < 1e-4, "{path:?} {from:?} {to:?}: {relative}");
                }
            }
        }
    }

    /// Measured as a velocity, any network's loss is that of the velocity it stands for.
    #[test]
    fn losses_agree_across_predictions(seed in 0_u64..1 << 40) {
        let (data, noise) = (normal(seed, &[6, 3]), normal(seed + 1, &[6, 3]));
        let t = Support::Interval(0.1, 0.9).draw(seed + 2, 6, &[]);
        let batch = Batch::new(data.shallow_clone());
        for interpolant in INTERPOLANTS {
            let level = interpolant.level(&t).unwrap();
            let x = &data * level.alpha.view([6, 1]) + &noise * level.sigma.view([6, 1]);
            for prediction in PREDICTIONS {
                let said = normal(seed + 3, &[6, 3]);
                let matching = PredictionMatching { interpolant, prediction, measured_as: Prediction::Velocity, margin: 0.0 };
                let found = matching.loss_at(&Says(said.shallow_clone()), &batch, &t, &noise).unwrap();
                let field = AsVelocity { interpolant, prediction, margin: 1e-3, network: Says(said) };
                let gap = field.velocity(&t, &x, None).unwrap() - Prediction::Velocity.target(&level, &data, &noise).unwrap();
                let wanted = gap.square().sum_dim_intlist([1_i64].as_slice(), false, None::<tch::Kind>);
                let relative = distance(&(&found / &wanted), &wanted.ones_like());
                prop_assert!(relative < 1e-7, "{interpolant:?} {prediction:?}: {relative}");
            }
        }
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    let matching = PredictionMatching {
        interpolant: Interpolant::Linear {},
        prediction: Prediction::Data,
        measured_as: Prediction::Velocity,
        margin: 1e-3,
    };
    let batch = Batch::new(normal(1, &[8, 2]));
    let model = Says(normal(2, &[8, 2]));
    let loss = matching.loss(&model as &dyn VectorField, &batch).unwrap().value;
    assert!(loss.double_value(&[]) > 0.0);
    let margin = PredictionMatching { margin: 0.5, ..matching };
    assert!(margin.loss(&model as &dyn VectorField, &batch).is_err());
    let falling = Interpolant::Diffusion { beta_min: 2.0, beta_max: 1.0 };
    assert!(falling.check().is_err());
    let empty = Batch::new(normal(1, &[0, 2]));
    assert!(matching.loss(&model as &dyn VectorField, &empty).is_err());
}
