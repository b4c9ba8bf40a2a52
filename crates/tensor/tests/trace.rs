use super::{distance, normal};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{self, Graph, gradient, leaf};
use maxlik_tensor::trace::{Probe, Sweep, exact, hutch_plus_plus, hutchinson, jacobian};
use proptest::prelude::*;
use tch::{Kind, Tensor, kind::DOUBLE_CPU};

const DIMS: i64 = 4;

/// A field on `[2, 2]` whose rows do not interact.
fn field(x: &Tensor) -> Result<Tensor> {
    let flat = x.f_reshape([-1, DIMS])?;
    Ok((flat.f_matmul(&normal(99, &[DIMS, DIMS]))?.f_tanh()? + flat.f_sin()?).f_view_as(x)?)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn all_sweeps_agree(seed in 0_u64..1 << 40, batch in 0_i64..4, chunk in 1_usize..7) {
        let x = leaf(&normal(seed, &[batch, 2, 2])).unwrap();
        let full = autograd::jacobian(&field, &x, Graph::Differentiable).unwrap();
        let wanted = full.diagonal(0, -2, -1).sum_dim_intlist([-1_i64].as_slice(), false, None);
        let some = jacobian(&field, &x, Sweep::Chunks(chunk), Graph::Differentiable).unwrap();
        prop_assert!(distance(&some, &full) < 1e-12);
        let slope = |y: &Tensor| gradient(&y.sum(Kind::Double), None, &x, Graph::Keep).unwrap();
        for sweep in [Sweep::Loop, Sweep::Chunks(chunk)] {
            let trace = exact(&field, &x, sweep, Graph::Differentiable).unwrap();
            prop_assert!(distance(&trace, &wanted) < 1e-12);
            prop_assert!(distance(&slope(&trace), &slope(&wanted)) < 1e-11);
            let plain = exact(&field, &x, sweep, Graph::Free).unwrap();
            prop_assert!(!plain.requires_grad() && distance(&plain, &wanted) < 1e-12);
        }
    }

    /// Over the probes `√D eᵢ` Hutchinson's mean is the trace; with as many sketches as dimensions
    /// Hutch++ is, whatever the probes.
    #[test]
    fn estimators_are_exact_where_they_should_be(seed in 0_u64..1 << 40, batch in 1_i64..4) {
        let x = leaf(&normal(seed, &[batch, 2, 2])).unwrap();
        let value = field(&x).unwrap();
        let wanted = exact(&field, &x, Sweep::Loop, Graph::Differentiable).unwrap();
        let basis = Tensor::eye(DIMS, DOUBLE_CPU) * (DIMS as f64).sqrt();
        let basis = basis.reshape([DIMS, 1, 2, 2]).expand([DIMS, batch, 2, 2], false);
        let slope = |y: &Tensor| gradient(&y.sum(Kind::Double), None, &x, Graph::Keep).unwrap();
        let mean = hutchinson(&value, &x, &basis, Graph::Differentiable).unwrap();
        prop_assert!(distance(&mean, &wanted) < 1e-11);
        prop_assert!(distance(&slope(&mean), &slope(&wanted)) < 1e-10);
        let sketch = normal(seed + 1, &[DIMS, batch, 2, 2]);
        let probes = normal(seed + 2, &[2, batch, 2, 2]);
        let trace = hutch_plus_plus(&value, &x, &sketch, &probes, Graph::Differentiable).unwrap();
        prop_assert!(distance(&trace, &wanted) < 1e-10);
        prop_assert!(distance(&slope(&trace), &slope(&wanted)) < 1e-9);
    }
}

/// Rows of one point, each with its own probes: the mean is within five standard errors of the
/// trace, and Hutch++ varies less than Hutchinson's estimator at the same cost.
#[test]
fn estimators_are_unbiased() {
    let rows = 4000;
    let x = leaf(&normal(5, &[1, 2, 2]).repeat([rows, 1, 1])).unwrap();
    let value = field(&x).unwrap();
    let wanted = exact(&field, &x.narrow(0, 0, 1), Sweep::Loop, Graph::Free).unwrap();
    let judge = |estimate: Tensor| {
        let (mean, std) = (estimate.mean(Kind::Double), estimate.std(true).double_value(&[]));
        let off = (mean.double_value(&[]) - wanted.double_value(&[0])).abs();
        assert!(off < 5.0 * std / (rows as f64).sqrt(), "{off} {std}");
        std
    };
    for probe in [Probe::Rademacher, Probe::Gaussian] {
        let draw =
            |seed, count| maxlik_tensor::with_seed(seed, || probe.draw_each(&x, count)).unwrap();
        let single = maxlik_tensor::with_seed(1, || probe.draw(&x)).unwrap();
        judge(hutchinson(&value, &x, &single, Graph::Keep).unwrap());
        let plain = judge(hutchinson(&value, &x, &draw(2, 6), Graph::Keep).unwrap());
        let better = hutch_plus_plus(&value, &x, &draw(3, 2), &draw(4, 2), Graph::Keep).unwrap();
        assert!(judge(better) < plain, "{probe:?}");
    }
    let signs = maxlik_tensor::with_seed(9, || Probe::Rademacher.draw(&x)).unwrap();
    assert_eq!(distance(&signs.abs(), &signs.ones_like()), 0.0);
}

#[test]
fn what_does_not_fit_is_refused() {
    let x = leaf(&normal(5, &[3, 2, 2])).unwrap();
    let value = field(&x).unwrap();
    let message = |outcome: Result<Tensor>| outcome.unwrap_err().to_string();
    let short = normal(1, &[2, 2, 2]);
    assert!(message(hutchinson(&value, &x, &short, Graph::Keep)).starts_with("probes: expected"));
    let many = normal(1, &[5, 3, 2, 2]);
    assert!(message(hutch_plus_plus(&value, &x, &many, &x, Graph::Keep)).contains("at most 4"));
    assert!(message(exact(&field, &x, Sweep::Chunks(0), Graph::Free)).starts_with("chunks"));
    let flat = |x: &Tensor| Ok(x.f_reshape([-1, DIMS])?);
    assert!(message(exact(&flat, &x, Sweep::Loop, Graph::Free)).starts_with("f(x): expected"));
}
