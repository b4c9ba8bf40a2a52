//! Independent parts.

use maxlik_model::{Density, Sampled};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// `p(x) = Π p_i(x_i)` of densities on `[D_i]`, for the concatenation of their events: for example
/// angles and lengths side by side. All parts see the same context, where they take one.
#[derive(Debug)]
pub struct Product {
    shape: [i64; 1],
    sizes: Vec<i64>,
    parts: Vec<Box<dyn Density>>,
    context: Option<Vec<i64>>,
}

impl Product {
    /// The product of at least one density on flat events.
    ///
    /// # Errors
    /// [`Error::Config`] for no parts, for events that are not flat, and for contexts that differ.
    pub fn new(parts: Vec<Box<dyn Density>>) -> Result<Self> {
        let mut sizes = Vec::with_capacity(parts.len());
        for part in &parts {
            let &[size] = part.event_shape() else {
                let why = format!("expected flat events, got {:?}", part.event_shape());
                return Err(Error::config("parts", why));
            };
            sizes.push(size);
        }
        let context = shared_context("parts", &parts)?;
        if parts.is_empty() {
            return Err(Error::config("parts", "expected at least one part"));
        }
        Ok(Self { shape: [sizes.iter().sum()], sizes, parts, context })
    }
}

/// The context that all densities take which take one.
pub(super) fn shared_context(
    field: &str,
    densities: &[Box<dyn Density>],
) -> Result<Option<Vec<i64>>> {
    let mut context: Option<Vec<i64>> = None;
    for (i, density) in densities.iter().enumerate() {
        let Some(shape) = density.context_shape() else { continue };
        if context.as_deref().is_some_and(|known| known != shape) {
            let why = format!("number {i} takes a context {shape:?}, those before {context:?}");
            return Err(Error::config(field, why));
        }
        context = Some(shape.to_vec());
    }
    Ok(context)
}

/// The context, where this density takes one.
pub(super) fn taken<'c>(density: &dyn Density, context: Option<&'c Tensor>) -> Option<&'c Tensor> {
    density.context_shape().and(context)
}

/// The sum of at least one tensor.
fn sum(each: Vec<Tensor>) -> Result<Tensor> {
    let mut each = each.into_iter();
    let first = each.next().ok_or_else(|| Error::config("parts", "expected at least one part"))?;
    each.try_fold(first, |a, b| Ok(a.f_add(&b)?))
}

impl Density for Product {
    fn event_shape(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.context.as_deref()
    }

    fn log_density(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let pieces = x.f_split_with_sizes(self.sizes.as_slice(), 1)?;
        let pairs = self.parts.iter().zip(&pieces);
        let each = pairs.map(|(part, x)| part.log_density(x, taken(part.as_ref(), context)));
        sum(each.collect::<Result<Vec<_>>>()?)
    }

    fn draw(&self, count: i64, context: Option<&Tensor>) -> Result<Tensor> {
        let each = self.parts.iter().map(|part| part.draw(count, taken(part.as_ref(), context)));
        Ok(Tensor::f_cat(&each.collect::<Result<Vec<_>>>()?, 1)?)
    }

    fn rsample_and_log_prob(&self, count: i64, context: Option<&Tensor>) -> Result<Sampled> {
        let (mut values, mut logs) = (Vec::new(), Vec::new());
        for part in &self.parts {
            let Sampled { value, log_prob } =
                part.rsample_and_log_prob(count, taken(part.as_ref(), context))?;
            values.push(value);
            logs.push(log_prob);
        }
        Ok(Sampled { value: Tensor::f_cat(&values, 1)?, log_prob: sum(logs)? })
    }

    fn initialize(&self, x: &Tensor, context: Option<&Tensor>) -> Result<()> {
        let pieces = x.f_split_with_sizes(self.sizes.as_slice(), 1)?;
        let mut pairs = self.parts.iter().zip(&pieces);
        pairs.try_for_each(|(part, x)| part.initialize(x, taken(part.as_ref(), context)))
    }
}
