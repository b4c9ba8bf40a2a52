//! Over-relaxation: steps a little longer than Sinkhorn's own.

use super::marginals::Marginals;

/// Chooses the factor ω of the update f ← f + ω (f_new − f).
///
/// Where plain steps shrink the error by θ, a factor ω below the best one shrinks it by the λ with
/// (λ + ω − 1)² = λ ω² θ, and the best one, ω = 2 / (1 + √(1 − θ)), by ω − 1: thousands of
/// iterations become dozens (Young 1954; for Sinkhorn, Lehmann et al. 2021). So θ is read off the
/// observed λ, again and again. Where the error grows, plain steps take over.
#[derive(Debug)]
pub(super) struct Relaxation {
    enabled: bool,
    factor: f64,
    /// Factor to come back to after plain steps that check the marginals.
    remembered: f64,
    /// Error and rate of the last step.
    error: f64,
    rate: f64,
    /// Steps since the factor last changed.
    steps: usize,
    /// Error when the factor last changed.
    start: f64,
}

impl Relaxation {
    pub(super) fn new(marginals: Marginals) -> Self {
        Self {
            enabled: marginals == Marginals::Balanced,
            factor: 1.0,
            remembered: 1.0,
            error: f64::INFINITY,
            rate: f64::INFINITY,
            steps: 0,
            start: f64::INFINITY,
        }
    }

    /// ω of the next step.
    pub(super) fn factor(&self) -> f64 {
        self.factor
    }

    /// Takes note of the error of a step, and of whether it would be small enough.
    pub(super) fn observe(&mut self, error: f64, small: bool) {
        /// Plain steps to check an error.
        const CHECK: usize = 3;
        let rate = error / self.error;
        let steady = (rate - self.rate).abs() < 0.1 * (1.0 - rate);
        (self.error, self.rate) = (error, rate);
        self.steps += 1;
        // Until the longer steps have taken hold, neither errors nor rates are theirs.
        let settled = self.steps as f64 > (2.0 / (2.0 - self.factor)).max(6.0);
        if self.factor == 1.0 && self.remembered > 1.0 {
            if self.steps > CHECK {
                self.change(self.remembered);
            }
        } else if !self.enabled || !settled {
            // Too early to tell.
        } else if small {
            // Plain steps meet the sources' marginals exactly.
            self.remembered = self.factor;
            self.change(1.0);
        } else if self.factor > 1.0 && error > 4.0 * self.start {
            self.remembered = 1.0;
            self.change(1.0);
        } else if steady && rate > (self.factor - 1.0).max(0.3) {
            let omega = self.factor;
            let theta = ((rate + omega - 1.0) / omega).powi(2) / rate;
            let better = (2.0 / (1.0 + (1.0 - theta.min(1.0)).sqrt())).min(1.998);
            if better > omega + 0.05 * (2.0 - omega) {
                self.change(better);
            }
        }
    }

    fn change(&mut self, factor: f64) {
        self.factor = factor;
        self.steps = 0;
        self.start = self.error;
    }
}
