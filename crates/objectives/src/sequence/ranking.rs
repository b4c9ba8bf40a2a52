//! Candidates in the order of a judge.

use super::Predictions;
use maxlik_tensor::{Error, Result, check};
use tch::{Kind, Tensor};

/// A ranking loss with margins that grow with the difference in rank: the mean over pairs with
/// `r_i > r_j` of `max(0, s (ln 2 + ln(r_i − r_j)) − (f_i − f_j))` (Liu et al. 2024, "On learning to summarize
/// with large language models as references", NAACL 2024, arXiv:2305.14239). Ties are left out.
///
/// `f` are the model's scores of candidates for one source ([`score`]), `r` what the judge thinks of them,
/// larger for better; candidates may stand in any order.
#[derive(Debug, Clone, Copy)]
pub struct Ranking {
    scale: f64,
}

impl Ranking {
    /// Margins of this scale `s`; 0.01 in the paper's code.
    ///
    /// # Errors
    /// [`Error::Config`] for a negative scale.
    pub fn new(scale: f64) -> Result<Self> {
        if scale.is_nan() || scale < 0.0 {
            return Err(Error::config("scale", format!("expected at least 0, got {scale}")));
        }
        Ok(Self { scale })
    }

    /// The loss of scores `[B, N]` for ranks `[B, N]`; zero where all candidates are tied.
    ///
    /// # Errors
    /// [`Error::Shape`] for tensors that do not fit each other.
    pub fn loss_at(&self, scores: &Tensor, ranks: &Tensor) -> Result<Tensor> {
        if scores.dim() != 2 {
            return Err(Error::shape("scores", "[B, N]", &scores.size()));
        }
        check::shape("ranks", ranks, &scores.size())?;
        let ahead = |x: &Tensor| x.f_unsqueeze(2)?.f_sub(&x.f_unsqueeze(1)?);
        let distance = ahead(&ranks.f_to_kind(scores.kind())?)?;
        let better = distance.f_gt(0.0)?;
        // Of pairs that do not count the logarithm is taken of one.
        let distance = distance.f_where_scalarother(&better, 1.0)?;
        let margin = (distance.f_log()? + std::f64::consts::LN_2) * self.scale;
        let better = better.f_to_kind(scores.kind())?;
        let each = margin.f_sub(&ahead(scores)?)?.f_relu()?.f_mul(&better)?;
        Ok(each.f_sum(None::<Kind>)? / better.f_sum(None::<Kind>)?.f_clamp_min(1.0)?)
    }
}

/// `f(y) = Σ_t ln q(y_t | y_<t) / |y|^α` of each sequence, `[B]`: its score as a candidate. With `α` zero the
/// log-probability, with one the mean over its tokens.
///
/// # Errors
/// As [`Predictions::log_prob`].
pub fn score(at: &Predictions, alpha: f64) -> Result<Tensor> {
    let length = at.weight().f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?;
    let length = length.f_clamp_min(1.0)?.f_pow_tensor_scalar(alpha)?;
    Ok(at.sequence_log_prob()?.f_div(&length)?)
}
