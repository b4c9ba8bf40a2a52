//! Training one field, and measuring its paths.

use super::pairs::{Pair, tensor};
use crate::systems::field::TimeMlp;
use crate::systems::fit::fit;
use anyhow::Result;
use maxlik_data::Stream;
use maxlik_model::Batch;
use maxlik_nn::{Activation, MlpConfig, Params};
use maxlik_objectives::transport::{FlowMatching, Trajectory, normalised_path_energy, trajectory};
use maxlik_tensor::host;
use maxlik_train::{OptimConfig, Schedule};
use ndarray::Array2;
use tch::{Device, Kind, Tensor};

/// The ways to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    Independent,
    Target,
    Optimal,
    Bridge,
}

impl Variant {
    pub(super) const ALL: [Self; 4] =
        [Self::Independent, Self::Target, Self::Optimal, Self::Bridge];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Independent => "I-CFM",
            Self::Target => "FM",
            Self::Optimal => "OT-CFM",
            Self::Bridge => "SB-CFM",
        }
    }

    /// The objective with the paper's noise on the plane: 0.1, and 1 for the bridge.
    fn objective(self) -> maxlik_tensor::Result<FlowMatching> {
        match self {
            Self::Independent => FlowMatching::independent(0.1),
            Self::Target => FlowMatching::target(0.1),
            Self::Optimal => FlowMatching::optimal(0.1),
            Self::Bridge => FlowMatching::schroedinger_bridge(1.0),
        }
    }
}

/// Steps and rows of training, and rows of measurements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) steps: u64,
    pub(super) batch: usize,
    pub(super) test: usize,
    /// Points of path energies and of the distance between source and target.
    pub(super) wide: usize,
}

pub(super) const FULL: Budget = Budget { steps: 3000, batch: 256, test: 2048, wide: 4096 };

/// What a trained field does with held-out points of the source.
#[derive(Debug)]
pub(super) struct Measured {
    /// W2 between where 100 Euler steps lead and held-out data.
    pub(super) distance: f64,
    /// The same for 2 Euler steps.
    pub(super) coarse: f64,
    /// Normalised path energy.
    pub(super) normalised: f64,
    /// Path energy over the squared W2 between source and target.
    pub(super) relative: f64,
    pub(super) paths: Trajectory,
}

/// A pair with its held-out points and what is known of them.
#[derive(Debug)]
pub(super) struct Trial {
    pair: Pair,
    seed: u64,
    budget: Budget,
    source: Array2<f64>,
    target: Array2<f64>,
    /// The points of the source over which energy and distance are taken.
    wide: Array2<f64>,
    /// Squared W2 between source and target.
    apart: f64,
    /// W2 between two samples of the target: what a perfect flow measures.
    pub(super) floor: f64,
}

impl Trial {
    pub(super) fn new(pair: Pair, seed: u64, budget: Budget) -> Result<Self> {
        let test = Stream::new(seed, "test");
        let rows = budget.test;
        let (source, target) =
            (pair.source.points(rows, &test, 0), pair.target.points(rows, &test, 1));
        let again = pair.target.points(rows, &test, 2);
        // Path energy and distance are taken over the same points of the source, whose noise they then
        // share; and over many of them, since their number biases the distance.
        let (wide, aim) =
            (pair.source.points(budget.wide, &test, 3), pair.target.points(budget.wide, &test, 4));
        Ok(Self {
            pair,
            seed,
            budget,
            apart: w2(&wide, &aim)?.powi(2),
            floor: w2(&again, &target)?,
            source,
            target,
            wide,
        })
    }

    pub(super) fn train(&self, variant: Variant) -> Result<Measured> {
        let params = Params::new(self.seed, Kind::Float, Device::Cpu);
        let config =
            MlpConfig { hidden: vec![64; 3], activation: Activation::Selu, ..MlpConfig::default() };
        let field = TimeMlp::new(&params.root(), 2, &config)?;
        let objective = variant.objective()?;
        // A falling rate: at a constant one the last steps' noise moves the path energy by several percent.
        let optim = OptimConfig {
            steps: self.budget.steps,
            lr: 3e-3,
            weight_decay: 1e-5,
            schedule: Schedule::Cosine { warmup: 0, last: 0.0 },
            ..OptimConfig::default()
        };
        let stream = Stream::new(self.seed, "training");
        fit(&params, &optim, self.seed, |step| {
            let rows = self.budget.batch;
            let source = tensor(&self.pair.source.points(rows, &stream, 2 * step))?;
            let target = tensor(&self.pair.target.points(rows, &stream, 2 * step + 1))?;
            Ok(objective.loss_between(&field, &source, &Batch::new(target))?.value)
        })?;
        let start = tensor(&self.source)?;
        let paths = trajectory(&field, &start, None, 100)?;
        let coarse = trajectory(&field, &start, None, 2)?;
        let energy = trajectory(&field, &tensor(&self.wide)?, None, 100)?.mean_energy()?;
        Ok(Measured {
            distance: w2(&array(&paths.end()?)?, &self.target)?,
            coarse: w2(&array(&coarse.end()?)?, &self.target)?,
            normalised: normalised_path_energy(energy, self.apart),
            relative: energy / self.apart,
            paths,
        })
    }
}

fn w2(a: &Array2<f64>, b: &Array2<f64>) -> Result<f64> {
    Ok(maxlik_transport::wasserstein_2(a.view(), b.view())?)
}

fn array(x: &Tensor) -> Result<Array2<f64>> {
    Ok(Array2::from_shape_vec((x.size()[0] as usize, 2), host::to_vec(x)?)?)
}
