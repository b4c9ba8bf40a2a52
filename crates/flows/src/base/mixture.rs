//! Mixtures of normals.

use super::{HALF_LN_TAU, batched};
use maxlik_model::Density;
use maxlik_nn::{Init, Scope};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// `Σ_k w_k N(mean_k, diag(e^{2 log_std_k}))` on `[D]`, all parameters trained; weights are a softmax.
///
/// Memory `B·K·D` for a log-density.
#[derive(Debug)]
pub struct NormalMixture {
    shape: [i64; 1],
    logits: Tensor,
    mean: Tensor,
    log_std: Tensor,
}

impl NormalMixture {
    /// `components` normals with equal weights, unit variances and means drawn from the standard
    /// normal.
    ///
    /// # Errors
    /// [`Error::Config`] for no components, and those of [`Scope::param`].
    pub fn new(scope: &Scope<'_>, dims: i64, components: i64) -> Result<Self> {
        if components < 1 {
            let why = format!("expected at least one component, got {components}");
            return Err(Error::config("components", why));
        }
        Ok(Self {
            shape: [dims],
            logits: scope.param("logits", &[components], Init::Constant(0.0))?,
            mean: scope.param("mean", &[components, dims], Init::Normal(1.0))?,
            log_std: scope.param("log_std", &[components, dims], Init::Constant(0.0))?,
        })
    }
}

impl Density for NormalMixture {
    fn event_shape(&self) -> &[i64] {
        &self.shape
    }

    fn log_density(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        let z = (x.f_unsqueeze(1)? - &self.mean) * (-&self.log_std).f_exp()?;
        let each = (z.f_square()? * -0.5 - &self.log_std - HALF_LN_TAU).f_sum_dim_intlist(
            [-1_i64].as_slice(),
            false,
            None::<Kind>,
        )?;
        let weighted = each + self.logits.f_log_softmax(0, None::<Kind>)?;
        Ok(weighted.f_logsumexp([1_i64].as_slice(), false)?)
    }

    fn draw(&self, count: i64, _context: Option<&Tensor>) -> Result<Tensor> {
        let options = (self.mean.kind(), self.mean.device());
        if count == 0 {
            return Ok(Tensor::f_zeros(batched(0, &self.shape).as_slice(), options)?);
        }
        let component = self.logits.f_softmax(0, None::<Kind>)?.f_multinomial(count, true)?;
        let z = Tensor::f_randn(batched(count, &self.shape).as_slice(), options)?;
        let std = self.log_std.f_index_select(0, &component)?.f_exp()?;
        Ok(z * std + self.mean.f_index_select(0, &component)?)
    }
}
