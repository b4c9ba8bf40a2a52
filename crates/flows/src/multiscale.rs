//! Fields on several scales: half of the channels leave after each.

use maxlik_model::{Bijection, Mapped};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// One scale of a [`Multiscale`].
#[derive(Debug)]
pub struct Level {
    /// What happens on this scale.
    pub steps: Box<dyn Bijection>,
    /// Standardises the second half of the channels given the first, such as an affine
    /// [`crate::FieldCoupling`] of the upper channels, and so acts as a learned prior
    /// `N(μ(h), σ(h)²)` of what leaves here. Missing on the last scale; without it on others, what
    /// leaves is standard normal under the base.
    pub prior: Option<Box<dyn Bijection>>,
}

/// `[C, places…] → [D]`: after each level but the last, the second half of the channels leaves, and
/// the first goes on (Dinh et al. 2017, arXiv:1605.08803, section 3.6; the learned prior as in
/// Kingma and Dhariwal 2018, arXiv:1807.03039).
///
/// A split with a learned Gaussian prior is an affine map of the half that leaves onto a standard
/// normal, so that the whole is one bijection with a triangular Jacobian and needs no base of its
/// own. The latent has what left first in front.
#[derive(Debug)]
pub struct Multiscale {
    levels: Vec<Level>,
    domain: Vec<i64>,
    codomain: [i64; 1],
    context: Option<Vec<i64>>,
}

impl Multiscale {
    /// At least one level.
    ///
    /// # Errors
    /// [`Error::Config`] for levels whose shapes or contexts do not fit each other.
    pub fn new(levels: Vec<Level>) -> Result<Self> {
        let domain = match levels.first() {
            Some(level) => level.steps.domain().to_vec(),
            None => return Err(Error::config("levels", "expected at least one level")),
        };
        let mut context: Option<Vec<i64>> = None;
        let mut expected = domain.clone();
        for (i, level) in levels.iter().enumerate() {
            let refuse = |why: String| Err(Error::config(format!("levels.{i}"), why));
            if level.steps.domain() != expected.as_slice() {
                return refuse(format!("takes {:?}, gets {expected:?}", level.steps.domain()));
            }
            expected = level.steps.codomain().to_vec();
            if let Some(prior) = &level.prior
                && (prior.domain() != expected.as_slice() || prior.codomain() != prior.domain())
            {
                return refuse(format!("the prior takes {:?}, gets {expected:?}", prior.domain()));
            }
            let last = i + 1 == levels.len();
            if last && level.prior.is_some() {
                return refuse("the last level has no prior: nothing leaves before it".to_owned());
            }
            if !last {
                let channels = expected.first().copied().unwrap_or_default();
                if channels < 2 || channels % 2 != 0 {
                    return refuse(format!("{channels} channels cannot be halved"));
                }
                expected[0] = channels / 2;
            }
            let parts = [Some(&level.steps), level.prior.as_ref()];
            for shape in parts.into_iter().flatten().filter_map(|part| part.context_shape()) {
                if context.as_deref().is_some_and(|known| known != shape) {
                    return refuse(format!("a context {shape:?}, others take {context:?}"));
                }
                context = Some(shape.to_vec());
            }
        }
        let codomain = [domain.iter().product()];
        Ok(Self { levels, domain, codomain, context })
    }
}

/// The context, where this layer takes one.
fn taken<'c>(layer: &dyn Bijection, context: Option<&'c Tensor>) -> Option<&'c Tensor> {
    layer.context_shape().and(context)
}

fn flat(x: &Tensor) -> Result<Tensor> {
    let size = x.size();
    Ok(x.f_reshape([size[0], size[1..].iter().product()])?)
}

impl Bijection for Multiscale {
    fn domain(&self) -> &[i64] {
        &self.domain
    }

    fn codomain(&self) -> &[i64] {
        &self.codomain
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.context.as_deref()
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let mut all = Mapped::volume_preserving(x.shallow_clone())?;
        let mut left = Vec::with_capacity(self.levels.len());
        for (i, level) in self.levels.iter().enumerate() {
            for part in [Some(&level.steps), level.prior.as_ref()].into_iter().flatten() {
                let next = part.map(&all.value, taken(part.as_ref(), context))?;
                all = Mapped { value: next.value, log_det: all.log_det.f_add(&next.log_det)? };
            }
            if i + 1 < self.levels.len() {
                let half = all.value.size()[1] / 2;
                left.push(flat(&all.value.f_narrow(1, half, half)?)?);
                all.value = all.value.f_narrow(1, 0, half)?;
            }
        }
        left.push(flat(&all.value)?);
        Ok(Mapped { value: Tensor::f_cat(&left, 1)?, log_det: all.log_det })
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let rows = z.size()[0];
        let mut rest = z.size()[1];
        let mut all: Option<Mapped> = None;
        for level in self.levels.iter().rev() {
            let mut shape = vec![rows];
            shape.extend_from_slice(level.steps.codomain());
            if all.is_some() {
                shape[1] /= 2;
            }
            let count = shape[1..].iter().product::<i64>();
            rest -= count;
            let part = z.f_narrow(1, rest, count)?.f_reshape(shape.as_slice())?;
            let mut done = match all {
                Some(Mapped { value, log_det }) => {
                    Mapped { value: Tensor::f_cat(&[value, part], 1)?, log_det }
                }
                None => Mapped::volume_preserving(part)?,
            };
            for part in [level.prior.as_ref(), Some(&level.steps)].into_iter().flatten() {
                let next = part.unmap(&done.value, taken(part.as_ref(), context))?;
                done = Mapped { value: next.value, log_det: done.log_det.f_add(&next.log_det)? };
            }
            all = Some(done);
        }
        all.ok_or_else(|| Error::config("levels", "expected at least one level"))
    }

    fn initialize(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let mut value = x.shallow_clone();
        let mut left = Vec::with_capacity(self.levels.len());
        for (i, level) in self.levels.iter().enumerate() {
            for part in [Some(&level.steps), level.prior.as_ref()].into_iter().flatten() {
                value = part.initialize(&value, taken(part.as_ref(), context))?;
            }
            if i + 1 < self.levels.len() {
                let half = value.size()[1] / 2;
                left.push(flat(&value.f_narrow(1, half, half)?)?);
                value = value.f_narrow(1, 0, half)?;
            }
        }
        left.push(flat(&value)?);
        Ok(Tensor::f_cat(&left, 1)?)
    }
}
