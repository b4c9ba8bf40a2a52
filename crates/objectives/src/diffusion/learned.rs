//! Velocity matching on a schedule that is learned along.

use super::VelocityMatching;
use maxlik_model::{Batch, Loss, Metric, Objective, VectorField};
use maxlik_ode::diffusion::{MonotoneSchedule, ScheduleAt};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{self, Graph};
use tch::{Kind, Tensor};

/// [`VelocityMatching::loss_on`] a schedule, with one gradient for each of both: the network gets that of the
/// mean loss, which does not depend on the schedule, and the schedule that of the mean squared loss in
/// units of the squared mean, `½ E[l²]/E[l]²`: the variance of the estimate, which nothing but the schedule
/// can lower (Kingma, Salimans, Poole and Ho 2021, arXiv:2107.00630, appendix I.2).
///
/// One forward and two backward passes. The value is the mean loss in nats; the metric
/// `relative_square` is `E[l²]/E[l]²`, 1 for a loss without variance.
#[derive(Debug)]
pub struct LearnedLevels {
    /// The loss; its `times` are not used.
    pub matching: VelocityMatching,
    /// The schedule, with the same ends.
    pub schedule: MonotoneSchedule,
}

impl LearnedLevels {
    /// The loss for given times `[B]` in `[0, 1]` and noise of the shape of the data.
    ///
    /// # Errors
    /// As [`VelocityMatching::loss_on`].
    pub fn loss_at(
        &self,
        network: &dyn VectorField,
        batch: &Batch,
        t: &Tensor,
        noise: &Tensor,
    ) -> Result<Loss> {
        autograd::recorded(|| {
            let at = self.schedule.at(t)?;
            let (gamma, rate) = (autograd::leaf(&at.gamma)?, autograd::leaf(&at.rate)?);
            let cut = ScheduleAt { gamma: gamma.shallow_clone(), rate: rate.shallow_clone() };
            let each = self.matching.loss_along(network, &cut, batch, noise)?;
            let total = each.f_sum(None::<Kind>)?;
            let by_gamma = autograd::gradient(&total, None, &gamma, Graph::Keep)?;
            let by_rate = autograd::gradient(&total, None, &rate, Graph::Keep)?;
            let fixed = each.f_detach()?;
            let square = fixed.f_mean(None::<Kind>)?.f_square()?;
            // Σ l (∂l/∂γ dγ + ∂l/∂γ' dγ'), with all but the schedule held fixed.
            let pull = at.gamma.f_mul(&by_gamma.f_detach()?)?;
            let pull = pull.f_add(&at.rate.f_mul(&by_rate.f_detach()?)?)?.f_mul(&fixed)?;
            let pull = pull.f_mean(None::<Kind>)?.f_div(&square)?;
            let value = each.f_mean(None::<Kind>)?.f_add(&pull.f_sub(&pull.f_detach()?)?)?;
            let relative = fixed.f_square()?.f_mean(None::<Kind>)?.f_div(&square)?;
            Ok(Loss { value, metrics: vec![Metric { name: "relative_square", value: relative }] })
        })
    }
}

impl Objective<dyn VectorField> for LearnedLevels {
    fn loss(&self, network: &(dyn VectorField + 'static), batch: &Batch) -> Result<Loss> {
        let data = &batch.data;
        self.loss_at(network, batch, &VelocityMatching::times(data)?, &data.f_randn_like()?)
    }
}
