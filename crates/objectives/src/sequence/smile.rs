//! Semipermeable likelihood.

use super::{Predictions, with_nll};
use maxlik_model::{Batch, LanguageModel, Loss, Objective};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// Which tokens the softmax of [`Smile`] runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WordSet {
    /// The different targets of the sequence: longer, richer texts.
    #[default]
    Own,
    /// All others, and the target itself: shorter texts. The paper's control.
    Others,
}

/// SMILE: cross-entropy whose softmax runs over a part of the vocabulary, for each sequence the set `S`
/// of its own targets, end included: `l_t = −z_y + ln Σ_{v ∈ S} exp z_v` (Yue et al. 2023, "Learning
/// descriptive image captioning via semipermeable maximum likelihood estimation", NeurIPS 2023,
/// arXiv:2306.13460, section 3).
///
/// Mass on tokens that the reference does not hold costs nothing: the model may add, but not leave out.
/// The first token is learned by the whole softmax. `−ln q_y = l_t − ln q(S)`, so that the loss is at most
/// the likelihood's. Targets of zero weight are not in `S`.
#[derive(Debug, Clone, Copy)]
pub struct Smile {
    likelihood: f64,
    words: WordSet,
    plain_first: bool,
}

impl Default for Smile {
    fn default() -> Self {
        Self { likelihood: 0.0, words: WordSet::Own, plain_first: true }
    }
}

impl Smile {
    /// `λ` of maximum likelihood and `1 − λ` of SMILE; the paper mixes with `λ = 0.01`.
    ///
    /// # Errors
    /// [`Error::Config`] for a number outside `[0, 1]`.
    pub fn mixed(likelihood: f64, words: WordSet) -> Result<Self> {
        if !(0.0..=1.0).contains(&likelihood) {
            let why = format!("expected a number in [0, 1], got {likelihood}");
            return Err(Error::config("likelihood", why));
        }
        Ok(Self { likelihood, words, ..Self::default() })
    }

    /// The same with the first token too restricted to the set, as in the paper's pseudo-code without
    /// its option.
    #[must_use]
    pub fn with_restricted_first(self) -> Self {
        Self { plain_first: false, ..self }
    }

    /// The loss of each token, `[B, T]`.
    ///
    /// # Errors
    /// As [`Predictions::log_prob`].
    pub fn each(&self, at: &Predictions) -> Result<Tensor> {
        let mle = -at.log_prob()?;
        if self.likelihood == 1.0 {
            return Ok(mle);
        }
        let targets = at.targets();
        let own = at.logits().f_gather(-1, &targets.f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)?;
        let norm = match self.words {
            WordSet::Own => own_norm(at)?,
            WordSet::Others => others_norm(at)?,
        };
        let mut smile = norm - own;
        if self.plain_first {
            smile = mle.f_where_self(&first(at)?, &smile)?;
        }
        // Padding may hold tokens outside its sequence's set.
        smile = smile.f_masked_fill(&at.weight().f_le(0.0)?, 0.0)?;
        if self.likelihood == 0.0 {
            return Ok(smile);
        }
        Ok(mle * self.likelihood + smile * (1.0 - self.likelihood))
    }

    /// The token mean.
    ///
    /// # Errors
    /// As [`Predictions::log_prob`].
    pub fn loss_at(&self, at: &Predictions) -> Result<Tensor> {
        at.mean(&self.each(at)?)
    }
}

/// Takes the place of minus infinity, whose gradient would be NaN in rows without a token.
const NEVER: f64 = -1e9;

/// `ln Σ_{v ∈ S} exp z_v`, `[B, T]`: over the tokens of the sequence, each at its first place.
fn own_norm(at: &Predictions) -> Result<Tensor> {
    let targets = at.targets();
    let &[batch, length] = targets.size().as_slice() else {
        return Err(Error::shape("targets", "[B, T]", &targets.size()));
    };
    let counts = at.weight().f_gt(0.0)?;
    let same = targets.f_unsqueeze(2)?.f_eq_tensor(&targets.f_unsqueeze(1)?)?;
    let again = same.f_logical_and(&counts.f_unsqueeze(1)?)?.f_tril(-1)?.f_any_dim(2, false)?;
    let kept = counts.f_logical_and(&again.f_logical_not()?)?;
    let index = targets.f_unsqueeze(1)?.f_expand([batch, length, length], false)?;
    let words = at.logits().f_gather(-1, &index, false)?;
    let words = words.f_masked_fill(&kept.f_logical_not()?.f_unsqueeze(1)?, NEVER)?;
    Ok(words.f_logsumexp([-1_i64].as_slice(), false)?)
}

/// The same over all tokens outside `S` and the target: one tensor more of the size of the logits.
fn others_norm(at: &Predictions) -> Result<Tensor> {
    let (logits, targets) = (at.logits(), at.targets());
    let size = logits.size();
    let counts = at.weight().f_gt(0.0)?.f_to_kind(Kind::Float)?;
    let options = (Kind::Float, logits.device());
    let inside =
        Tensor::f_zeros([size[0], size[2]], options)?.f_scatter_add(1, targets, &counts)?;
    let inside = inside.f_gt(0.0)?.f_unsqueeze(1)?.f_expand(size.as_slice(), false)?;
    let target = targets.f_unsqueeze(-1)?;
    let hidden = inside.f_scatter_value(-1, &target, 0.0)?;
    Ok(logits.f_masked_fill(&hidden, NEVER)?.f_logsumexp([-1_i64].as_slice(), false)?)
}

/// Which token is the first that counts in its sequence, `[B, T]`.
fn first(at: &Predictions) -> Result<Tensor> {
    let counts = at.weight().f_gt(0.0)?;
    let number = counts.f_to_kind(Kind::Int64)?.f_cumsum(1, None::<Kind>)?;
    Ok(number.f_eq(1)?.f_logical_and(&counts)?)
}

impl Objective<dyn LanguageModel> for Smile {
    fn loss(&self, model: &(dyn LanguageModel + 'static), batch: &Batch) -> Result<Loss> {
        let at = Predictions::of(model, batch)?;
        with_nll(self.loss_at(&at)?, &at)
    }
}
