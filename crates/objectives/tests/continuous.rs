//! Path gradients of continuous flows: one solve against two, the optimum, means, finite differences.

use super::common::{gradient_of, store, worst_z};
use maxlik_model::{Batch, Density, Energy, Objective, PathDensity, PropagateScore, VectorField};
use maxlik_nn::{Activation, Init, Mlp, MlpConfig, Network, Params};
use maxlik_objectives::density::energy::NormalMixture;
use maxlik_objectives::density::{Estimator, ForwardKl, ImportanceWeighted, ReverseKl, Target};
use maxlik_objectives::score::ScoreOf;
use maxlik_ode::{Cnf, Gaussian, MlpField, MlpFieldConfig, Noise, Solver, Trace, tableau};
use maxlik_tensor::autograd::{Graph, gradient, leaf};
use maxlik_tensor::{Result, with_seed};
use maxlik_testkit::{distance, normal};
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

const ALL: [Estimator; 3] = [Estimator::Standard, Estimator::Path, Estimator::FastPath];

/// A perceptron on `[x, t]`.
#[derive(Debug)]
struct Net(Mlp);

impl Net {
    fn new(params: &Params) -> Self {
        let config = MlpConfig { hidden: vec![6], activation: Activation::Tanh, dropout: 0.0 };
        let scope = params.root();
        Self(Mlp::with_output(&scope, 3, 0, 2, &config, Init::Uniform(0.8)).unwrap())
    }
}

impl VectorField for Net {
    fn velocity(&self, t: &Tensor, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        self.0.forward(&Tensor::f_cat(&[x, &t.f_view([-1, 1])?], 1)?, None)
    }
}

/// `v = A x + b`, trained.
#[derive(Debug)]
struct Linear {
    matrix: Tensor,
    shift: Tensor,
}

impl Linear {
    fn new(params: &Params) -> Self {
        let matrix = params.root().param("matrix", &[2, 2], Init::Uniform(0.9)).unwrap();
        let shift = params.root().param("shift", &[2], Init::Uniform(0.9)).unwrap();
        Self { matrix, shift }
    }
}

impl VectorField for Linear {
    fn velocity(&self, _t: &Tensor, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        Ok(x.f_linear(&self.matrix, Some(&self.shift))?)
    }
}

fn base() -> Gaussian {
    Gaussian::standard(&[2], Kind::Double, Device::Cpu).unwrap()
}

/// Errors of about 1e-9 on the fields here.
fn tight() -> Solver {
    Solver::fixed(tableau::DOP853, 6).unwrap()
}

/// A field that is solved by kernels where its score is not carried along.
fn perceptron(params: &Params) -> MlpField {
    let config = MlpFieldConfig { hidden: vec![5, 6], activation: Activation::Tanh };
    MlpField::new(&params.root(), 2, 0, &config).unwrap()
}

fn target() -> Box<dyn Energy> {
    Box::new(NormalMixture::hypercube(2, 0.5).unwrap())
}

/// Value and gradient of the three objectives.
fn losses(flow: &Cnf, params: &Params, estimator: Estimator) -> [(f64, Tensor); 3] {
    let both = |loss: &Tensor| (loss.double_value(&[]), gradient_of(loss, params));
    let z = normal(1, &[8, 2]);
    let reverse = ReverseKl::new(target(), estimator);
    let bound = ImportanceWeighted::new(target(), 4, estimator).unwrap();
    let forward = ForwardKl::new(target(), estimator);
    let batch = Batch::new(normal(2, &[7, 2]));
    [
        both(&reverse.loss_at(flow, &z, None).unwrap().value),
        both(&bound.loss_at(flow, &z, None).unwrap()),
        both(&forward.loss(flow as &dyn PathDensity, &batch).unwrap().value),
    ]
}

#[test]
fn one_solve_gives_the_path_gradients_of_two() {
    let (params, kernels) = (store(), store());
    let plain = Cnf::new(Net::new(&params), base(), tight());
    let fused = Cnf::with_drift(perceptron(&kernels), base(), tight());
    for (flow, params) in [(&plain, &params), (&fused, &kernels)] {
        let [standard, path, fast] = ALL.map(|estimator| losses(flow, params, estimator));
        for (i, name) in ["reverse", "importance weighted", "forward"].into_iter().enumerate() {
            let off = distance(&path[i].1, &fast[i].1);
            assert!(off < 1e-6, "{name}: gradients differ by {off:e}");
            assert!(distance(&standard[i].1, &fast[i].1) > 1e-3, "{name}: all the same");
            for other in [path[i].0, fast[i].0] {
                assert!((standard[i].0 - other).abs() < 1e-6, "{name}: values differ");
            }
        }
    }
}

/// A linear field, whose density is the normal that is the target: each sample's path gradient is
/// zero, to the solver's tolerance; the standard one is not.
#[test]
fn path_gradients_vanish_where_the_flow_is_the_target() {
    let params = store();
    let flow = Cnf::new(Linear::new(&params), base(), tight());
    let field = Linear::new(&store());
    let exact = {
        let _no_grad = tch::no_grad_guard();
        // x = e^A z + (∫ e^{As} ds) b.
        let grown = field.matrix.linalg_matrix_exp();
        let shift = (&grown - Tensor::eye(2, DOUBLE_CPU)).matmul(&field.matrix.inverse());
        let covariance = grown.matmul(&grown.transpose(0, 1));
        (shift.matmul(&field.shift), covariance.inverse())
    };
    #[derive(Debug)]
    struct Quadratic(Tensor, Tensor);
    impl Energy for Quadratic {
        fn energy(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
            let off = x.f_sub(&self.0)?;
            let square = off.f_matmul(&self.1)?.f_mul(&off)?;
            Ok(square.f_sum_dim_intlist([1_i64].as_slice(), false, None)?.f_mul_scalar(0.5)?)
        }
    }
    let energy = || Box::new(Quadratic(exact.0.shallow_clone(), exact.1.shallow_clone()));
    for estimator in ALL {
        let reverse = ReverseKl::new(energy(), estimator);
        let bound = ImportanceWeighted::new(energy(), 2, estimator).unwrap();
        let forward = ForwardKl::new(energy(), estimator);
        for seed in 0..4 {
            let z = normal(seed, &[1, 2]);
            let x = normal(seed + 50, &[1, 2]);
            let pair = normal(seed + 90, &[2, 2]);
            let batch = Batch::new(x);
            let found = [
                ("reverse", reverse.loss_at(&flow, &z, None).unwrap().value),
                ("bound", bound.loss_at(&flow, &pair, None).unwrap()),
                ("forward", forward.loss(&flow as &dyn PathDensity, &batch).unwrap().value),
            ];
            for (name, loss) in found {
                let size = gradient_of(&loss, &params).abs().max().double_value(&[]);
                if estimator == Estimator::Standard {
                    assert!(size > 1e-2, "{name}, standard: {size:e}");
                } else {
                    assert!(size < 1e-6, "{name}, {estimator:?}: {size:e}");
                }
            }
        }
    }
}

/// A trained network as the target of itself, data to latent and latent to data.
#[test]
fn path_gradients_vanish_where_the_target_is_the_flow() {
    let flow = |params: &Params| Cnf::new(Net::new(params), base(), tight());
    let params = store();
    let model = flow(&params);
    let energy = || Box::new(ScoreOf(flow(&store())));
    let reverse = ReverseKl::new(energy(), Estimator::FastPath);
    let forward = ForwardKl::new(energy(), Estimator::FastPath);
    let first = reverse.loss_at(&model, &normal(4, &[6, 2]), None).unwrap().value;
    let batch = Batch::new(normal(5, &[6, 2]));
    let second = forward.loss(&model as &dyn PathDensity, &batch).unwrap().value;
    for loss in [first, second] {
        let size = gradient_of(&loss, &params).abs().max().double_value(&[]);
        assert!(size < 1e-6, "{size:e}");
    }
}

/// Path and standard estimates have one mean: five standard errors, for all three objectives.
#[test]
fn path_gradients_of_flows_are_unbiased() {
    let params = store();
    let solver = Solver::fixed(tableau::RK4, 4).unwrap();
    let flow = Cnf::with_drift(perceptron(&params), base(), solver);
    crate::common::jitter(&params, 0.5);
    let exact = NormalMixture::hypercube(2, 0.5).unwrap();
    let (chunks, rows) = (40, 500);
    let mut rows_of: [Vec<Tensor>; 3] = Default::default();
    for chunk in 0..chunks {
        let z = normal(1000 + chunk, &[rows, 2]);
        let x = with_seed(5000 + chunk, || exact.sample(rows, DOUBLE_CPU).unwrap());
        let batch = Batch::new(x);
        let difference = |loss: &dyn Fn(Estimator) -> Tensor| {
            gradient_of(&loss(Estimator::Standard), &params)
                - gradient_of(&loss(Estimator::FastPath), &params)
        };
        rows_of[0].push(difference(&|e| {
            ReverseKl::new(target(), e).loss_at(&flow, &z, None).unwrap().value
        }));
        rows_of[1].push(difference(&|e| {
            ImportanceWeighted::new(target(), 5, e).unwrap().loss_at(&flow, &z, None).unwrap()
        }));
        rows_of[2].push(difference(&|e| {
            ForwardKl::new(target(), e).loss(&flow as &dyn PathDensity, &batch).unwrap().value
        }));
    }
    for (name, rows) in ["reverse", "importance weighted", "forward"].into_iter().zip(rows_of) {
        let z = worst_z(&Tensor::stack(&rows, 0));
        assert!(z < 5.0, "{name}: off by {z} standard errors");
    }
}

/// The path gradient is the derivative of `mean ⟨G, g_θ(z)⟩` with `G` held fixed, by finite
/// differences.
#[test]
fn path_gradients_are_differences_of_the_sample_map() {
    let params = store();
    let flow = Cnf::new(Net::new(&params), base(), tight());
    let z = normal(6, &[5, 2]);
    let loss = ReverseKl::new(target(), Estimator::FastPath).loss_at(&flow, &z, None).unwrap();
    let found = gradient_of(&loss.value, &params);
    // G from the flow's own log-density.
    let at = leaf(&flow.to_data(&z, None).unwrap()).unwrap();
    let total = flow.log_prob(&at, None).unwrap() + target().energy(&at, None).unwrap();
    let force = gradient(&total.sum(Kind::Double), None, &at, Graph::Free).unwrap().detach();
    let _no_grad = tch::no_grad_guard();
    let along =
        || ((flow.to_data(&z, None).unwrap() * &force).sum(Kind::Double) / 5.0).double_value(&[]);
    let (step, mut column) = (1e-4, 0);
    for (name, tensor) in params.trainable() {
        let flat = tensor.view([-1]);
        for i in 0..flat.size()[0] {
            let mut entry = flat.get(i);
            let mut moved = |by: f64| {
                let _ = entry.f_add_scalar_(by).unwrap();
                along()
            };
            let (above, below) = (moved(step), moved(-2.0 * step));
            let _ = moved(step);
            let slope = (above - below) / (2.0 * step);
            let gap = (found.double_value(&[column]) - slope).abs();
            assert!(gap < 1e-6, "{name}, {i}: off by {gap:e}");
            column += 1;
        }
    }
}

/// With probes that are fixed over a solve the carried score has the mean of the exact one, five
/// standard errors, and so has the path gradient, which is linear in it.
#[test]
fn probes_leave_path_gradients_unbiased() {
    let rows = 4000;
    let z = normal(7, &[1, 2]).expand([rows, 2], false).contiguous();
    let solver = || Solver::fixed(tableau::RK4, 6).unwrap();
    let params = store();
    let exact = Cnf::new(Net::new(&params), base(), solver());
    let one = exact.unmap_score(&z.narrow(0, 0, 1), &-z.narrow(0, 0, 1), None).unwrap();
    for noise in [Noise::Rademacher, Noise::Gaussian] {
        let trace = Trace::Hutchinson { probes: 1, noise };
        let flow = Cnf::new(Net::new(&store()), base(), solver()).trace(trace).unwrap();
        let many = with_seed(8, || flow.unmap_score(&z, &-&z, None)).unwrap();
        let off = worst_z(&(many.score - &one.score));
        assert!(off < 5.0, "{noise:?}: off by {off} standard errors");
        assert!(distance(&many.mapped.value.narrow(0, 0, 1), &one.mapped.value) < 1e-12);
    }
}
