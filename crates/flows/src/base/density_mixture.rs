//! Mixtures of any densities, such as flows.

use super::batched;
use super::product::{shared_context, taken};
use maxlik_model::Density;
use maxlik_nn::{Init, Scope};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// `p(x) = Σ_k w_k p_k(x)` of densities on the same events, with trained weights (a softmax). With
/// flows as components it has as many parts as the data, which one flow, being continuous, cannot
/// separate (Cornish et al. 2020, "Relaxing bijectivity constraints with continuously indexed
/// normalising flows", arXiv:1909.13833, section 2.1, says why).
///
/// Cost that of all components for a log-density; a sample is drawn from its own component alone.
#[derive(Debug)]
pub struct DensityMixture {
    shape: Vec<i64>,
    logits: Tensor,
    components: Vec<Box<dyn Density>>,
    context: Option<Vec<i64>>,
}

impl DensityMixture {
    /// A mixture with equal weights.
    ///
    /// # Errors
    /// [`Error::Config`] for no components, and where their events or contexts differ.
    pub fn new(scope: &Scope<'_>, components: Vec<Box<dyn Density>>) -> Result<Self> {
        let Some(first) = components.first() else {
            return Err(Error::config("components", "expected at least one component"));
        };
        let shape = first.event_shape().to_vec();
        if let Some(other) = components.iter().find(|c| c.event_shape() != shape) {
            let why = format!("events {shape:?} and {:?} differ", other.event_shape());
            return Err(Error::config("components", why));
        }
        let context = shared_context("components", &components)?;
        let logits = scope.param("logits", &[components.len() as i64], Init::Constant(0.0))?;
        Ok(Self { shape, logits, components, context })
    }
}

impl Density for DensityMixture {
    fn event_shape(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.context.as_deref()
    }

    fn log_density(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let each = self.components.iter().map(|c| c.log_density(x, taken(c.as_ref(), context)));
        let each = Tensor::f_stack(&each.collect::<Result<Vec<_>>>()?, 1)?;
        let weighted = each + self.logits.f_log_softmax(0, None::<Kind>)?;
        Ok(weighted.f_logsumexp([1_i64].as_slice(), false)?)
    }

    fn draw(&self, count: i64, context: Option<&Tensor>) -> Result<Tensor> {
        let options = (self.logits.kind(), self.logits.device());
        let value = Tensor::f_zeros(batched(count, &self.shape).as_slice(), options)?;
        if count == 0 {
            return Ok(value);
        }
        let chosen = self.logits.f_softmax(0, None::<Kind>)?.f_multinomial(count, true)?;
        let mut value = value;
        for (k, component) in self.components.iter().enumerate() {
            let rows = chosen.f_eq(k as i64)?.f_nonzero()?.f_squeeze_dim(1)?;
            if rows.numel() == 0 {
                continue;
            }
            let given = taken(component.as_ref(), context);
            let given = given.map(|c| c.f_index_select(0, &rows)).transpose()?;
            let some = component.draw(rows.size()[0], given.as_ref())?;
            value = value.f_index_copy(0, &rows, &some)?;
        }
        Ok(value)
    }

    fn initialize(&self, x: &Tensor, context: Option<&Tensor>) -> Result<()> {
        self.components.iter().try_for_each(|c| c.initialize(x, taken(c.as_ref(), context)))
    }
}
