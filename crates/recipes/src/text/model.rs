//! A recipe's language model and its objective.

use super::TextProblem;
use crate::config::{ModelConfig, ObjectiveConfig, Precision, Recipe};
use anyhow::{Context, Result, bail};
use maxlik_model::{LanguageModel, Objective};
use maxlik_nn::{Autocast, Params, TransformerLanguageModel};
use maxlik_objectives::sequence::{
    Cost, CrossEntropy, Emo, EmoLead, LabelSmoothing, MixCe, Smile, Unlikelihood, WordSet,
};
use tch::{Device, Kind};

/// A language model with its parameters.
#[derive(Debug)]
pub struct TextModel {
    /// The model.
    pub model: Box<dyn LanguageModel>,
    /// All its tensors.
    pub params: Params,
    /// What it is trained by.
    pub objective: Box<dyn Objective<dyn LanguageModel>>,
}

impl TextModel {
    /// Builds the model of `recipe` for the vocabulary of `problem` on `device`.
    ///
    /// # Errors
    /// For a configuration that does not fit.
    pub fn build(recipe: &Recipe, problem: &TextProblem, device: Device) -> Result<Self> {
        let ModelConfig::Transformer(config) = &recipe.model else {
            bail!("model.kind: expected transformer, the model of text");
        };
        let kind = match recipe.precision {
            Precision::F32 | Precision::Bf16 => Kind::Float,
            Precision::F64 => Kind::Double,
        };
        let params = Params::new(recipe.seed, kind, device);
        let vocabulary = problem.tokenizer.vocabulary() as i64;
        let model = TransformerLanguageModel::new(&params.root().sub("model"), vocabulary, config);
        let model = model.context("model")?;
        let model: Box<dyn LanguageModel> = match recipe.precision {
            Precision::Bf16 => Box::new(Autocast::new(model, device)),
            Precision::F32 | Precision::F64 => Box::new(model),
        };
        Ok(Self { model, params, objective: objective(&recipe.objective)? })
    }

    /// Device of the parameters.
    #[must_use]
    pub fn device(&self) -> Device {
        self.params.root().device()
    }
}

/// The objective of token sequences that a recipe names.
///
/// # Errors
/// For numbers that do not fit it.
pub fn objective(config: &ObjectiveConfig) -> Result<Box<dyn Objective<dyn LanguageModel>>> {
    Ok(match *config {
        ObjectiveConfig::Likelihood {} => Box::new(CrossEntropy),
        ObjectiveConfig::PenalizedLikelihood { .. }
        | ObjectiveConfig::ContrastiveLikelihood {}
        | ObjectiveConfig::FlowMatching { .. }
        | ObjectiveConfig::ScoreMatching { .. }
        | ObjectiveConfig::VelocityMatching { .. }
        | ObjectiveConfig::NoiseMatching { .. } => {
            bail!("objective.kind: this one is of densities; expected one of text")
        }
        ObjectiveConfig::LabelSmoothing { epsilon } => Box::new(LabelSmoothing::new(epsilon)?),
        ObjectiveConfig::Unlikelihood { alpha } => Box::new(Unlikelihood::new(alpha)?),
        ObjectiveConfig::Mixce { eta } => Box::new(MixCe::new(eta)?),
        ObjectiveConfig::Emo {} => Box::new(Emo::new(EmoLead::Likelihood, Cost::Adaptive)?),
        ObjectiveConfig::Smile { likelihood } => Box::new(Smile::mixed(likelihood, WordSet::Own)?),
    })
}
