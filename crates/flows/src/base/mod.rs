//! Base distributions.

mod mixture;
mod normal;
mod uniform;

pub use mixture::NormalMixture;
pub use normal::DiagonalNormal;
pub use uniform::UniformBox;

use maxlik_tensor::Result;
use tch::{Kind, Tensor};

/// `½ ln 2π`.
const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;

/// Sums all event dimensions of `[B, event…]`.
fn sum_events(x: &Tensor) -> Result<Tensor> {
    let size = x.size();
    let count: i64 = size[1..].iter().product();
    Ok(x.f_reshape([size[0], count])?.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?)
}

/// The shape `[count, event…]`.
fn batched(count: i64, event: &[i64]) -> Vec<i64> {
    let mut shape = vec![count];
    shape.extend_from_slice(event);
    shape
}
