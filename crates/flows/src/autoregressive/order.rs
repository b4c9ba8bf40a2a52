//! The order in which coordinates depend on each other.

use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which coordinates a coordinate depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Each on those before it.
    #[default]
    Forward,
    /// Each on those after it.
    Reverse,
    /// The rank of each coordinate, each of `0..D` once: each depends on those of lower rank.
    Ranks(Vec<i64>),
}

impl Order {
    /// The orders of a stack that alternates.
    #[must_use]
    pub fn alternating(layer: usize) -> Self {
        if layer.is_multiple_of(2) { Self::Forward } else { Self::Reverse }
    }

    /// The rank of each of `dims` coordinates.
    ///
    /// # Errors
    /// [`Error::Config`] where other ranks than one for each coordinate are given.
    pub fn ranks(&self, dims: i64) -> Result<Vec<i64>> {
        match self {
            Self::Forward => Ok((0..dims).collect()),
            Self::Reverse => Ok((0..dims).rev().collect()),
            Self::Ranks(ranks) if ranks.len() as i64 == dims => Ok(ranks.clone()),
            Self::Ranks(ranks) => {
                let got = ranks.len();
                let why = format!("expected one rank for each of {dims} coordinates, got {got}");
                Err(Error::config("order", why))
            }
        }
    }
}
