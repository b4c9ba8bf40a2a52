//! Velocity and score learned together: a stochastic process with given marginals.

use super::{Coupling, Draws, FlowMatching, Path, batch_mean, column, rows_of, square_norm};
use maxlik_model::{Batch, Loss, Metric, Objective, VectorField};
use maxlik_tensor::{Error, Result, check};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use tch::{Kind, Tensor};

/// A velocity field and the score of the marginals that it carries along.
#[derive(Debug)]
pub struct FlowAndScore {
    /// `u°_t(x)`, the velocity of the probability flow.
    pub velocity: Box<dyn VectorField>,
    /// `∇ₓ ln p_t(x)`, of the shape of `x`.
    pub score: Box<dyn VectorField>,
}

/// Simulation-free Schrödinger bridges by score and flow matching:
/// `E[‖v(t, x_t) − u°_t‖² + λ_t² ‖s(t, x_t) − ∇ ln p_t(x_t | x₀, x₁)‖²]` along Brownian bridges between
/// entropically paired ends (Tong et al. 2023, "Simulation-free Schrödinger bridges via score and flow
/// matching", arXiv:2307.03672, algorithm 1).
///
/// The conditional score is `−ε/σ_t`, and `λ_t = σ_t = σ √(t(1−t))`, so that the second term is
/// `‖σ_t s + ε‖²`, of order one at all times. (The paper's `λ_t = 2σ_t/σ²` is the same for a network that predicts
/// `σ²/2 · s`.)
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreAndFlow {
    matching: FlowMatching,
    sigma: f64,
}

/// [`ScoreAndFlow`] in a configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreAndFlowConfig {
    /// Diffusion of the bridge.
    pub sigma: f64,
    /// The coupling of the ends, where it is not the entropic one of the bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupling: Option<Coupling>,
}

impl ScoreAndFlowConfig {
    /// The objective.
    ///
    /// # Errors
    /// [`Error::Config`] for a `sigma` that is not positive, and a coupling that
    /// [`Coupling::check`] refuses.
    pub fn build(self) -> Result<ScoreAndFlow> {
        let bridge = ScoreAndFlow::new(self.sigma)?;
        self.coupling.map_or(Ok(bridge), |coupling| bridge.coupled(coupling))
    }
}

impl ScoreAndFlow {
    /// The bridge of diffusion `sigma`.
    ///
    /// # Errors
    /// [`Error::Config`] for a `sigma` that is not positive.
    pub fn new(sigma: f64) -> Result<Self> {
        Ok(Self { matching: FlowMatching::schroedinger_bridge(sigma)?, sigma })
    }

    /// The same with another coupling of the ends.
    ///
    /// # Errors
    /// Those of [`FlowMatching::coupled`].
    pub fn coupled(self, coupling: Coupling) -> Result<Self> {
        Ok(Self { matching: self.matching.coupled(coupling)?, ..self })
    }

    /// The loss between a sample of the source and the batch, of one shape, paired here.
    ///
    /// # Errors
    /// As [`FlowMatching::loss_between`].
    pub fn loss_between(
        &self,
        model: &FlowAndScore,
        source: &Tensor,
        batch: &Batch,
    ) -> Result<Loss> {
        let draws = self.matching.draw(source, batch)?;
        let Terms { flow, score } = self.loss_at(model, batch, &draws)?;
        let metric = |name, each: &Tensor| -> Result<Metric> {
            Ok(Metric { name, value: each.f_mean(None::<Kind>)?.f_detach()? })
        };
        let metrics = vec![metric("flow", &flow)?, metric("score", &score)?];
        let value = batch_mean(&flow.f_add(&score)?, batch.weight.as_ref())?;
        Ok(Loss { value, metrics })
    }

    /// Both terms of each row for given random numbers.
    ///
    /// # Errors
    /// [`Error::Shape`] for draws or predictions that do not fit, and those of the model.
    pub fn loss_at(&self, model: &FlowAndScore, batch: &Batch, draws: &Draws) -> Result<Terms> {
        let Draws { t, source, noise } = draws;
        let (data, context) = (&batch.data, batch.context.as_ref());
        let flow = self.matching.loss_at(model.velocity.as_ref(), batch, t, source, noise)?;
        let path = Path::Bridge { sigma: self.sigma };
        let point = path.at(t, source, data, noise)?;
        let score = model.score.velocity(t, &point.x, context)?;
        check::shape("score", &score, &data.size())?;
        let scaled = score.f_mul(&column(&path.std(t)?, data)?)?;
        Ok(Terms { flow, score: square_norm(&scaled.f_add(noise)?)? })
    }
}

/// The terms of [`ScoreAndFlow`], each `[B]`.
#[derive(Debug)]
pub struct Terms {
    /// `‖v − u°‖²`.
    pub flow: Tensor,
    /// `‖σ_t s + ε‖²`.
    pub score: Tensor,
}

impl Objective<FlowAndScore> for ScoreAndFlow {
    fn loss(&self, model: &FlowAndScore, batch: &Batch) -> Result<Loss> {
        rows_of(&batch.data)?;
        self.loss_between(model, &batch.data.f_randn_like()?, batch)
    }
}

/// The drift `u° + σ²/2 · s` of the process `dx = drift dt + σ dW`, which has the marginals of the
/// flow (Tong et al. 2023, arXiv:2307.03672, sec. 2). With `σ` another than in training it still has
/// them, as far as velocity and score are exact.
#[derive(Debug, Clone)]
pub struct SdeDrift {
    model: Arc<Mutex<FlowAndScore>>,
    sigma: f64,
}

impl SdeDrift {
    /// The drift for diffusion `sigma`.
    ///
    /// # Errors
    /// [`Error::Config`] for a negative `sigma`.
    pub fn new(model: FlowAndScore, sigma: f64) -> Result<Self> {
        if sigma >= 0.0 && sigma.is_finite() {
            return Ok(Self { model: Arc::new(Mutex::new(model)), sigma });
        }
        Err(Error::config("sigma", format!("expected a number of at least 0, got {sigma}")))
    }
}

impl VectorField for SdeDrift {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        let score = model.score.velocity(t, x, context)?;
        let pull = score.f_mul_scalar(0.5 * self.sigma * self.sigma)?;
        Ok(model.velocity.velocity(t, x, context)?.f_add(&pull)?)
    }
}
