//! Scores carried along a flow: against the gradient of its own log-density, closed forms, and each
//! other's ways.

use crate::flows::Net;
use crate::{distance, normal, vector};
use maxlik_model::{PathDensity, PropagateScore, Propagated, VectorField};
use maxlik_nn::{Activation, Params};
use maxlik_ode::{
    Adaptive, Autograd, Cnf, Draws, Drift, Gaussian, Gradient, MlpField, MlpFieldConfig, Noise,
    Solver, Trace, tableau,
};
use maxlik_tensor::autograd::{Graph, grad, gradient, leaf};
use maxlik_tensor::{Result, with_seed};
use proptest::prelude::{ProptestConfig, any, proptest};
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

fn store() -> Params {
    Params::new(3, Kind::Double, Device::Cpu)
}

fn base(d: i64) -> Gaussian {
    Gaussian::new(&[d], 0.8, Kind::Double, Device::Cpu).unwrap()
}

fn tight() -> Solver {
    Solver::adaptive(tableau::DOPRI5, Adaptive::new(1e-10, 1e-10)).unwrap()
}

/// `∇ ln p` of a density at `x`.
fn score_of(log_prob: &dyn Fn(&Tensor) -> Tensor, x: &Tensor) -> Tensor {
    let x = leaf(x).unwrap();
    gradient(&log_prob(&x).sum(Kind::Double), None, &x, Graph::Free).unwrap().detach()
}

/// Base to data: the carried score is the gradient of the flow's own log-density at the sample, with
/// the same probes. Data to base: that of the pulled-back density of `N(0, I)`. Both undo each other.
#[track_caller]
fn check(cnf: &Cnf, d: i64, context: Option<&Tensor>, tolerance: f64) {
    let z = normal(7, &[6, d]);
    let base_score = score_of(&|z| cnf.base().log_prob(z, None).unwrap(), &z);
    let there = with_seed(4, || cnf.unmap_score(&z, &base_score, context)).unwrap();
    let x = there.mapped.value.detach();
    let draws = with_seed(4, || cnf.draws(&x, context)).unwrap();
    let fixed = Draws { base_time: None, ..draws };
    let log_prob = |x: &Tensor| cnf.evaluate(x, context, &fixed).unwrap().log_prob;
    let gap = distance(&there.score, &score_of(&log_prob, &x));
    assert!(gap < tolerance, "score at the sample: {gap:e}");
    let carried = cnf.base().log_prob(&z, None).unwrap() - &there.mapped.log_det;
    let gap = distance(&carried, &log_prob(&x));
    assert!(gap < tolerance, "log-density at the sample: {gap:e}");
    assert!(!there.score.requires_grad() && there.mapped.value.requires_grad());

    let again = with_seed(4, || cnf.map_score(&x, &there.score, context)).unwrap();
    assert!(distance(&again.mapped.value, &z) < tolerance, "point, back");
    let gap = distance(&again.score, &base_score);
    assert!(gap < tolerance, "score, back: {gap:e}");

    let pulled = with_seed(4, || cnf.map_score(&x, &-&x, context)).unwrap();
    let normal_pulled = |z: &Tensor| {
        let back = with_seed(4, || cnf.transform().unmap(z, context)).unwrap();
        let square = back.value.square().sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>);
        square * -0.5 + back.log_det
    };
    let gap = distance(&pulled.score, &score_of(&normal_pulled, &pulled.mapped.value));
    assert!(gap < tolerance, "pulled-back score: {gap:e}");
}

#[test]
fn scores_are_gradients_of_the_log_density() {
    let probes = |probes, noise| Trace::Hutchinson { probes, noise };
    for trace in [Trace::Exact, probes(2, Noise::Rademacher), probes(1, Noise::Gaussian)] {
        let field = Net::new(&store(), 3, 0, 2.0);
        check(&Cnf::new(field, base(3), tight()).trace(trace).unwrap(), 3, None, 1e-6);
    }
    // With a context, backward times, and one step for the batch.
    let context = normal(8, &[6, 2]);
    let joint = Adaptive::new(1e-10, 1e-10).joint();
    let solver = Solver::adaptive(tableau::DOPRI5, joint).unwrap();
    let cnf = Cnf::new(Net::new(&store(), 2, 2, 2.0), base(2), solver);
    check(&cnf.context(&[2]).times(1.5, 0.2), 2, Some(&context), 1e-6);
    // By the closed form, which stands beside the kernels.
    let config = MlpFieldConfig { hidden: vec![7, 9], activation: Activation::Tanh };
    let field = MlpField::new(&store().root(), 2, 0, &config).unwrap();
    check(&Cnf::with_drift(field, base(2), tight()), 2, None, 1e-6);
    let fixed = Solver::fixed(tableau::DOP853, 12).unwrap();
    check(&Cnf::new(Net::new(&store(), 2, 0, 2.0), base(2), fixed), 2, None, 1e-8);
}

/// The error of the score falls with the order of the method.
#[test]
fn scores_converge_with_the_order_of_the_method() {
    let flow = |solver| Cnf::new(Net::new(&store(), 2, 0, 3.0), base(2), solver);
    let z = normal(1, &[8, 2]);
    let carry = |steps| -> Propagated {
        let solver = Solver::fixed(tableau::RK4, steps).unwrap();
        flow(solver).unmap_score(&z, &(&z / -0.64), None).unwrap()
    };
    let exact = flow(tight()).unmap_score(&z, &(&z / -0.64), None).unwrap();
    let steps = [8_usize, 16, 32];
    let errors = steps.map(|n| distance(&carry(n).score, &exact.score));
    let order = crate::slope(&steps, &errors);
    assert!((order - 4.0).abs() < 0.4, "order {order}: {errors:?}");
}

/// `v = A x + b` from `N(0, s² I)`: the score is `−Σ⁻¹ (x − m)` with `x = e^A z + c`, `Σ = s² e^A e^{Aᵀ}`.
#[test]
fn linear_fields_have_the_scores_of_normals() {
    #[derive(Debug)]
    struct Affine(Tensor, Tensor);
    impl VectorField for Affine {
        fn velocity(&self, _t: &Tensor, x: &Tensor, _c: Option<&Tensor>) -> Result<Tensor> {
            Ok(x.f_linear(&self.0, Some(&self.1))?)
        }
    }
    let a = vector(&[0.5, -1.0, 0.3, 0.2]).view([2, 2]);
    let cnf = Cnf::new(Affine(a.shallow_clone(), vector(&[0.4, -0.3])), base(2), tight());
    let z = normal(2, &[5, 2]);
    let found = cnf.unmap_score(&z, &(&z / -0.64), None).unwrap();
    // Σ⁻¹ (x − m) = e^{−Aᵀ} z / s².
    let exact = (&z / -0.64).matmul(&(-a).linalg_matrix_exp());
    assert!(distance(&found.score, &exact) < 1e-8);
    assert!(distance(&found.mapped.log_det, &(Tensor::ones([5], DOUBLE_CPU) * 0.7)) < 1e-8);
}

/// A path gradient, `mean ⟨δ, ∂x/∂θ⟩`, by each way of the solver.
fn pulled(gradient: Option<Gradient>) -> Vec<Tensor> {
    let params = store();
    let field = Net::new(&params, 2, 0, 2.0);
    let leaves: Vec<Tensor> = params.trainable().into_iter().map(|(_, t)| t).collect();
    let mut cnf = Cnf::new(field, base(2), tight());
    if let Some(gradient) = gradient {
        cnf = cnf.gradient(gradient, &leaves);
    }
    let z = normal(3, &[5, 2]);
    let there = cnf.unmap_score(&z, &(&z / -0.64), None).unwrap();
    let surrogate = (&there.score * &there.mapped.value).sum(Kind::Double);
    let leaves: Vec<&Tensor> = leaves.iter().collect();
    let found = grad(&[&surrogate], &[None], &leaves, Graph::Free).unwrap();
    found.into_iter().map(Option::unwrap).collect()
}

#[test]
fn all_gradient_modes_pull_alike() {
    let recorded = pulled(None);
    for mode in [
        Gradient::Checkpointed { snapshots: 4 },
        Gradient::Adjoint { solver: None, seminorm: false },
        Gradient::Interpolated { solver: None },
        Gradient::Reversible { coupling: 0.99 },
    ] {
        let name = format!("{mode:?}");
        for (a, b) in pulled(Some(mode)).iter().zip(&recorded) {
            let gap = distance(a, b) / (1.0 + b.abs().max().double_value(&[]));
            assert!(gap < 1e-5, "{name}: {gap:e}");
        }
    }
}

/// The graph of the point is that of the sample map alone, and nothing is recorded without need.
#[test]
fn points_keep_the_graph_of_the_sample_map() {
    let params = store();
    let cnf = Cnf::new(Net::new(&params, 2, 0, 2.0), base(2), tight());
    let z = leaf(&normal(5, &[4, 2])).unwrap();
    let named = params.trainable();
    let inputs: Vec<&Tensor> = std::iter::once(&z).chain(named.iter().map(|(_, t)| t)).collect();
    let by = |x: &Tensor| {
        let found = grad(&[&x.sin().sum(Kind::Double)], &[None], &inputs, Graph::Free).unwrap();
        found.into_iter().map(Option::unwrap).collect::<Vec<_>>()
    };
    let carried = by(&cnf.unmap_score(&z, &z, None).unwrap().mapped.value);
    let plain = by(&cnf.to_data(&z, None).unwrap());
    for (a, b) in carried.iter().zip(&plain) {
        assert!(distance(a, b) < 1e-6);
    }
    let _no_grad = tch::no_grad_guard();
    let quiet = cnf.unmap_score(&z, &z, None).unwrap();
    assert!(!quiet.mapped.value.requires_grad());
    assert!(distance(&quiet.mapped.value, &cnf.to_data(&z, None).unwrap()) < 1e-8);
}

/// The kernels solve from base to data as they do from data to base.
#[test]
fn kernels_go_both_ways() {
    let config = MlpFieldConfig { hidden: vec![7, 9], activation: Activation::Tanh };
    let field = MlpField::new(&store().root(), 2, 0, &config).unwrap();
    let plain = Cnf::new(field.share(), base(2), tight());
    let fused = Cnf::with_drift(field, base(2), tight());
    let z = normal(6, &[9, 2]);
    let (a, b) = (fused.transform().unmap(&z, None), plain.transform().unmap(&z, None));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(distance(&a.value, &b.value) < 1e-9 && distance(&a.log_det, &b.log_det) < 1e-9);
    let back = fused.transform().map(&a.value, None).unwrap();
    assert!(distance(&back.value, &z) < 1e-7);
    assert!(distance(&(back.log_det + a.log_det), &Tensor::zeros([9], DOUBLE_CPU)) < 1e-7);
}

#[test]
fn wrong_scores_are_refused() {
    let cnf = Cnf::new(Net::new(&store(), 2, 0, 2.0), base(2), tight());
    let z = normal(1, &[3, 2]);
    let refused = cnf.unmap_score(&z, &normal(2, &[3, 1]), None).unwrap_err().to_string();
    assert!(refused.contains("score"), "{refused}");
    let empty = Tensor::zeros([0, 2], DOUBLE_CPU);
    assert_eq!(cnf.unmap_score(&empty, &empty, None).unwrap().score.size(), [0, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The closed form of two hidden layers is what autograd finds.
    #[test]
    fn closed_forms_are_those_of_autograd(
        seed in 0_u64..1 << 40,
        d in 1_i64..6,
        first in 1_i64..9,
        second in 1_i64..9,
        rows in 0_i64..5,
        conditional in any::<bool>(),
    ) {
        let params = Params::new(seed, Kind::Double, Device::Cpu);
        let config = MlpFieldConfig { hidden: vec![first, second], activation: Activation::Tanh };
        let size = if conditional { 2 } else { 0 };
        let field = MlpField::new(&params.root(), d, size, &config).unwrap();
        let context = conditional.then(|| normal(seed + 1, &[rows, 2]));
        let (t, x) = (normal(seed + 2, &[rows]), normal(seed + 3, &[rows, d]));
        let score = normal(seed + 4, &[rows, d]);
        let closed = field.score_rate(&t, &x, context.as_ref(), None, &score).unwrap();
        let field = Autograd(field);
        let found = field.score_rate(&t, &x, context.as_ref(), None, &score).unwrap();
        assert!(distance(&closed.velocity, &found.velocity) < 1e-12);
        assert!(distance(&closed.divergence, &found.divergence) < 1e-12);
        assert!(distance(&closed.rate, &found.rate) < 1e-12);
    }
}
