//! A recipe's model: preprocessing that belongs to the density, and the flow.

use crate::config::{ModelConfig, ObjectiveConfig, Precision, Recipe};
use crate::diffusion::{Diffusion, Evidence};
use crate::problem::Problem;
use crate::score::MatchingBehind;
use anyhow::{Context, Result, bail};
use maxlik_flows::{Logit, Standardize};
use maxlik_model::{Bijection, Density, Objective};
use maxlik_nn::{Params, Scope};
use maxlik_objectives::density::{
    ContrastiveLikelihood, Dequantized, MaximumLikelihood, ParameterNorm, Penalized, Penalty,
    ScoreNorm,
};
use maxlik_objectives::score::ScoreMatchingConfig;
use maxlik_ode::diffusion::{Dequantization, Dequantizer};
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
    /// How levels of discrete data become points of the unit interval in evaluation.
    pub dequantizer: Option<Dequantizer>,
    /// The evidence bound of a diffusion model, which validates it.
    pub evidence: Option<Evidence>,
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
        let params = Params::new(recipe.seed, kind, device);
        let root = params.root();
        if let ModelConfig::Diffusion(config) = &recipe.model {
            let Diffusion { density, objective, evidence, dequantizer } = config
                .build(&root.sub("diffusion"), problem, &recipe.objective)
                .context("model")?;
            let (objective, evidence) = (Box::new(objective), Some(evidence));
            return Ok(Self { density, params, objective, dequantizer, evidence });
        }
        let dims = problem.dims();
        let before = preprocessing(&root, problem)?;
        // Objectives have layers of their own, and they constants that nobody saves.
        let again = || preprocessing(&Params::new(recipe.seed, kind, device).root(), problem);
        let matching = match &recipe.objective {
            ObjectiveConfig::FlowMatching { form } => Some(form.build().context("objective.form")?),
            _ => None,
        };
        let (density, own) = match &recipe.model {
            ModelConfig::Cnf(config) => {
                let again = again()?;
                let built = config.build(&root.sub("flow"), dims, before, again, matching);
                let (density, objective) = built.context("model")?;
                (density, Some(objective))
            }
            _ if matching.is_some() => {
                bail!("objective.kind: flow_matching trains a field; expected model.kind = \"cnf\"")
            }
            stack => {
                let config = stack.flow()?;
                let before = before.into_iter().collect();
                let flow = config.build(&root.sub("flow"), dims, None, before).context("model")?;
                let density: Box<dyn Density> = Box::new(flow);
                (density, None)
            }
        };
        let likelihood = own.unwrap_or_else(|| Box::new(MaximumLikelihood));
        let mut objective = match &recipe.objective {
            ObjectiveConfig::ScoreMatching { form } => {
                if matches!(&recipe.model, ModelConfig::Cnf(config) if !config.is_plain()) {
                    bail!(
                        "objective.kind: score_matching solves with the exact trace; expected no trace, \
                         kinetic, jacobian or steer"
                    );
                }
                score_matching(form, again()?)?
            }
            other => objective(other, likelihood, &params)?,
        };
        if let Some(levels) = problem.levels {
            let dequantized = Dequantized::new(objective, levels)?;
            objective = Box::new(match &recipe.objective {
                ObjectiveConfig::ScoreMatching { .. } | ObjectiveConfig::FlowMatching { .. } => {
                    dequantized.without_constant()
                }
                _ => dequantized,
            });
        }
        let uniform =
            |levels| Dequantizer::new(Dequantization::Uniform, 1.0, 1.0, 0.5 / f64::from(levels));
        let dequantizer = problem.levels.map(uniform).transpose()?;
        Ok(Self { density, params, objective, dequantizer, evidence: None })
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

fn score_matching(
    form: &ScoreMatchingConfig,
    before: Option<Box<dyn Bijection>>,
) -> Result<Box<dyn Objective<dyn Density>>> {
    if matches!(form, ScoreMatchingConfig::NoiseLevels { .. }) {
        bail!(
            "objective.form.variant: noise_levels trains a density that is told the level; expected \
             denoising"
        );
    }
    let matching = form.build().context("objective.form")?;
    Ok(Box::new(MatchingBehind::new(before, matching)))
}

/// What trains a density, given its likelihood (or the matching of its field).
fn objective(
    config: &ObjectiveConfig,
    likelihood: Box<dyn Objective<dyn Density>>,
    params: &Params,
) -> Result<Box<dyn Objective<dyn Density>>> {
    Ok(match *config {
        ObjectiveConfig::Likelihood {} | ObjectiveConfig::FlowMatching { .. } => likelihood,
        ObjectiveConfig::PenalizedLikelihood { score_norm, parameter_norm } => {
            let named = params.trainable();
            let tensors: Vec<Tensor> = named.iter().map(|(_, t)| t.shallow_clone()).collect();
            let mut found = likelihood;
            let (rough, long) = (Box::new(ScoreNorm), Box::new(ParameterNorm::new(&tensors)));
            let penalties: [(&str, f64, Box<dyn Penalty>); 2] =
                [("score_norm", score_norm, rough), ("parameter_norm", parameter_norm, long)];
            for (name, weight, penalty) in penalties {
                if weight != 0.0 {
                    let penalized = Penalized::new(found, weight, penalty);
                    found = Box::new(penalized.with_context(|| format!("objective.{name}"))?);
                }
            }
            found
        }
        ObjectiveConfig::ContrastiveLikelihood {} => Box::new(ContrastiveLikelihood),
        ObjectiveConfig::VelocityMatching { .. } | ObjectiveConfig::NoiseMatching { .. } => {
            bail!("objective.kind: this one trains a network; expected model.kind = \"diffusion\"")
        }
        _ => bail!("objective.kind: this one is of text; expected one of densities"),
    })
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
