//! Normalised densities.

use maxlik_tensor::{Error, Result, check};
use std::fmt::Debug;
use tch::Tensor;

/// Differentiable samples and their log-probabilities.
#[derive(Debug)]
pub struct Sampled {
    /// Samples `[count, …]`, differentiable by the model's parameters.
    pub value: Tensor,
    /// `ln p` of each sample, `[count]`, in nats.
    pub log_prob: Tensor,
}

/// A density that integrates to one over its event space.
pub trait Density: Debug + Send {
    /// Shape of one event.
    fn event_shape(&self) -> &[i64];

    /// Event shape of the context that the density is conditioned on, if any.
    fn context_shape(&self) -> Option<&[i64]> {
        None
    }

    /// `ln p(x | context)` unchecked: `[B, event…] → [B]`, in nats.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn log_density(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor>;

    /// `ln p(x | context)` up to a number that does not depend on `x` (but may depend on parameters),
    /// unchecked: `[B, event…] → [B]`. Cheaper than [`Density::log_density`] where that number is.
    ///
    /// # Errors
    /// As [`Density::log_density`].
    fn unnormalized(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.log_density(x, context)
    }

    /// `count` samples, unchecked: `[count, event…]`; a context has one row for each sample.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn draw(&self, count: i64, context: Option<&Tensor>) -> Result<Tensor>;

    /// `ln p(x | context)`: `[B, event…] → [B]`, in nats.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Kind`] or [`Error::Device`] naming the argument that does not fit,
    /// and those of [`Density::log_density`].
    fn log_prob(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        check::floating("x", x)?;
        check::batch_of("x", x, self.event_shape())?;
        check::context(x, context, self.context_shape())?;
        self.log_density(x, context)
    }

    /// As [`Density::log_prob`], up to a number that does not depend on `x`.
    ///
    /// # Errors
    /// As [`Density::log_prob`].
    fn unnormalized_log_prob(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        check::floating("x", x)?;
        check::batch_of("x", x, self.event_shape())?;
        check::context(x, context, self.context_shape())?;
        self.unnormalized(x, context)
    }

    /// `count` samples `[count, event…]` without a graph; a context has one row for each.
    ///
    /// # Errors
    /// [`Error::Config`] for a negative count, [`Error::Shape`] for a context that does not fit,
    /// and those of [`Density::draw`].
    fn sample(&self, count: i64, context: Option<&Tensor>) -> Result<Tensor> {
        check_draw(count, context, self.context_shape())?;
        let _no_grad = tch::no_grad_guard();
        self.draw(count, context)
    }

    /// Differentiable samples with their log-probabilities, where the density has them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where it has not.
    fn rsample_and_log_prob(&self, count: i64, context: Option<&Tensor>) -> Result<Sampled> {
        let _unused = (count, context);
        Err(Error::unsupported("a differentiable sample of this density"))
    }

    /// Lets layers whose initial values come from data take them from this batch.
    ///
    /// # Errors
    /// As [`Density::log_density`].
    fn initialize(&self, x: &Tensor, context: Option<&Tensor>) -> Result<()> {
        let _unused = (x, context);
        Ok(())
    }
}

fn check_draw(count: i64, context: Option<&Tensor>, expected: Option<&[i64]>) -> Result<()> {
    if count < 0 {
        return Err(Error::config("count", format!("expected a number of samples, got {count}")));
    }
    match (context, expected) {
        (None, None) => Ok(()),
        (Some(given), Some(event)) => {
            let rows = check::batch_of("context", given, event)?;
            if rows == count {
                return Ok(());
            }
            Err(Error::shape(
                "context",
                format!("{count} rows, one for each sample"),
                &given.size(),
            ))
        }
        (Some(given), None) => Err(Error::shape("context", "none", &given.size())),
        (None, Some(event)) => Err(Error::Shape {
            what: "context".to_owned(),
            expected: format!("{count} rows of {event:?}"),
            got: "none".to_owned(),
        }),
    }
}
