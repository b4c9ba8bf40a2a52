//! Score matching of a density: any of its forms, as configuration and as an objective.

use super::of_density::score_of;
use super::{
    DenoisingScoreMatching, ExplicitScoreMatching, FiniteDifferenceScoreMatching,
    SlicedScoreMatching, Slices,
};
use crate::transport::{batch_mean, rows_of};
use maxlik_model::{Batch, Density, Loss, Objective};
use maxlik_tensor::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// A function of points `[B, …]` and a context, such as a log-density `[B]` up to a constant or a score.
pub type PointFn<'a> = dyn Fn(&Tensor, Option<&Tensor>) -> Result<Tensor> + 'a;

/// [`ScoreMatching`] in a configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "variant", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScoreMatchingConfig {
    /// [`ExplicitScoreMatching`]: exact, `D` backward passes.
    Explicit {},
    /// [`SlicedScoreMatching`]: two backward passes.
    Sliced {
        /// The law of the directions.
        #[serde(default)]
        slices: Slices,
        /// Whether the square is sliced too, with more variance.
        #[serde(default)]
        plain: bool,
    },
    /// [`DenoisingScoreMatching`] at one level: fits the data smoothed by it.
    Denoising {
        /// Standard deviation of the noise, in units of the data.
        sigma: f64,
    },
    /// [`DenoisingScoreMatching`] at several levels, of a density that takes the level as its context
    /// `[1]`.
    NoiseLevels {
        /// Standard deviations of the noise, in units of the data.
        levels: Vec<f64>,
    },
    /// [`FiniteDifferenceScoreMatching`]: one backward pass.
    FiniteDifference {
        /// Over which distance differences are taken, in units of the data.
        radius: f64,
    },
}

impl ScoreMatchingConfig {
    /// The objective.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for a level or a radius that is not positive, or no levels.
    pub fn build(&self) -> Result<ScoreMatching> {
        Ok(ScoreMatching(match self {
            Self::Explicit {} => Form::Explicit,
            Self::Sliced { slices, plain } => {
                Form::Sliced(SlicedScoreMatching { slices: *slices, plain: *plain })
            }
            Self::Denoising { sigma } => Form::Denoising(DenoisingScoreMatching::new(*sigma)?),
            Self::NoiseLevels { levels } => {
                Form::Denoising(DenoisingScoreMatching::with_levels(levels.clone())?)
            }
            Self::FiniteDifference { radius } => {
                Form::Differences(FiniteDifferenceScoreMatching::new(*radius)?)
            }
        }))
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Explicit,
    Sliced(SlicedScoreMatching),
    Denoising(DenoisingScoreMatching),
    Differences(FiniteDifferenceScoreMatching),
}

/// Score matching of a density in any of its forms: the mean over rows, weighted where the batch has
/// weights.
///
/// The density is asked for up to a constant ([`Density::unnormalized_log_prob`]), so that determinants
/// of linear layers are not computed; of a flow this is EBFlow (Chao et al. 2023, arXiv:2305.15267). It is
/// the same as the form's own type on [`super::ScoreOf`] of the density.
///
/// ```
/// use maxlik_flows::{FlowConfig, NetworkConfig};
/// use maxlik_model::{Batch, Density, Objective};
/// use maxlik_nn::Params;
/// use maxlik_objectives::score::ScoreMatchingConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let params = Params::new(7, Kind::Double, Device::Cpu);
/// let flow = FlowConfig::realnvp(2, &NetworkConfig::default()).build(&params.root(), 2, None, vec![])?;
/// let batch = Batch::new(Tensor::zeros([8, 2], (Kind::Double, Device::Cpu)));
/// let sliced = ScoreMatchingConfig::Sliced { slices: Default::default(), plain: false }.build()?;
/// let loss = sliced.loss(&flow as &dyn Density, &batch)?;
/// assert_eq!(loss.value.dim(), 0);
/// # Ok::<(), maxlik_tensor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreMatching(Form);

impl ScoreMatching {
    /// The loss of any log-density `[B]` up to a constant, differentiable twice by its points (by
    /// finite differences: by its parameters only), with draws from LibTorch's generator.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Shape`] for an empty batch, and those of the log-density.
    pub fn loss_of(&self, log_density: &PointFn<'_>, batch: &Batch) -> Result<Loss> {
        let (x, context) = (&batch.data, batch.context.as_ref());
        rows_of(x)?;
        let score = |x: &Tensor, context: Option<&Tensor>| score_of(log_density, x, context);
        let each = match &self.0 {
            Form::Explicit => ExplicitScoreMatching::each_of(&score, x, context)?,
            Form::Sliced(sliced) => sliced.each_of(&score, x, context, &sliced.directions(x)?)?,
            Form::Denoising(denoising) => {
                let sigma = denoising.draw_levels(x)?;
                denoising.each_of(&score, x, context, [&x.f_randn_like()?, &sigma])?
            }
            Form::Differences(differences) => {
                let energy = |x: &Tensor, context: Option<&Tensor>| -> Result<Tensor> {
                    Ok(log_density(x, context)?.f_neg()?)
                };
                differences.each_of(&energy, x, context, &x.f_randn_like()?)?
            }
        };
        Ok(Loss { value: batch_mean(&each, batch.weight.as_ref())?, metrics: Vec::new() })
    }
}

impl Objective<dyn Density> for ScoreMatching {
    fn loss(&self, model: &(dyn Density + 'static), batch: &Batch) -> Result<Loss> {
        self.loss_of(&|x, context| model.unnormalized_log_prob(x, context), batch)
    }
}
