//! Exponential moving average of a model's parameters.

use maxlik_nn::Params;
use maxlik_tensor::Result;
use tch::Tensor;

/// The average `a ← d a + (1 − d) θ` of the trainable parameters `θ` after each step.
///
/// The decay warms up, `d = min(decay, (1 + n)/(10 + n))` after `n` steps, so that the start is
/// forgotten early in a run. Buffers are not averaged.
#[derive(Debug)]
pub struct Ema {
    decay: f64,
    names: Vec<String>,
    params: Vec<Tensor>,
    averages: Vec<Tensor>,
}

impl Ema {
    /// An average that starts with the parameters as they are.
    ///
    /// # Errors
    /// LibTorch's, where no memory is left.
    pub fn new(params: &Params, decay: f64) -> Result<Self> {
        let (names, params): (_, Vec<Tensor>) = params.trainable().into_iter().unzip();
        let averages =
            params.iter().map(|p| Ok(p.f_detach_copy()?)).collect::<Result<Vec<Tensor>>>()?;
        Ok(Self { decay, names, params, averages })
    }

    /// The decay of the update after `n` steps.
    #[must_use]
    pub fn decay(&self, n: u64) -> f64 {
        self.decay.min((1.0 + n as f64) / (10.0 + n as f64))
    }

    /// Takes the parameters after `n` steps into the average.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn update(&mut self, n: u64) -> Result<()> {
        let weight = 1.0 - self.decay(n);
        let _no_grad = tch::no_grad_guard();
        for (average, param) in self.averages.iter_mut().zip(&self.params) {
            let _same = average.f_lerp_(param, weight)?;
        }
        Ok(())
    }

    /// Runs `body` with the averages in place of the parameters, which come back after it, whatever
    /// it returns.
    ///
    /// # Errors
    /// Those of `body`.
    pub fn evaluated<T>(&mut self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        self.exchange()?;
        // A panic must not leave the averages in the model either.
        let outcome = maxlik_tensor::guard("evaluation", body);
        self.exchange()?;
        outcome
    }

    /// The averages under their parameters' names; values copied into them change the average.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let averages = self.averages.iter().map(Tensor::shallow_clone);
        self.names.iter().cloned().zip(averages).collect()
    }

    fn exchange(&mut self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (average, param) in self.averages.iter_mut().zip(&mut self.params) {
            let kept = param.f_detach_copy()?;
            param.f_copy_(average)?;
            average.f_copy_(&kept)?;
        }
        Ok(())
    }
}
