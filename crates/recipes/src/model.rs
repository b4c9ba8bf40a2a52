//! A recipe's model: preprocessing that belongs to the density, and the flow.

use crate::config::{ObjectiveConfig, Precision, Recipe};
use crate::problem::Problem;
use anyhow::{Context, Result, bail};
use maxlik_flows::{Flow, Logit, Standardize};
use maxlik_model::{Bijection, Density, Objective};
use maxlik_nn::Params;
use maxlik_objectives::density::{Dequantized, MaximumLikelihood};
use tch::{Device, Kind, Tensor};

/// A density with its parameters.
#[derive(Debug)]
pub struct Model {
    /// The density of data in their own units; of discrete data, of `(v + u)/levels`.
    pub density: Box<dyn Density>,
    /// All its tensors.
    pub params: Params,
    /// What it is trained and evaluated by.
    pub objective: Box<dyn Objective<dyn Density>>,
}

/// Margin of the logit that takes dequantized data to the real line.
const MARGIN: f64 = 0.02;

impl Model {
    /// Builds the model of `recipe` for `problem` on `device`.
    ///
    /// # Errors
    /// For a configuration that does not fit the data.
    pub fn build(recipe: &Recipe, problem: &Problem, device: Device) -> Result<Self> {
        let kind = match recipe.precision {
            Precision::F32 => Kind::Float,
            Precision::F64 => Kind::Double,
        };
        if recipe.objective != (ObjectiveConfig::Likelihood {}) {
            bail!("objective.kind: this one is of text; expected likelihood");
        }
        let params = Params::new(recipe.seed, kind, device);
        let root = params.root();
        let dims = problem.dims();
        let mut before: Vec<Box<dyn Bijection>> = Vec::new();
        if problem.levels.is_some() {
            before.push(Box::new(Logit::new(&[dims], MARGIN)?));
        } else if let Some(scale) = &problem.scale {
            let (mean, sd) = (Tensor::from_slice(&scale.mean()), Tensor::from_slice(&scale.sd()));
            before.push(Box::new(Standardize::new(&root.sub("standardize"), &mean, &sd)?));
        }
        let flow: Flow =
            recipe.model.flow()?.build(&root.sub("flow"), dims, None, before).context("model")?;
        let objective: Box<dyn Objective<dyn Density>> = match problem.levels {
            Some(levels) => Box::new(Dequantized::new(MaximumLikelihood, levels)?),
            None => Box::new(MaximumLikelihood),
        };
        Ok(Self { density: Box::new(flow), params, objective })
    }

    /// Number type of the parameters.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.params.root().kind()
    }

    /// Device of the parameters.
    #[must_use]
    pub fn device(&self) -> Device {
        self.params.root().device()
    }
}
