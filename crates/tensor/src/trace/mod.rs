//! Traces and Jacobians of maps whose rows do not interact: exact, or estimated with probes that the
//! caller passes in (fixed along a trajectory, drawn again at each step, or from a test).
//!
//! | function | products with the Jacobian | variance |
//! |---|---|---|
//! | [`exact`], [`jacobian`] | `D` | none |
//! | [`hutchinson`] | one a probe | `2 (‖S‖² − Σ s_ii²)` over the probes for Rademacher, `S` the symmetric part |
//! | [`hutch_plus_plus`] | `3 m` with `m` probes of each kind | falls with `1/m²` |

mod exact;
mod hutch_plus_plus;
mod hutchinson;
mod probe;

pub use exact::{Sweep, exact, jacobian};
pub use hutch_plus_plus::hutch_plus_plus;
pub use hutchinson::hutchinson;
pub use probe::Probe;

use crate::Result;
use tch::{Kind, Tensor};

/// `Σ aᵢ bᵢ` over all but the first dimension.
pub(crate) fn row_product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let product = a.f_mul(b)?;
    let size = product.size();
    let count: i64 = size[1..].iter().product();
    let flat = product.f_reshape([size[0], count])?;
    Ok(flat.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?)
}
