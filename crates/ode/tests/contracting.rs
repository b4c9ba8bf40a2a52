//! Residual fields, and those that contract.

use crate::{distance, normal, vector};
use maxlik_model::VectorField;
use maxlik_nn::{Activation, Init, Mlp, MlpConfig, Network, Params, Scope};
use maxlik_ode::{
    ContractingField, ContractingFieldConfig, ResidualField, Solver, Velocity, tableau,
};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{Graph, jacobian};
use proptest::prelude::{ProptestConfig, proptest};
use tch::{Device, Kind, Tensor};

/// A perceptron on `[x, t]`.
#[derive(Debug)]
struct Net(Mlp);

impl Net {
    fn new(scope: &Scope<'_>, last: Init) -> Self {
        let config = MlpConfig { hidden: vec![8], activation: Activation::Tanh, dropout: 0.0 };
        Self(Mlp::with_output(scope, 3, 0, 2, &config, last).unwrap())
    }
}

impl VectorField for Net {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.0.forward(&Tensor::f_cat(&[x, &t.f_view([-1, 1])?], 1)?, context)
    }
}

fn end(field: &dyn VectorField, start: &Tensor, times: [f64; 2]) -> Tensor {
    let solver = Solver::fixed(tableau::RK4, 100).unwrap();
    let field = Velocity { field, context: None };
    solver.solve(&field, start, &vector(&times)).unwrap().final_states()
}

/// A field with all parameters drawn anew, as large as `scale`.
fn contracting(seed: u64, dims: i64, rate: f64, scale: f64) -> ContractingField {
    let params = Params::new(seed, Kind::Double, Device::Cpu);
    let config = ContractingFieldConfig { units: 7, rate, limit: rate + 3.0, shift: vec![5] };
    let field = ContractingField::new(&params.root(), dims, 0, &config).unwrap();
    let _no_grad = tch::no_grad_guard();
    for (i, (_, mut tensor)) in params.trainable().into_iter().enumerate() {
        tensor.copy_(&(normal(seed + i as u64, &tensor.size()) * scale));
    }
    field
}

/// A residual that is zero changes no bit of a solution.
#[test]
fn a_zero_residual_changes_nothing() {
    let params = Params::new(1, Kind::Double, Device::Cpu);
    let uniform = Init::Uniform(1.0);
    let plain = Net::new(&params.root().sub("plain"), uniform);
    let start = normal(1, &[5, 2]);
    let wanted = end(&plain, &start, [0.0, 1.0]);
    let residual = Net::new(&params.root().sub("residual"), Init::Constant(0.0));
    let sum = ResidualField { field: plain, residual };
    assert!(end(&sum, &start, [0.0, 1.0]).equal(&wanted));
    let other = Net::new(&params.root().sub("other"), uniform);
    let sum = ResidualField { field: sum.field, residual: other };
    assert!(distance(&end(&sum, &start, [0.0, 1.0]), &wanted) > 1e-3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The Jacobian is symmetric between `−L I` and `−c I`, and solutions approach each other at least
    /// as fast as `e^{−ct}`, for any parameters; so do Euler steps.
    #[test]
    fn contracting_fields_contract(
        seed in 0_u64..1000,
        dims in 1_i64..5,
        rate in 0.0_f64..2.0,
        scale in 0.1_f64..1.5,
    ) {
        let field = contracting(seed, dims, rate, scale);
        let x = normal(seed + 50, &[6, dims]) * 2.0;
        let t = normal(seed + 51, &[6]);
        let slopes = jacobian(&|x| field.velocity(&t, x, None), &x, Graph::Free).unwrap();
        assert!(distance(&slopes, &slopes.transpose(1, 2)) < 1e-10);
        let largest = slopes.linalg_eigvalsh("L").max().double_value(&[]);
        assert!(largest <= -rate + 1e-9, "{largest} at rate {rate}");
        let least = slopes.linalg_eigvalsh("L").min().double_value(&[]);
        assert!(least >= -rate - 3.0 - 1e-9, "{least} at rate {rate}");
        let y = normal(seed + 52, &[6, dims]);
        let length = |x: Tensor| x.square().sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>).sqrt();
        let before = length(&x - &y);
        let after = length(end(&field, &x, [0.2, 0.9]) - end(&field, &y, [0.2, 0.9]));
        let slack = (after / &before).max().double_value(&[]) / (-0.7 * rate).exp();
        assert!(slack < 1.0 + 1e-5, "{slack}");
        // One Euler step of the longest size allowed.
        let step = 1.0 / (rate + 3.0);
        let move_on = |x: &Tensor| x + field.velocity(&t, x, None).unwrap() * step;
        let ratio = (length(move_on(&x) - move_on(&y)) / &before).max().double_value(&[]);
        assert!(ratio <= 1.0 - step * rate + 1e-9, "{ratio}");
    }
}

/// It starts as `−c x` and a small contraction; numbers and shapes out of range are refused.
#[test]
fn it_starts_near_the_pull() {
    let params = Params::new(2, Kind::Double, Device::Cpu);
    let config = ContractingFieldConfig::default();
    let field = ContractingField::new(&params.root(), 2, 0, &config).unwrap();
    assert!((field.rate() - 0.1).abs() < 1e-15);
    let (x, t) = (normal(3, &[4, 2]), normal(4, &[4]));
    let found = field.velocity(&t, &x, None).unwrap();
    let off = distance(&found, &(&x * -0.1));
    assert!(off > 0.0 && off < 1.0, "{off}");
    assert!(field.velocity(&t.narrow(0, 0, 3), &x, None).is_err());
    for wrong in [
        ContractingFieldConfig { units: 0, ..config.clone() },
        ContractingFieldConfig { rate: -0.1, ..config.clone() },
        ContractingFieldConfig { limit: 0.1, rate: 0.1, ..config },
    ] {
        assert!(ContractingField::new(&params.root().sub("wrong"), 2, 0, &wrong).is_err());
    }
}
