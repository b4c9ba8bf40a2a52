//! A base that accepts some of another's samples.

use super::batched;
use crate::NetworkConfig;
use maxlik_model::Density;
use maxlik_nn::{Mode, Network, Scope};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// Learned rejection sampling of a density `π`: a sample is accepted with probability `a(x)`, given by
/// a network, and the `T`-th in any case (Bauer and Mnih 2019, "Resampled priors for variational
/// autoencoders", arXiv:1810.11428, eq. 5; as a base of flows Stimper et al. 2022, "Resampling base
/// distributions of normalizing flows", arXiv:2110.15828, eq. 6).
///
/// `p(x) = π(x) ((1 − α) a(x)/Z + α)` with `Z = E_π a` and `α = (1 − Z)^{T − 1}`. `Z` is an average over
/// samples of `π`: in training of a few at each step, with their gradient, moving; outside training it
/// stays, and [`Resampled::estimate`] sets it from as many samples as are wanted. The density
/// integrates to one as exactly as `Z` is known.
#[derive(Debug)]
pub struct Resampled {
    inner: Box<dyn Density>,
    network: Box<dyn Network>,
    truncation: i32,
    normaliser: Tensor,
    mode: Mode,
}

/// Samples for `Z` in one training step, and at the start.
const SAMPLES: i64 = 128;
const SAMPLES_AT_START: i64 = 4096;

/// Part of the difference by which `Z` follows in training.
const RATE: f64 = 0.05;

impl Resampled {
    /// A resampled version of `inner`, which must not take a context; the network maps a flat event to
    /// the logit of its acceptance. `truncation` is `T`.
    ///
    /// # Errors
    /// [`Error::Config`] for a base with a context, or `T` below one.
    pub fn new(
        scope: &Scope<'_>,
        inner: Box<dyn Density>,
        network: &NetworkConfig,
        truncation: u32,
    ) -> Result<Self> {
        if inner.context_shape().is_some() {
            return Err(Error::config("base", "a resampled base takes no context"));
        }
        let truncation = match i32::try_from(truncation) {
            Ok(truncation) if truncation >= 1 => truncation,
            _ => return Err(Error::config("truncation", "expected at least one attempt")),
        };
        let inputs = inner.event_shape().iter().product();
        let half = Tensor::f_full([], 0.5, (scope.kind(), scope.device()))?;
        Ok(Self {
            inner,
            network: network.build(&scope.sub("acceptance"), inputs, 0, 1)?,
            truncation,
            normaliser: scope.buffer("normaliser", &half)?,
            mode: scope.mode(),
        })
    }

    /// Sets `Z` to the mean acceptance of `count` samples of `π`.
    ///
    /// # Errors
    /// Those of the base and the network.
    pub fn estimate(&self, count: i64) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let mean = self.acceptance(&self.inner.draw(count, None)?)?.f_mean(None::<Kind>)?;
        self.normaliser.shallow_clone().f_copy_(&mean)?;
        Ok(())
    }

    /// `a(x)`, `[B]`.
    fn acceptance(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.size()[0];
        let count: i64 = self.inner.event_shape().iter().product();
        let logit = self.network.forward(&x.f_reshape([rows, count])?, None)?;
        Ok(logit.f_squeeze_dim(-1)?.f_sigmoid()?)
    }

    /// Whether each row is accepted, by a draw.
    fn accepts(&self, x: &Tensor) -> Result<Tensor> {
        let a = self.acceptance(x)?;
        Ok(a.f_rand_like()?.f_lt_tensor(&a)?)
    }

    /// `Z`, in training with the gradient of this step's samples.
    fn normaliser(&self) -> Result<Tensor> {
        if !self.mode.is_training() {
            return Ok(self.normaliser.shallow_clone());
        }
        let samples = {
            let _no_grad = tch::no_grad_guard();
            self.inner.draw(SAMPLES, None)?
        };
        let mean = self.acceptance(&samples)?.f_mean(None::<Kind>)?;
        let moved = {
            let _no_grad = tch::no_grad_guard();
            let moved = self.normaliser.f_lerp(&mean.f_detach()?, RATE)?;
            self.normaliser.shallow_clone().f_copy_(&moved)?;
            moved
        };
        Ok(moved + (&mean - mean.f_detach()?))
    }
}

impl Density for Resampled {
    fn event_shape(&self) -> &[i64] {
        self.inner.event_shape()
    }

    fn log_density(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        let z = self.normaliser()?;
        let rest: Tensor = 1.0 - &z;
        let always = rest.f_pow_tensor_scalar(f64::from(self.truncation - 1))?;
        let chosen: Tensor = (1.0 - &always) / z;
        let factor = self.acceptance(x)? * chosen + always;
        Ok(self.inner.log_density(x, None)?.f_add(&factor.f_log()?)?)
    }

    fn draw(&self, count: i64, _context: Option<&Tensor>) -> Result<Tensor> {
        let mut value = self.inner.draw(count, None)?;
        let event = vec![1; self.event_shape().len()];
        let mut done = self.accepts(&value)?;
        for attempt in 1..self.truncation {
            if bool::try_from(&done.f_all()?)? {
                break;
            }
            let fresh = self.inner.draw(count, None)?;
            let kept = done.f_reshape(batched(count, &event).as_slice())?;
            value = value.f_where_self(&kept, &fresh)?;
            if attempt + 1 < self.truncation {
                done = done.f_logical_or(&self.accepts(&value)?)?;
            }
        }
        Ok(value)
    }

    fn initialize(&self, x: &Tensor, context: Option<&Tensor>) -> Result<()> {
        self.inner.initialize(x, context)?;
        self.estimate(SAMPLES_AT_START)
    }
}
