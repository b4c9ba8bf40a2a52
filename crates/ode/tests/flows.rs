//! Continuous flows: exact densities, estimates of the trace, regularisers, gradients.

use crate::problems::ones;
use crate::{distance, normal, vector};
use maxlik_model::{Density, VectorField};
use maxlik_nn::{Activation, Mlp, MlpConfig, Network, Params};
use maxlik_ode::trace::{basis, plus_plus, probe_divergence};
use maxlik_ode::{
    Adaptive, Autograd, Cnf, Draws, Drift, Gaussian, Gradient, Noise, Solver, Trace, tableau,
};
use maxlik_tensor::autograd::{Graph, grad, jacobian};
use maxlik_tensor::{Result, logdet, with_seed};
use tch::{Device, Kind, Tensor};

/// A small network on `[x, t]`, with a context of one number.
#[derive(Debug)]
pub(crate) struct Net {
    mlp: Mlp,
    scale: f64,
}

impl Net {
    pub(crate) fn new(params: &Params, d: i64, context: i64, scale: f64) -> Self {
        let config = MlpConfig { hidden: vec![16], activation: Activation::Tanh, dropout: 0.0 };
        Self {
            mlp: Mlp::new(&params.root().sub("net"), d + 1, context, d, &config).unwrap(),
            scale,
        }
    }
}

impl VectorField for Net {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let input = Tensor::f_cat(&[x, &t.f_view([-1, 1])?], 1)?;
        Ok(self.mlp.forward(&input, context)?.f_mul_scalar(self.scale)?)
    }
}

fn store() -> Params {
    Params::new(3, Kind::Double, Device::Cpu)
}

fn standard(d: i64) -> Gaussian {
    Gaussian::standard(&[d], Kind::Double, Device::Cpu).unwrap()
}

fn solver(tolerance: f64) -> Solver {
    Solver::adaptive(tableau::DOPRI5, Adaptive::new(tolerance, tolerance)).unwrap()
}

fn flow(d: i64, tolerance: f64) -> Cnf {
    Cnf::new(Net::new(&store(), d, 0, 3.0), standard(d), solver(tolerance))
}

#[test]
fn log_density_is_that_of_the_map() {
    let cnf = flow(2, 1e-10);
    let x = normal(4, &[20, 2]);
    let draws = cnf.draws(&x, None).unwrap();
    let to_base = |x: &Tensor| Ok(cnf.evaluate(x, None, &draws)?.latent);
    let exact = logdet::dense(&jacobian(&to_base, &x, Graph::Free).unwrap()).unwrap()
        + standard(2).log_prob(&to_base(&x).unwrap(), None).unwrap();
    let found = cnf.evaluate(&x, None, &draws).unwrap();
    assert!(distance(&found.log_prob, &exact) < 1e-6);
    assert!(found.counts.iter().all(|c| c.evaluations > 10 && c.accepted > 1));
}

#[test]
fn density_integrates_to_one() {
    let cnf = flow(2, 1e-7);
    let n = 121;
    let axis = Tensor::linspace(-12.0, 12.0, n, (Kind::Double, Device::Cpu));
    let grid = Tensor::stack(&Tensor::meshgrid_indexing(&[&axis, &axis], "ij"), -1).view([-1, 2]);
    let _no_grad = tch::no_grad_guard();
    let cell = (24.0 / (n - 1) as f64).powi(2);
    let mass = cnf.log_prob(&grid, None).unwrap().exp().sum(Kind::Double).double_value(&[]) * cell;
    assert!((mass - 1.0).abs() < 1e-6, "{mass}");
}

#[test]
fn samples_come_with_their_density() {
    let cnf = flow(3, 1e-9);
    let sampled = with_seed(1, || cnf.rsample_and_log_prob(7, None)).unwrap();
    assert!(distance(&cnf.log_prob(&sampled.value, None).unwrap(), &sampled.log_prob) < 1e-6);
    let same = with_seed(1, || cnf.sample(7, None)).unwrap();
    assert!(distance(&same, &sampled.value) < 1e-6 && !same.requires_grad());
    assert!(sampled.log_prob.requires_grad());
}

/// `v = A x`: the divergence is `tr A`, and the kinetic energy a quadrature.
#[derive(Debug)]
struct Linear(Tensor);

impl VectorField for Linear {
    fn velocity(&self, _t: &Tensor, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok(x.f_matmul(&self.0.f_transpose(0, 1)?)?)
    }
}

#[test]
fn regularisers_are_their_integrals() {
    let a = vector(&[0.5, -1.0, 1.0, 0.5]).view([2, 2]);
    let cnf =
        Cnf::new(Linear(a.shallow_clone()), standard(2), solver(1e-9)).regularisers(true, true);
    let x = normal(3, &[5, 2]);
    let draws = cnf.draws(&x, None).unwrap();
    let found = cnf.evaluate(&x, None, &draws).unwrap();
    // |x| grows by e^{t/2}, and |v|² = 1.25 |x|².
    let square = found.latent.square().sum_dim_intlist(1, false, Kind::Double);
    let kinetic = square * (1.25 * (1.0_f64.exp() - 1.0));
    assert!(distance(&found.kinetic.unwrap(), &kinetic) < 1e-6);
    assert!(distance(&found.frobenius.unwrap(), &(ones(5, 1).view([5]) * 2.5)) < 1e-9);
    let base = standard(2).log_prob(&found.latent, None).unwrap();
    assert!(distance(&found.log_prob, &(base - 1.0)) < 1e-9);
}

#[test]
fn probes_see_the_trace_without_bias() {
    let net = Autograd(Net::new(&store(), 4, 0, 3.0));
    let rows = 4000;
    let x = normal(2, &[1, 4]).expand([rows, 4], false).contiguous();
    let t = Tensor::full([rows], 0.3, (Kind::Double, Device::Cpu));
    let exact = net.exact(&t, &x, None, true).unwrap();
    let truth = exact.divergence.double_value(&[0]);
    let norm = exact.frobenius.unwrap().double_value(&[0]);
    for trace in [
        Trace::Hutchinson { probes: 1, noise: Noise::Rademacher },
        Trace::Hutchinson { probes: 1, noise: Noise::Gaussian },
        Trace::Hutchinson { probes: 3, noise: Noise::Gaussian },
        Trace::HutchPlusPlus { probes: 1 },
    ] {
        let probe = with_seed(5, || trace.draw(&net, &t, &x, None)).unwrap().unwrap();
        let found = net.probed(&t, &x, None, &probe, true).unwrap();
        for (values, truth) in [(found.divergence, truth), (found.frobenius.unwrap(), norm)] {
            let error = values.std(true).double_value(&[]) / (rows as f64).sqrt();
            let gap = values.mean(Kind::Double).double_value(&[]) - truth;
            assert!(gap.abs() < 4.0 * error, "{trace:?}: {gap} with standard error {error}");
        }
        assert_eq!(distance(&found.velocity, &exact.velocity), 0.0);
    }
}

#[test]
fn hutch_plus_plus_is_exact_on_low_rank() {
    // A Jacobian of rank two is seen whole by two columns.
    let (u, v) = (normal(1, &[6, 2]), normal(2, &[2, 6]));
    let linear = |x: &Tensor| Ok(x.matmul(&u.matmul(&v).transpose(0, 1)));
    let x = normal(3, &[3, 6]);
    let (sketch, rest) = (normal(4, &[2, 3, 6]), normal(5, &[2, 3, 6]));
    let probe = plus_plus(&linear, &x, &sketch, &rest).unwrap();
    let found = probe_divergence(&linear, &x, &probe, false).unwrap().divergence;
    let exact = probe_divergence(&linear, &x, &basis(&x).unwrap(), false).unwrap().divergence;
    assert!(distance(&found, &exact) < 1e-10);
    assert!(distance(&exact, &(ones(3, 1).view([3]) * u.matmul(&v).trace())) < 1e-10);
}

#[test]
fn estimated_densities_are_fixed_by_their_probe_and_unbiased() {
    let cnf = flow(3, 1e-6);
    let exact = cnf.log_prob(&normal(8, &[1, 3]), None).unwrap().double_value(&[0]);
    let estimated =
        flow(3, 1e-6).trace(Trace::Hutchinson { probes: 1, noise: Noise::Rademacher }).unwrap();
    let x = normal(8, &[1, 3]).expand([1500, 3], false).contiguous();
    let _no_grad = tch::no_grad_guard();
    let draws = with_seed(7, || estimated.draws(&x, None)).unwrap();
    let first = estimated.evaluate(&x, None, &draws).unwrap().log_prob;
    assert_eq!(distance(&first, &estimated.evaluate(&x, None, &draws).unwrap().log_prob), 0.0);
    let error = first.std(true).double_value(&[]) / 1500.0_f64.sqrt();
    let gap = first.mean(Kind::Double).double_value(&[]) - exact;
    assert!(error > 1e-4 && gap.abs() < 4.0 * error, "{gap}, {error}");
}

#[test]
fn steer_moves_the_end_at_random() {
    let x = normal(3, &[6, 2]);
    let own = flow(2, 1e-8).steer(0.3).unwrap();
    let draws = with_seed(2, || own.draws(&x, None)).unwrap();
    let times = draws.base_time.as_ref().unwrap();
    assert!(times.abs().max().double_value(&[]) <= 0.3 && times.std(true).double_value(&[]) > 0.0);
    let found = own.evaluate(&x, None, &draws).unwrap();
    // Each sample is solved to its own time: compare with flows that have that base time.
    for row in 0..6 {
        let other = flow(2, 1e-8).times(times.double_value(&[row]), 1.0);
        let alone = other.log_prob(&x.narrow(0, row, 1), None).unwrap();
        assert!(distance(&alone, &found.log_prob.narrow(0, row, 1)) < 1e-6);
    }
    let joint = Solver::adaptive(tableau::DOPRI5, Adaptive::new(1e-8, 1e-8).joint()).unwrap();
    let joint = Cnf::new(Net::new(&store(), 2, 0, 3.0), standard(2), joint).steer(0.3).unwrap();
    let draws = with_seed(2, || joint.draws(&x, None)).unwrap();
    let times = draws.base_time.as_ref().unwrap();
    assert_eq!(times.std(true).double_value(&[]), 0.0);
    assert!(joint.evaluate(&x, None, &draws).is_ok());
    assert!(flow(2, 1e-3).steer(1.0).is_err());
    // The density itself is at the flow's own time.
    assert!(
        distance(&own.log_prob(&x, None).unwrap(), &flow(2, 1e-8).log_prob(&x, None).unwrap())
            < 1e-6
    );
}

#[test]
fn gradients_agree_between_modes() {
    let x = normal(3, &[5, 2]);
    let c = normal(4, &[5, 1]);
    let by = |mode: Option<Gradient>| {
        let params = store();
        let cnf = Cnf::new(Net::new(&params, 2, 1, 3.0), standard(2), solver(1e-8)).context(&[1]);
        let cnf = cnf.trace(Trace::Hutchinson { probes: 1, noise: Noise::Rademacher }).unwrap();
        let tensors: Vec<Tensor> = params.trainable().into_iter().map(|(_, t)| t).collect();
        let cnf = match mode {
            None => cnf,
            Some(mode) => cnf.gradient(mode, &tensors),
        };
        let loss = with_seed(1, || cnf.log_prob(&x, Some(&c))).unwrap().mean(Kind::Double);
        let inputs: Vec<&Tensor> = tensors.iter().collect();
        grad(&[&loss], &[None], &inputs, Graph::Free)
            .unwrap()
            .into_iter()
            .map(|g| g.unwrap())
            .collect::<Vec<_>>()
    };
    let recorded = by(None);
    for mode in [
        Gradient::Checkpointed { snapshots: 4 },
        Gradient::Adjoint { solver: None, seminorm: true },
        Gradient::Interpolated { solver: None },
        Gradient::Reversible { coupling: 0.999 },
    ] {
        for (a, b) in by(Some(mode.clone())).iter().zip(&recorded) {
            let gap = distance(a, b);
            assert!(gap < 1e-5, "{mode:?}: {gap}");
        }
    }
}

#[test]
fn bad_arguments_are_named() {
    let cnf = flow(2, 1e-6);
    let message = cnf.log_prob(&ones(3, 3), None).unwrap_err().to_string();
    assert_eq!(message, "x: expected shape [B, 2], got [3, 3]");
    let message = cnf.log_prob(&ones(3, 2), Some(&ones(3, 1))).unwrap_err().to_string();
    assert_eq!(message, "context: expected shape none, got [3, 1]");
    let draws = Draws { probe: Some(ones(3, 2)), base_time: None };
    assert!(cnf.evaluate(&ones(3, 2), None, &draws).is_err());
    assert!(flow(2, 1e-6).trace(Trace::HutchPlusPlus { probes: 0 }).is_err());
    assert!(Gaussian::new(&[2], 0.0, Kind::Double, Device::Cpu).is_err());
}
