//! Free-form injective flows.

use crate::score::sum_events;
use maxlik_model::{Batch, InjectiveDensity, Loss, Metric, Objective};
use maxlik_tensor::autograd::{self, Graph};
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Where the change of volume is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Volume {
    /// At the data point, off the manifold: the estimator below.
    #[default]
    OffManifold,
    /// At the projection, on the manifold: the exact negative log-likelihood of
    /// `Density::log_prob`. It rewards manifolds whose curvature gathers the data and need not have a
    /// minimum; it is here for comparison.
    OnManifold,
}

/// `β ‖x̃ − g(f(x̃))‖² − ln p_Z(f(x̃)) − (1/K) Σ_k ⟨v_kᵀ f'(x̃), SG[g'(z) v_k]⟩` with `x̃ = x + σε`, the
/// maximum likelihood of an encoder `f` and a decoder `g` of any architecture (Sorrenson et al. 2024,
/// "Lifting architectural constraints of injective flows", arXiv:2306.01843, eqs. 11 and 15).
///
/// The last term is a surrogate: in the mean over probes with `E[v vᵀ] = I` its gradient is that of
/// `½ ln det(f' f'ᵀ)` where `g'` is the pseudo-inverse of `f'`, to which the reconstruction leads. Its
/// value means nothing, and so does that of the loss. Distances and likelihoods are summed over
/// coordinates, in squared units of the data and nats. The metric `reconstruction` is the mean squared
/// distance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FreeForm {
    /// Weight of the reconstruction, `β`.
    pub beta: f64,
    /// Probes for each row, `K`; with as many as latent dimensions the surrogate has no noise.
    pub probes: i64,
    /// Standard deviation `σ` of the noise on data.
    pub noise: f64,
    /// Where the change of volume is taken.
    pub volume: Volume,
}

impl Default for FreeForm {
    fn default() -> Self {
        Self { beta: 10.0, probes: 1, noise: 0.0, volume: Volume::default() }
    }
}

impl FreeForm {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Config`] for a weight or noise that is negative or not finite, or no probes.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("beta", self.beta), ("noise", self.noise)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::config(name, format!("expected a number ≥ 0, got {value}")));
            }
        }
        if self.probes < 1 {
            let why = format!("expected at least one, got {}", self.probes);
            return Err(Error::config("probes", why));
        }
        Ok(())
    }

    /// The loss at given (noisy) data and probes `[K, B, d]`; the probes are not used on the manifold.
    ///
    /// # Errors
    /// [`Error::Shape`] for probes that do not fit, and those of the model.
    pub fn loss_at(
        &self,
        model: &dyn InjectiveDensity,
        x: &Tensor,
        context: Option<&Tensor>,
        probes: &Tensor,
    ) -> Result<Loss> {
        autograd::recorded(|| {
            let x = autograd::leaf(x)?;
            let z = model.encode(&x, context)?;
            let back = model.decode(&z, context)?;
            let distance = sum_events(&(&x - &back).f_square()?)?.f_mean(None::<Kind>)?;
            let likelihood = match self.volume {
                Volume::OnManifold => model.log_prob(&x, context)?.f_mean(None::<Kind>)?,
                Volume::OffManifold => {
                    let inner = model.latents().context_shape().and(context);
                    let latent = model.latents().log_density(&z, inner)?.f_mean(None::<Kind>)?;
                    latent.f_add(&surrogate(&x, &z, &back, probes)?)?
                }
            };
            let metrics = vec![Metric { name: "reconstruction", value: distance.f_detach()? }];
            Ok(Loss { value: distance * self.beta - likelihood, metrics })
        })
    }
}

/// `(1/K) Σ_k mean ⟨v_kᵀ f'(x), SG[g'(z) v_k]⟩` from recorded `x → z → g(z)`.
fn surrogate(x: &Tensor, z: &Tensor, back: &Tensor, probes: &Tensor) -> Result<Tensor> {
    let size = z.size();
    match probes.size().as_slice() {
        [count, event @ ..] if *count > 0 && event == size.as_slice() => {}
        got => return Err(Error::shape("probes", format!("[K, {}, {}]", size[0], size[1]), got)),
    }
    let each = probes.f_unbind(0)?;
    let count = each.len() as f64;
    let mut sum = Tensor::f_zeros([], (z.kind(), z.device()))?;
    for v in &each {
        let pulled = autograd::gradient(z, Some(v), x, Graph::Differentiable)?;
        let pushed = autograd::jvp_of(back, z, v, Graph::Keep)?.f_detach()?;
        sum = sum.f_add(&sum_events(&pulled.f_mul(&pushed)?)?.f_mean(None::<Kind>)?)?;
    }
    Ok(sum / count)
}

/// `count` probes for each of `rows`, `[count, rows, dims]`: orthogonal columns of random frames scaled
/// to `‖v‖² = dims`, so that `E[v vᵀ] = I`, and exactly `(1/K) Σ v vᵀ = I` for `count = dims`.
///
/// # Errors
/// [`Error::Config`] for other than 1 to `dims` probes.
pub fn orthogonal_probes(count: i64, rows: i64, like: &Tensor) -> Result<Tensor> {
    let dims = like.size().last().copied().unwrap_or_default();
    if !(1..=dims).contains(&count) {
        return Err(Error::config("probes", format!("expected 1 to {dims}, got {count}")));
    }
    let gaussian = Tensor::f_randn([rows, dims, count], (like.kind(), like.device()))?;
    let (frame, _) = Tensor::f_linalg_qr(&gaussian, "reduced")?;
    Ok(frame.f_permute([2_i64, 0, 1].as_slice())? * (dims as f64).sqrt())
}

impl Objective<dyn InjectiveDensity> for FreeForm {
    fn loss(&self, model: &(dyn InjectiveDensity + 'static), batch: &Batch) -> Result<Loss> {
        self.check()?;
        let x = &batch.data + batch.data.f_randn_like()? * self.noise;
        let rows = x.size().first().copied().unwrap_or_default();
        if rows == 0 {
            return Err(Error::shape("data", "a batch of at least one row", &x.size()));
        }
        let dims = model.latents().event_shape().first().copied().unwrap_or_default();
        let like = Tensor::f_zeros([dims], (x.kind(), x.device()))?;
        let probes = orthogonal_probes(self.probes, rows, &like)?;
        self.loss_at(model, &x, batch.context.as_ref(), &probes)
    }
}
