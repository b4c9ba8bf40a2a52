//! A density from a bijection and a base.

use crate::score;
use maxlik_model::{Bijection, Density, PathDensity, PropagateScore, Propagated, Sampled};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// The density of data whose image under a bijection has a base density:
/// `ln p(x) = ln p_base(f(x)) + ln |det ∂f/∂x|` (the change of variables; Rezende and Mohamed 2015,
/// arXiv:1505.05770).
///
/// A flow is a density, so that flows nest and serve as bases.
#[derive(Debug)]
pub struct Flow {
    transform: Box<dyn Bijection>,
    base: Box<dyn Density>,
    context: Option<Vec<i64>>,
}

impl Flow {
    /// The flow of this bijection and base. Both see the same context, where they take one.
    ///
    /// # Errors
    /// [`Error::Config`] where the shapes of latent events or of contexts differ.
    pub fn new(transform: Box<dyn Bijection>, base: Box<dyn Density>) -> Result<Self> {
        if transform.codomain() != base.event_shape() {
            let (out, event) = (transform.codomain(), base.event_shape());
            return Err(Error::config(
                "base",
                format!("the layers give {out:?}, the base takes {event:?}"),
            ));
        }
        let context = match (transform.context_shape(), base.context_shape()) {
            (Some(a), Some(b)) if a != b => {
                let why = format!("the layers take a context {a:?}, the base takes {b:?}");
                return Err(Error::config("base", why));
            }
            (a, b) => a.or(b).map(<[i64]>::to_vec),
        };
        Ok(Self { transform, base, context })
    }

    /// The bijection from data to latent.
    #[must_use]
    pub fn transform(&self) -> &dyn Bijection {
        self.transform.as_ref()
    }

    /// The density of latents.
    #[must_use]
    pub fn base(&self) -> &dyn Density {
        self.base.as_ref()
    }

    fn for_base<'c>(&self, context: Option<&'c Tensor>) -> Option<&'c Tensor> {
        self.base.context_shape().and(context)
    }

    fn for_transform<'c>(&self, context: Option<&'c Tensor>) -> Option<&'c Tensor> {
        self.transform.context_shape().and(context)
    }
}

impl Density for Flow {
    fn event_shape(&self) -> &[i64] {
        self.transform.domain()
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.context.as_deref()
    }

    fn log_density(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let mapped = self.transform.map(x, self.for_transform(context))?;
        let base = self.base.log_density(&mapped.value, self.for_base(context))?;
        Ok(base.f_add(&mapped.log_det)?)
    }

    fn unnormalized(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let mapped = self.transform.map_unnormalized(x, self.for_transform(context))?;
        let base = self.base.unnormalized(&mapped.value, self.for_base(context))?;
        Ok(base.f_add(&mapped.log_det)?)
    }

    fn draw(&self, count: i64, context: Option<&Tensor>) -> Result<Tensor> {
        let z = self.base.draw(count, self.for_base(context))?;
        Ok(self.transform.unmap(&z, self.for_transform(context))?.value)
    }

    fn rsample_and_log_prob(&self, count: i64, context: Option<&Tensor>) -> Result<Sampled> {
        let base = self.base.rsample_and_log_prob(count, self.for_base(context))?;
        let mapped = self.transform.unmap(&base.value, self.for_transform(context))?;
        Ok(Sampled { value: mapped.value, log_prob: base.log_prob.f_sub(&mapped.log_det)? })
    }

    fn initialize(&self, x: &Tensor, context: Option<&Tensor>) -> Result<()> {
        let z = self.transform.initialize(x, self.for_transform(context))?;
        self.base.initialize(&z, self.for_base(context))
    }
}

impl PropagateScore for Flow {
    fn map_score(
        &self,
        x: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        score::map_score(self.transform(), x, score, self.for_transform(context))
    }

    fn unmap_score(
        &self,
        z: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        score::unmap_score(self.transform(), z, score, self.for_transform(context))
    }
}

impl PathDensity for Flow {
    fn base(&self) -> &dyn Density {
        self.base.as_ref()
    }

    fn transform(&self) -> &dyn Bijection {
        self.transform.as_ref()
    }
}
