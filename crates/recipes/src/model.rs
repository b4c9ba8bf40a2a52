//! A recipe's model: preprocessing that belongs to the density, and the flow.

use crate::config::{ModelConfig, ObjectiveConfig, Precision, Recipe};
use crate::problem::Problem;
use anyhow::{Context, Result, bail};
use maxlik_flows::{Logit, Standardize};
use maxlik_model::{Bijection, Density, Objective};
use maxlik_nn::{Params, Scope};
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
            Precision::Bf16 => bail!("precision: bf16 is for models of text; expected f32 or f64"),
        };
        if recipe.objective != (ObjectiveConfig::Likelihood {}) {
            bail!("objective.kind: this one is of text; expected likelihood");
        }
        let params = Params::new(recipe.seed, kind, device);
        let root = params.root();
        let dims = problem.dims();
        let before = preprocessing(&root, problem)?;
        let (density, likelihood) = match &recipe.model {
            ModelConfig::Cnf(config) => {
                // The objective has layers of its own, and they parameters that nobody saves.
                let apart = Params::new(recipe.seed, kind, device);
                let again = preprocessing(&apart.root(), problem)?;
                let built = config.build(&root.sub("flow"), dims, before, again);
                let (density, objective) = built.context("model")?;
                (density, Some(objective))
            }
            stack => {
                let config = stack.flow()?;
                let before = before.into_iter().collect();
                let flow = config.build(&root.sub("flow"), dims, None, before).context("model")?;
                let density: Box<dyn Density> = Box::new(flow);
                (density, None)
            }
        };
        let objective: Box<dyn Objective<dyn Density>> = match (problem.levels, likelihood) {
            (Some(levels), None) => Box::new(Dequantized::new(MaximumLikelihood, levels)?),
            (Some(levels), Some(own)) => Box::new(Dequantized::new(own, levels)?),
            (None, None) => Box::new(MaximumLikelihood),
            (None, Some(own)) => Box::new(own),
        };
        Ok(Self { density, params, objective })
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

/// What belongs to the density before its layers: the logit of dequantized data, or the units of a
/// table.
fn preprocessing(root: &Scope<'_>, problem: &Problem) -> Result<Option<Box<dyn Bijection>>> {
    if problem.levels.is_some() {
        return Ok(Some(Box::new(Logit::new(&[problem.dims()], MARGIN)?)));
    }
    let Some(scale) = &problem.scale else { return Ok(None) };
    let (mean, sd) = (Tensor::from_slice(&scale.mean()), Tensor::from_slice(&scale.sd()));
    Ok(Some(Box::new(Standardize::new(&root.sub("standardize"), &mean, &sd)?)))
}
