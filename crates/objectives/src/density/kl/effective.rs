//! Effective sample sizes.

use maxlik_tensor::{Error, Result, check, host};
use tch::{Kind, Tensor};

/// `(mean w)²/mean w²`, the effective part of samples of the model `q`, in `(0, 1]`; `log_weights` are
/// `ln w = ln p − ln q` at samples of `q`, `[N]`, up to a constant. One where `q = p`.
///
/// It does not see modes of `p` that `q` never visits: see [`forward_ess`].
///
/// # Errors
/// [`Error::Shape`] for other than at least one weight `[N]`.
pub fn reverse_ess(log_weights: &Tensor) -> Result<f64> {
    let (log, count) = checked(log_weights)?;
    let first = 2.0 * log_sum(&log)? - log_sum(&(&log * 2.0))?;
    Ok((first - count.ln()).exp())
}

/// `1/(mean w · mean 1/w)`, the effective part estimated from samples of the target `p`, in `(0, 1]`;
/// `log_weights` are `ln w = ln p − ln q` at samples of `p`, `[N]`, up to a constant (Vaitl et al. 2024,
/// arXiv:2403.15881, appendix): the mean of `1/w` over `p` is one, that of `w` over `p` is
/// `E_q[w²]/Z_p`. Small where `q` misses modes.
///
/// # Errors
/// As [`reverse_ess`].
pub fn forward_ess(log_weights: &Tensor) -> Result<f64> {
    let (log, count) = checked(log_weights)?;
    Ok((2.0 * count.ln() - log_sum(&log)? - log_sum(&-&log)?).exp())
}

fn checked(log_weights: &Tensor) -> Result<(Tensor, f64)> {
    check::floating("log_weights", log_weights)?;
    match log_weights.size().as_slice() {
        &[count] if count > 0 => Ok((log_weights.f_to_kind(Kind::Double)?, count as f64)),
        got => Err(Error::shape("log_weights", "[N] with N > 0", got)),
    }
}

fn log_sum(log: &Tensor) -> Result<f64> {
    host::scalar(&log.f_logsumexp([0_i64].as_slice(), false)?)
}
