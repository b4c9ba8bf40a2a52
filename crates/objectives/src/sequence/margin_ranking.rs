//! Candidates in the order of a judge, by their places.

use maxlik_tensor::{Error, Result, check};
use tch::{Kind, Tensor};

/// A ranking loss with margins that grow with the distance of places: with the `N` candidates of a source
/// sorted from the best to the worst,
/// `Σ_{g=1}^{N−1} mean_i max(0, f_{i+g} − f_i + m g)` (Liu et al. 2022, "BRIO: bringing order to abstractive
/// summarization", ACL 2022, arXiv:2203.16804).
///
/// `f` are the model's scores ([`super::score`]), `r` what the judge thinks, larger for better, in any
/// order. The loss knows no ties: of equals, the first given counts as the better one. [`super::Ranking`]
/// leaves ties out.
#[derive(Debug, Clone, Copy)]
pub struct MarginRanking {
    margin: f64,
}

impl MarginRanking {
    /// With a margin `m` for each place; 0.001 in the paper's code for CNN/DailyMail.
    ///
    /// # Errors
    /// [`Error::Config`] for a negative margin.
    pub fn new(margin: f64) -> Result<Self> {
        if margin.is_nan() || margin < 0.0 {
            return Err(Error::config("margin", format!("expected at least 0, got {margin}")));
        }
        Ok(Self { margin })
    }

    /// The loss of scores `[B, N]` for ranks `[B, N]`; zero for a single candidate.
    ///
    /// # Errors
    /// [`Error::Shape`] for tensors that do not fit each other.
    pub fn loss_at(&self, scores: &Tensor, ranks: &Tensor) -> Result<Tensor> {
        let &[_, count] = scores.size().as_slice() else {
            return Err(Error::shape("scores", "[B, N]", &scores.size()));
        };
        check::shape("ranks", ranks, &scores.size())?;
        let order = ranks.f_argsort_stable(true, 1, true)?;
        let sorted = scores.f_gather(1, &order, false)?;
        let mut total = sorted.f_sum(None::<Kind>)? * 0.0;
        for gap in 1..count {
            let better = sorted.f_narrow(1, 0, count - gap)?;
            let worse = sorted.f_narrow(1, gap, count - gap)?;
            let hinge = (worse.f_sub(&better)? + self.margin * gap as f64).f_relu()?;
            total = total.f_add(&hinge.f_mean(None::<Kind>)?)?;
        }
        Ok(total)
    }
}
