//! The checker of densities.

use crate::{distance, finite, normal};
use maxlik_model::Density;
use tch::{Kind, Tensor, kind::DOUBLE_CPU};

/// Checks shapes, batches of zero and one, reproducible samples whose log-probabilities are finite,
/// and, where the density has differentiable samples, that their log-probability is that of
/// [`Density::log_prob`].
#[track_caller]
pub fn check_density(name: &str, density: &dyn Density) {
    let context = |batch: i64| {
        density.context_shape().map(|event| {
            let mut shape = vec![batch];
            shape.extend_from_slice(event);
            normal(31, &shape)
        })
    };
    for batch in [0, 1, 7] {
        let given = context(batch);
        let draw = |seed| {
            maxlik_tensor::with_seed(seed, || density.sample(batch, given.as_ref()).unwrap())
        };
        let x = draw(32);
        let mut shape = vec![batch];
        shape.extend_from_slice(density.event_shape());
        assert_eq!(x.size(), shape, "{name}: shape of samples");
        assert!(!x.requires_grad(), "{name}: samples carry a graph");
        assert_eq!(distance(&x, &draw(32)), 0.0, "{name}: samples of one seed differ");
        let log_prob = density.log_prob(&x, given.as_ref()).unwrap();
        assert_eq!(log_prob.size(), [batch], "{name}: shape of the log-probability");
        assert!(finite(&log_prob), "{name}: a sample has no finite log-probability");
    }
    let given = context(5);
    if let Ok(sampled) =
        maxlik_tensor::with_seed(33, || density.rsample_and_log_prob(5, given.as_ref()))
    {
        let again = density.log_prob(&sampled.value.detach(), given.as_ref()).unwrap();
        let off = distance(&again, &sampled.log_prob);
        assert!(off < 1e-8, "{name}: log-probability of a differentiable sample is off by {off:e}");
    }
    assert!(
        density.sample(-1, context(0).as_ref()).is_err(),
        "{name}: a negative count is not refused"
    );
    let mut wrong = density.event_shape().to_vec();
    wrong.insert(0, 3);
    wrong.push(2);
    let outcome = density.log_prob(&Tensor::zeros(&wrong, DOUBLE_CPU), context(3).as_ref());
    assert!(outcome.is_err(), "{name}: a wrong shape is not refused");
}

/// What an integral goes over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Region {
    /// The whole plane, up to 500 in each direction, with nodes that are dense near zero.
    Plane,
    /// The box `[low, high]²`.
    Box(f64, f64),
}

/// `∫ p(x) dx` of a 2-D density by the midpoint rule with `points²` nodes; `context` is one row, or
/// none. The plane is covered by `x = sinh t`.
#[must_use]
pub fn integral(
    density: &dyn Density,
    region: Region,
    points: i64,
    context: Option<&Tensor>,
) -> f64 {
    assert_eq!(density.event_shape(), [2], "the quadrature is two-dimensional");
    let (low, high) = match region {
        Region::Plane => (-500.0_f64.asinh(), 500.0_f64.asinh()),
        Region::Box(low, high) => (low, high),
    };
    let step = (high - low) / points as f64;
    let t = Tensor::arange(points, DOUBLE_CPU) * step + (low + 0.5 * step);
    let (axis, weight) = match region {
        Region::Plane => (t.sinh(), t.cosh() * step),
        Region::Box(..) => (t.shallow_clone(), t.ones_like() * step),
    };
    let grid = Tensor::cartesian_prod(&[&axis, &axis]);
    let weights = weight.outer(&weight).reshape([-1]);
    let _no_grad = tch::no_grad_guard();
    let mass = |(x, w): (&Tensor, &Tensor)| {
        let context = context.map(|c| c.expand([x.size()[0], c.size()[1]], false));
        let log_prob = density.log_prob(x, context.as_ref()).unwrap();
        (log_prob.to_kind(Kind::Double).exp() * w).sum(Kind::Double).double_value(&[])
    };
    let (grids, weights) = (grid.split(1 << 15, 0), weights.split(1 << 15, 0));
    grids.iter().zip(&weights).map(mass).sum()
}
