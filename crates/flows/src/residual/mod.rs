//! Maps of the form `x + g(x)` whose log-determinant is cheap by the structure of `g` or by its being
//! a contraction, and batch normalisation.

mod batch_norm;
mod contraction;
mod planar;
mod radial;
mod residual_map;
mod sylvester;

pub use batch_norm::BatchNorm;
pub use contraction::{Contraction, ContractionConfig};
pub use planar::Planar;
pub use radial::Radial;
pub use residual_map::{Residual, ResidualLogDet};
pub use sylvester::Sylvester;

use maxlik_tensor::{Result, safe};
use tch::{Kind, Tensor};

/// Sums the last dimension.
fn sum_last(x: &Tensor, keep: bool) -> Result<Tensor> {
    Ok(x.f_sum_dim_intlist([-1_i64].as_slice(), keep, None::<Kind>)?)
}

/// `d tanh(a)/da = 1/cosh² a`, without the cancellation of `1 − tanh² a`.
fn tanh_slope(a: &Tensor) -> Result<Tensor> {
    Ok((safe::log_cosh(a)? * -2.0).f_exp()?)
}

/// `ln(1 + s)` of `s ≥ −1` that rounding may have pushed to −1.
fn log1p_above(s: &Tensor) -> Result<Tensor> {
    let least = if s.kind() == Kind::Double { f64::EPSILON } else { f64::from(f32::EPSILON) };
    Ok(s.f_clamp_min(-1.0 + 0.5 * least)?.f_log1p()?)
}
