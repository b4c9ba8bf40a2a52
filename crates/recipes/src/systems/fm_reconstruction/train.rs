//! A field trained by flow matching, and the ways to train it on.

use crate::systems::fit::fit;
use anyhow::Result;
use maxlik_model::{Batch, Objective, VectorField};
use maxlik_nn::{Activation, Init, Mlp, MlpConfig, Network, Params, Scope};
use maxlik_objectives::transport::{FlowMatching, Reconstruction};
use maxlik_ode::{
    ContractingField, ContractingFieldConfig, ResidualField, Solver, Velocity, tableau,
};
use maxlik_tensor::Seeds;
use maxlik_train::{OptimConfig, Schedule};
use tch::{Device, Kind, Tensor};

/// Steps of training, of fine-tuning, and pairs of data and latents of the latter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) steps: u64,
    pub(super) tuning: u64,
    pub(super) pairs: i64,
    /// Points of measurements.
    pub(super) test: i64,
}

pub(super) const FULL: Budget = Budget { steps: 4000, tuning: 500, pairs: 10_000, test: 1000 };

/// Euler steps of the sampler.
pub(super) const COARSE: usize = 4;
/// Standard deviation of the reconstruction.
const STD: f64 = 0.1;
const BATCH: i64 = 256;
/// Rate and steepest pull of the contracting residual: Euler steps of a quarter contract up to the latter.
const RATE: f64 = 1.0;
const LIMIT: f64 = COARSE as f64;

/// What is trained on after flow matching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tuning {
    /// The whole field by flow matching: the baseline.
    Continued,
    /// The whole field by reconstructions.
    Whole,
    /// A free residual by reconstructions.
    Residual,
    /// A contracting residual by reconstructions.
    Contracting,
}

/// A perceptron on point, time and context.
#[derive(Debug)]
pub(super) struct Net(Mlp);

impl Net {
    /// A field as it is trained by flow matching.
    fn new(scope: &Scope<'_>, [dims, context]: [i64; 2]) -> Result<Self> {
        Ok(Self(Mlp::new(scope, dims + 1, context, dims, &config())?))
    }

    /// A residual, which starts as zero.
    fn zero(scope: &Scope<'_>, [dims, context]: [i64; 2]) -> Result<Self> {
        let zero = Init::Constant(0.0);
        Ok(Self(Mlp::with_output(scope, dims + 1, context, dims, &config(), zero)?))
    }
}

impl VectorField for Net {
    fn velocity(
        &self,
        t: &Tensor,
        x: &Tensor,
        context: Option<&Tensor>,
    ) -> maxlik_tensor::Result<Tensor> {
        self.0.forward(&Tensor::f_cat(&[x, &t.f_view([-1, 1])?], 1)?, context)
    }
}

fn config() -> MlpConfig {
    MlpConfig { hidden: vec![64; 3], activation: Activation::Silu, dropout: 0.0 }
}

/// A field trained by flow matching from the standard normal to data, and its reconstructions.
#[derive(Debug)]
pub(super) struct Pretrained {
    /// Numbers of an event, and of a context.
    sizes: [i64; 2],
    seed: u64,
    budget: Budget,
    params: Params,
    objective: Reconstruction,
    /// Data, and where the field encodes them.
    pairs: (Batch, Tensor),
}

fn optim(steps: u64) -> OptimConfig {
    OptimConfig {
        steps,
        lr: 1e-3,
        clip: 10.0,
        schedule: Schedule::Cosine { warmup: 20, last: 0.01 },
        ..OptimConfig::default()
    }
}

impl Pretrained {
    /// Trains on `data(rows)`.
    pub(super) fn train(
        seed: u64,
        sizes: [i64; 2],
        budget: Budget,
        data: &dyn Fn(i64) -> Result<Batch>,
    ) -> Result<Self> {
        let params = Params::new(seed, Kind::Float, Device::Cpu);
        let field = Net::new(&params.root(), sizes)?;
        let matching = FlowMatching::independent(0.0)?;
        fit(&params, &optim(budget.steps), seed, |_| {
            Ok(matching.loss(&field as &dyn VectorField, &data(BATCH)?)?.value)
        })?;
        let fine = Solver::fixed(tableau::RK4, 50)?;
        let coarse = Solver::fixed(tableau::EULER, COARSE)?;
        let objective = Reconstruction::new(field, fine, coarse, STD)?;
        Seeds::new(seed).stream("pairs").seed_torch(0);
        let batch = data(budget.pairs)?;
        let latent = objective.encode(&batch)?;
        Ok(Self { sizes, seed, budget, params, objective, pairs: (batch, latent) })
    }

    /// The field again, with parameters of its own.
    pub(super) fn field(&self) -> Result<(Params, Net)> {
        let params = Params::new(self.seed, Kind::Float, Device::Cpu);
        let field = Net::new(&params.root(), self.sizes)?;
        params.load(&self.params.named())?;
        Ok((params, field))
    }

    /// Trains it on.
    pub(super) fn tune(
        &self,
        tuning: Tuning,
        data: &dyn Fn(i64) -> Result<Batch>,
    ) -> Result<Box<dyn VectorField>> {
        let (params, field) = self.field()?;
        let seed = self.seed + 1;
        let added = Params::new(seed, Kind::Float, Device::Cpu);
        let model: Box<dyn VectorField> = match tuning {
            Tuning::Continued => {
                let matching = FlowMatching::independent(0.0)?;
                fit(&params, &optim(self.budget.tuning), seed, |_| {
                    Ok(matching.loss(&field as &dyn VectorField, &data(BATCH)?)?.value)
                })?;
                return Ok(Box::new(field));
            }
            Tuning::Whole => Box::new(field),
            Tuning::Residual => {
                let residual = Net::zero(&added.root(), self.sizes)?;
                Box::new(ResidualField { field, residual })
            }
            Tuning::Contracting => {
                let config =
                    ContractingFieldConfig { rate: RATE, limit: LIMIT, ..Default::default() };
                let [dims, context] = self.sizes;
                let residual = ContractingField::new(&added.root(), dims, context, &config)?;
                Box::new(ResidualField { field, residual })
            }
        };
        let trained = if tuning == Tuning::Whole { &params } else { &added };
        let (data, latent) = &self.pairs;
        fit(trained, &optim(self.budget.tuning), seed, |_| {
            let rows = latent.size()[0];
            let index = Tensor::f_randint(rows, [BATCH], (Kind::Int64, Device::Cpu))?;
            let chosen = |x: &Tensor| x.f_index_select(0, &index);
            let context = data.context.as_ref().map(chosen).transpose()?;
            let batch = Batch { context, ..Batch::new(chosen(&data.data)?) };
            let latent = latent.f_index_select(0, &index)?;
            let each = self.objective.loss_at(model.as_ref(), &batch, &latent)?;
            Ok(each.f_mean(None::<Kind>)?)
        })?;
        Ok(model)
    }

    /// Mean squared distance of data from their reconstructions by `field`.
    pub(super) fn error(&self, field: &dyn VectorField, data: &Batch) -> Result<f64> {
        let _no_grad = tch::no_grad_guard();
        let each = self.objective.loss_at(field, data, &self.objective.encode(data)?)?;
        let mean = maxlik_tensor::host::scalar(&each.f_mean(Kind::Double)?)?;
        Ok(mean * 2.0 * STD * STD)
    }

    /// Where the sampler leads from `start`.
    pub(super) fn sample(
        &self,
        field: &dyn VectorField,
        start: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        Ok(self.objective.decode(field, start, context)?)
    }
}

/// Root mean square of `φ(x + δ) − φ(x)` over that of the push `δ`, for the second half of the sampler's
/// steps from `start`.
pub(super) fn spread(
    field: &dyn VectorField,
    start: &Tensor,
    push: &Tensor,
    context: Option<&Tensor>,
) -> Result<f64> {
    let _no_grad = tch::no_grad_guard();
    let solver = Solver::fixed(tableau::EULER, COARSE / 2)?;
    let run = |x: &Tensor, times: [f64; 2]| -> Result<Tensor> {
        let field = Velocity { field, context };
        Ok(solver.solve(&field, x, &Tensor::f_from_slice(&times)?)?.final_states())
    };
    let middle = run(start, [0.0, 0.5])?;
    let plain = run(&middle, [0.5, 1.0])?;
    let pushed = run(&(middle + push), [0.5, 1.0])?;
    let square = |x: &Tensor| -> Result<f64> {
        Ok(maxlik_tensor::host::scalar(&x.f_square()?.f_mean(Kind::Double)?)?)
    };
    Ok((square(&(pushed - plain))? / square(push)?).sqrt())
}
