//! Where a layer or a density takes its numbers from: training, or a network of the context.

use crate::NetworkConfig;
use maxlik_nn::{Network, Scope};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// `P` raw numbers, the same for every sample (trained) or computed from the context of each.
#[derive(Debug)]
pub struct Parameters {
    source: Source,
    count: i64,
}

#[derive(Debug)]
enum Source {
    /// `[1, P]`.
    Trained(Tensor),
    /// `[B, P]`: the network's output is added to the start `[1, P]`.
    Computed { network: Box<dyn Network>, start: Tensor, context: [i64; 1] },
}

impl Parameters {
    /// Trained numbers under the name `raw`, which start here.
    ///
    /// # Errors
    /// Those of [`Scope::param_from`].
    pub fn trained(scope: &Scope<'_>, start: &Tensor) -> Result<Self> {
        let start = start.f_reshape([1, -1])?;
        let count = start.size()[1];
        // A map without parameters leaves no entry in checkpoints.
        let raw = match count {
            0 => start.f_to_kind(scope.kind())?.f_to_device(scope.device())?,
            _ => scope.param_from("raw", &start)?,
        };
        Ok(Self { source: Source::Trained(raw), count })
    }

    /// Numbers that a network computes from the context, around this start.
    ///
    /// # Errors
    /// Those of the network.
    pub fn computed(
        scope: &Scope<'_>,
        start: &Tensor,
        context: i64,
        network: &NetworkConfig,
    ) -> Result<Self> {
        let start = start.f_reshape([1, -1])?;
        let count = start.size()[1];
        let network = network.build(&scope.sub("net"), context, 0, count)?;
        // A random start belongs to checkpoints.
        let start = scope.buffer("start", &start.f_to_kind(scope.kind())?)?;
        Ok(Self { source: Source::Computed { network, start, context: [context] }, count })
    }

    /// Trained numbers without a network, else computed ones.
    ///
    /// # Errors
    /// [`Error::Config`] for a network without a context, and those of both.
    pub fn new(
        scope: &Scope<'_>,
        start: &Tensor,
        context: Option<i64>,
        network: Option<&NetworkConfig>,
    ) -> Result<Self> {
        match (network, context) {
            (None, _) => Self::trained(scope, start),
            (Some(network), Some(context)) => Self::computed(scope, start, context, network),
            (Some(_), None) => {
                Err(Error::config("network", "a network of the context needs a context"))
            }
        }
    }

    /// Event shape of the context, where the numbers depend on it.
    #[must_use]
    pub fn context_shape(&self) -> Option<&[i64]> {
        match &self.source {
            Source::Trained(_) => None,
            Source::Computed { context, .. } => Some(context),
        }
    }

    /// `[rows, P]`.
    ///
    /// # Errors
    /// Those of the network, and [`Error::Shape`] for a missing context.
    pub fn get(&self, rows: i64, context: Option<&Tensor>) -> Result<Tensor> {
        match (&self.source, context) {
            (Source::Trained(raw), _) => Ok(raw.f_expand([rows, self.count], false)?),
            (Source::Computed { network, start, .. }, Some(context)) => {
                Ok(network.forward(context, None)?.f_add(start)?)
            }
            (Source::Computed { .. }, None) => Err(Error::Shape {
                what: "context".to_owned(),
                expected: format!("{rows} rows"),
                got: "none".to_owned(),
            }),
        }
    }
}
