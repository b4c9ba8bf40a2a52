//! Random inputs on a given support.

use maxlik_tensor::with_seed;
use tch::{Tensor, kind::DOUBLE_CPU};

/// Where the inputs of a map live.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Support {
    /// All real numbers; drawn from a normal of this standard deviation.
    Real(f64),
    /// Positive numbers.
    Positive,
    /// An open interval.
    Interval(f64, f64),
}

impl Support {
    /// `[batch, event…]` numbers on the support, in double precision.
    pub fn draw(self, seed: u64, batch: i64, event: &[i64]) -> Tensor {
        let mut shape = vec![batch];
        shape.extend_from_slice(event);
        match self {
            Self::Real(std) => normal(seed, &shape) * std,
            Self::Positive => normal(seed, &shape).exp(),
            Self::Interval(low, high) => {
                let unit = with_seed(seed, || Tensor::rand(&shape, DOUBLE_CPU));
                (unit * 0.98 + 0.01) * (high - low) + low
            }
        }
    }

    /// As [`Support::draw`], but far out where the support is unbounded.
    pub fn draw_far(self, seed: u64, batch: i64, event: &[i64]) -> Tensor {
        match self {
            Self::Real(std) => Self::Real(10.0 * std).draw(seed, batch, event),
            Self::Positive => self.draw(seed, batch, event) * 10.0,
            Self::Interval(..) => self.draw(seed, batch, event),
        }
    }
}

/// A standard normal tensor that depends on the seed alone, in double precision.
pub fn normal(seed: u64, shape: &[i64]) -> Tensor {
    with_seed(seed, || Tensor::randn(shape, DOUBLE_CPU))
}
