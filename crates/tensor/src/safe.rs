//! Functions whose textbook forms overflow, cancel or have gradients that are not finite.

use crate::{Error, Result};
use tch::{Kind, Tensor};

/// The least positive normal number of this dtype.
fn tiny(kind: Kind) -> f64 {
    match kind {
        Kind::Double => f64::MIN_POSITIVE,
        Kind::Half => 6.103_515_625e-5,
        _ => f64::from(f32::MIN_POSITIVE),
    }
}

/// `ln(1 + eˣ)`, without the threshold of LibTorch's own `softplus`, which is `2·10⁻⁹` off at 20.
///
/// # Errors
/// LibTorch's.
pub fn softplus(x: &Tensor) -> Result<Tensor> {
    Ok(-(-x).f_log_sigmoid()?)
}

/// The inverse of [`softplus`]: `ln(eʸ − 1) = y + ln(1 − e^{−y})` for `y > 0`.
///
/// Numbers below the least positive one of the dtype count as that number, with gradient zero.
///
/// # Errors
/// LibTorch's.
pub fn softplus_inverse(y: &Tensor) -> Result<Tensor> {
    Ok(y.f_clamp_min(tiny(y.kind()))?.f_add(&log1mexp(y)?)?)
}

/// `ln cosh x = x + ln(1 + e^{−2x}) − ln 2`, finite wherever `x` is, with all its derivatives.
///
/// # Errors
/// LibTorch's.
pub fn log_cosh(x: &Tensor) -> Result<Tensor> {
    Ok(x + softplus(&(x * -2.0))? - std::f64::consts::LN_2)
}

/// `ln(1 − e^{−x})` for `x > 0`, precise near zero and far out (Mächler 2012, "Accurately computing
/// log(1 − exp(−|a|))", eq. 7).
///
/// Numbers below the least positive one of the dtype count as that number, with gradient zero.
///
/// # Errors
/// LibTorch's.
pub fn log1mexp(x: &Tensor) -> Result<Tensor> {
    let x = x.f_clamp_min(tiny(x.kind()))?;
    let ln2 = std::f64::consts::LN_2;
    let near = x.f_le(ln2)?;
    // Each branch sees only arguments on which it and its gradient are finite.
    let small = (-(-x.f_clamp_max(ln2)?).f_expm1()?).f_log()?;
    let large = (-(-x.f_clamp_min(ln2)?).f_exp()?).f_log1p()?;
    Ok(small.f_where_self(&near, &large)?)
}

/// `ln p − ln(1 − p)` of `p` clamped to `[margin, 1 − margin]`; the gradient is zero where it is
/// clamped.
///
/// # Errors
/// [`Error::Config`] for a margin outside `(0, ½)`.
pub fn logit(p: &Tensor, margin: f64) -> Result<Tensor> {
    if !(0.0 < margin && margin < 0.5) {
        let why = format!("expected a number between 0 and 1/2, got {margin}");
        return Err(Error::config("margin", why));
    }
    let p = p.f_clamp(margin, 1.0 - margin)?;
    Ok(p.f_log()?.f_sub(&(-&p).f_log1p()?)?)
}

/// `ln Σ_k exp(a_ik + b_kj)`: the logarithm of the product of `eᵃ` `[…, N, K]` and `eᵇ` `[…, K, M]`,
/// shape `[…, N, M]`, whatever the scales of rows and columns; memory `N K M`.
///
/// An entry whose terms are all zero (`−∞` here) is `−∞`, with gradient zero.
///
/// # Errors
/// [`Error::Shape`] for matrices that do not fit.
pub fn log_matmul_exp(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (left, right) = (a.size(), b.size());
    let inner = (left.len() >= 2 && right.len() >= 2).then(|| left[left.len() - 1]);
    if inner.is_none_or(|k| right[right.len() - 2] != k) {
        return Err(Error::shape("b", format!("[…, K, M] beside a of {left:?}"), &right));
    }
    let terms = a.f_unsqueeze(-1)?.f_add(&b.f_unsqueeze(-3)?)?;
    let dims = [-2_i64];
    let empty = terms.f_eq(f64::NEG_INFINITY)?.f_all_dim(-2, false)?;
    let finite = terms.f_zeros_like()?.f_where_self(&empty.f_unsqueeze(-2)?, &terms)?;
    let sum = finite.f_logsumexp(dims.as_slice(), false)?;
    let none = Tensor::f_full_like(&sum, f64::NEG_INFINITY)?;
    Ok(none.f_where_self(&empty, &sum)?)
}
