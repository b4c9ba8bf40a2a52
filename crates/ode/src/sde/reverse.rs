//! Noising processes backward in time.

use super::{Convention, NoiseShape, Sde};
use crate::diffusion::{Schedule, TimeScore};
use crate::time::column;
use maxlik_tensor::Result;
use tch::Tensor;

/// `dx = (a x − g² s) dt + g dW̄`, to be solved from `t = 1` down to the data: the noising process
/// backward in time (Anderson 1982, "Reverse-time diffusion equation models"; Song et al. 2021,
/// arXiv:2011.13456, eq. 6). Its deterministic sibling is [`crate::diffusion::ProbabilityFlow`].
#[derive(Debug)]
pub struct ReverseSde<S> {
    /// The noising process.
    pub schedule: Schedule,
    /// The score.
    pub score: S,
    /// What the score is conditioned on, `[B, …]`.
    pub context: Option<Tensor>,
}

impl<S: TimeScore> Sde for ReverseSde<S> {
    fn noise(&self) -> NoiseShape {
        NoiseShape::Additive
    }

    fn convention(&self) -> Convention {
        Convention::Ito
    }

    fn drift(&self, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        let score = self.score.score(t, y, self.context.as_ref())?;
        let pull = y.f_mul(&column(&self.schedule.drift_rate(t)?, y)?)?;
        let noise = self.schedule.noise_rate(t)?.f_neg()?;
        Ok(pull.f_addcmul(&score, &column(&noise, y)?)?)
    }

    fn diffusion(&self, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        let g = column(&self.schedule.noise_rate(t)?.f_sqrt()?, y)?;
        Ok(g.f_expand_as(y)?)
    }
}
