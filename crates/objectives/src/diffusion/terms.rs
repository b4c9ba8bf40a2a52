//! The terms at both ends of a diffusion model's evidence bound.

use crate::transport::{rows_of, square_norm};
use maxlik_tensor::{Error, Result, check};
use tch::{Kind, Tensor};

/// `KL(N(α x, σ² I) ‖ N(0, s² I)) = ½ (d (σ²/s² − 1 − ln σ²/s²) + α² ‖x‖²/s²)` for each row of the data in
/// nats, `[B, …] → [B]`: what the noise level `[α, σ]` at the end of the noising costs against a prior
/// of standard deviation `s`.
///
/// # Errors
/// LibTorch's.
pub fn prior_divergence(x: &Tensor, [alpha, sigma]: [f64; 2], std: f64) -> Result<Tensor> {
    let (variance, prior) = (sigma * sigma, std * std);
    let dims = x.size().iter().skip(1).product::<i64>() as f64;
    let spread = dims * (variance / prior - 1.0 - (variance / prior).ln());
    let shift = square_norm(x)?.f_mul_scalar(alpha * alpha / prior)?;
    Ok(shift.f_add_scalar(spread)?.f_mul_scalar(0.5)?)
}

/// `−ln p(x | z_0)` of data with values on a `grid` `[levels]`, for each row in nats, `[B]`: the discretised
/// normal with weights `∝ exp(−(z_0/α_0 − v)²/2s²)` at `z_0/α_0 = x + s ε`, for given `ε` of the shape of the
/// data (Kingma, Salimans, Poole and Ho 2021, arXiv:2107.00630, appendix E); `s = e^{g0/2}`.
///
/// # Errors
/// [`Error::Shape`] for a grid or noise that do not fit.
pub fn reconstruction(x: &Tensor, grid: &Tensor, std: f64, noise: &Tensor) -> Result<Tensor> {
    let rows = rows_of(x)?;
    check::shape("noise", noise, &x.size())?;
    if grid.dim() != 1 || grid.size()[0] < 1 {
        return Err(Error::shape("grid", "[levels]", &grid.size()));
    }
    let centre = x.f_add(&noise.f_mul_scalar(std)?)?.f_unsqueeze(-1)?;
    let grid = grid.f_to_kind(x.kind())?.f_to_device(x.device())?;
    let log_weight = |value: &Tensor| -> Result<Tensor> {
        Ok(centre.f_sub(value)?.f_square()?.f_mul_scalar(-0.5 / (std * std))?)
    };
    let own = log_weight(&x.f_unsqueeze(-1)?)?.f_squeeze_dim(-1)?;
    let all = log_weight(&grid)?.f_logsumexp([-1_i64].as_slice(), false)?;
    let each = all.f_sub(&own)?.f_reshape([rows, -1])?;
    Ok(each.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?)
}
