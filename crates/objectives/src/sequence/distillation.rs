//! A student that learns from a teacher's distributions.

use super::{Predictions, with_nll};
use maxlik_model::{Batch, LanguageModel, Loss, Objective};
use maxlik_tensor::{Error, Result, check};
use tch::{Kind, Tensor};

/// Knowledge distillation: `l_t = −(1 − λ) ln q_y + λ KL(p_T ‖ q)` with the teacher's next-token distribution
/// `p_T`, which gets no gradient (Liu et al. 2021, "Noisy self-knowledge distillation for text
/// summarization", NAACL 2021, arXiv:2009.07032).
///
/// The gradient by the logits is `q − ((1 − λ) 1[y] + λ p_T)`: cross-entropy against the mixed target. The
/// noise of the paper is the teacher's dropout, which stays on while its store is in training mode, and
/// the student's perturbed source.
#[derive(Debug)]
pub struct Distillation {
    lambda: f64,
    teacher: Box<dyn LanguageModel>,
}

impl Distillation {
    /// A share `λ` of the teacher; 0.6 in the paper's code.
    ///
    /// # Errors
    /// [`Error::Config`] for a number outside `[0, 1]`.
    pub fn new(lambda: f64, teacher: Box<dyn LanguageModel>) -> Result<Self> {
        if !(0.0..=1.0).contains(&lambda) {
            let why = format!("expected a number in [0, 1], got {lambda}");
            return Err(Error::config("lambda", why));
        }
        Ok(Self { lambda, teacher })
    }

    /// The loss of each token, `[B, T]`, for the teacher's logits `[B, T, V]` at the same places.
    ///
    /// # Errors
    /// [`Error::Shape`] for logits of another shape, and as [`Predictions::log_prob`].
    pub fn each(&self, at: &Predictions, teacher: &Tensor) -> Result<Tensor> {
        check::shape("teacher's logits", teacher, &at.logits().size())?;
        let likelihood = -at.log_prob()?;
        if self.lambda == 0.0 {
            return Ok(likelihood);
        }
        let log_p = teacher.f_detach()?.f_log_softmax(-1, None::<Kind>)?;
        let log_q = at.logits().f_log_softmax(-1, None::<Kind>)?;
        let each = log_p.f_exp()?.f_mul(&(log_p - log_q))?;
        let kl = each.f_sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>)?;
        Ok(likelihood * (1.0 - self.lambda) + kl * self.lambda)
    }

    /// The token mean.
    ///
    /// # Errors
    /// As [`Distillation::each`].
    pub fn loss_at(&self, at: &Predictions, teacher: &Tensor) -> Result<Tensor> {
        at.mean(&self.each(at, teacher)?)
    }
}

impl Objective<dyn LanguageModel> for Distillation {
    fn loss(&self, model: &(dyn LanguageModel + 'static), batch: &Batch) -> Result<Loss> {
        let at = Predictions::of(model, batch)?;
        let teacher = {
            let _no_grad = tch::no_grad_guard();
            let before = batch.data.f_narrow(1, 0, batch.data.size()[1] - 1)?;
            self.teacher.logits(&before)?
        };
        with_nll(self.loss_at(&at, &teacher)?, &at)
    }
}
