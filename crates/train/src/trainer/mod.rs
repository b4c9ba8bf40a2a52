//! The training loop.

mod batches;
pub mod interrupt;
mod progress;
mod session;
mod state;
mod step;

pub use crate::checkpoint::Best;
pub use batches::{Batches, Stream};

use crate::{OptimConfig, Run};
use maxlik_model::Objective;
use maxlik_nn::Params;
use maxlik_tensor::{Error, Result};
use std::fmt::{self, Debug};
use std::sync::atomic::AtomicBool;

/// A quantity of the model on held-out data; lower is better.
type Validation<'a, M> = dyn FnMut(&M) -> Result<f64> + 'a;

/// Trains a model of the capability `M` by an objective for it.
///
/// Every random draw of a step is a function of the seed and the step's number, and so must be the
/// batch: a run that was stopped (or killed) and resumed ends with the same weights, bit for bit on
/// the CPU, as one that was not.
///
/// ```
/// use maxlik_model::{Batch, Loss, Objective};
/// use maxlik_nn::{Init, Params};
/// use maxlik_train::{OptimConfig, Trainer};
/// use tch::{Device, Kind, Tensor};
///
/// /// Squared distance of the mean to the data: its minimum is the data's mean.
/// #[derive(Debug)]
/// struct Distance;
/// impl Objective<Tensor> for Distance {
///     fn loss(&self, mean: &Tensor, batch: &Batch) -> maxlik_tensor::Result<Loss> {
///         Ok(Loss { value: (&batch.data - mean).square().mean(Kind::Double), metrics: vec![] })
///     }
/// }
///
/// let params = Params::new(7, Kind::Double, Device::Cpu);
/// let mean = params.root().param("mean", &[], Init::Constant(0.0))?;
/// let config = OptimConfig { steps: 300, lr: 0.1, ..OptimConfig::default() };
/// let mut data = Tensor::from_slice(&[1.0, 2.0, 6.0]);
/// let outcome = Trainer::new(&mean, &Distance, &params, &config, 7).fit(&mut data)?;
/// assert_eq!(outcome.step, 300);
/// assert!((mean.double_value(&[]) - 3.0).abs() < 1e-3);
/// # Ok::<(), maxlik_tensor::Error>(())
/// ```
pub struct Trainer<'a, M: ?Sized> {
    model: &'a M,
    objective: &'a dyn Objective<M>,
    params: &'a Params,
    config: &'a OptimConfig,
    seed: u64,
    quantity: &'a str,
    loss: Option<&'a str>,
    run: Option<&'a Run>,
    resume: bool,
    validation: Option<Box<Validation<'a, M>>>,
    interrupt: Option<&'a AtomicBool>,
}

/// Why training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All steps were made.
    Finished,
    /// No validation was better than the best for the configuration's `patience`.
    EarlyStopped,
    /// The interrupt flag was set; a checkpoint was written.
    Interrupted,
}

/// How training ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Why.
    pub status: Status,
    /// Steps that were made, over all parts of the run.
    pub step: u64,
    /// The best validation, whose weights the model now has.
    pub best: Option<Best>,
    /// Seconds of training with its validations and checkpoints, over all parts of the run.
    pub train_seconds: f64,
}

impl<'a, M: ?Sized> Trainer<'a, M> {
    /// A trainer of `model`, whose parameters are in `params`, without a folder, validation or
    /// interruption. `seed` is the root of all random streams.
    #[must_use]
    pub fn new(
        model: &'a M,
        objective: &'a dyn Objective<M>,
        params: &'a Params,
        config: &'a OptimConfig,
        seed: u64,
    ) -> Self {
        Self {
            model,
            objective,
            params,
            config,
            seed,
            quantity: "NLL",
            loss: None,
            run: None,
            resume: false,
            validation: None,
            interrupt: None,
        }
    }

    /// Writes checkpoints, metrics and TensorBoard events into the folder of `run`.
    #[must_use]
    pub fn run(mut self, run: &'a Run) -> Self {
        self.run = Some(run);
        self
    }

    /// Goes on from the newest checkpoint of the run, if there is one.
    #[must_use]
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Evaluates the model from time to time (with the averaged weights where there are such, in
    /// evaluation mode, without gradients, and with the same random draws each time), keeps the
    /// weights with the lowest value, and stops early by the configuration's `patience`.
    #[must_use]
    pub fn validation(mut self, validation: impl FnMut(&M) -> Result<f64> + 'a) -> Self {
        self.validation = Some(Box::new(validation));
        self
    }

    /// The name of loss and validation in the progress bar and, by [`crate::run::key`], in metrics
    /// (`train_nll`, `validation_nll`); `NLL` unless said.
    #[must_use]
    pub fn quantity(mut self, name: &'a str) -> Self {
        self.quantity = name;
        self
    }

    /// The name of the training loss where it is not the quantity that is validated, such as `flow
    /// matching` beside a validation in `NLL`.
    #[must_use]
    pub fn loss(mut self, name: &'a str) -> Self {
        self.loss = Some(name);
        self
    }

    /// Stops after the step under way when the flag is set, such as that of
    /// [`interrupt::on_signal`].
    #[must_use]
    pub fn interrupt(mut self, flag: &'a AtomicBool) -> Self {
        self.interrupt = Some(flag);
        self
    }

    fn loss_name(&self) -> &'a str {
        self.loss.unwrap_or(self.quantity)
    }

    /// Trains, and leaves the model with the weights that validated best; without validation, with
    /// the averaged weights; without those, with the last.
    ///
    /// # Errors
    /// - [`Error::Config`] for a configuration that cannot be used, or a checkpoint of another model
    ///   or seed;
    /// - [`Error::NonFinite`] naming the step and the first tensor that is not finite; no step is
    ///   taken with it, and the last checkpoint stays as it was;
    /// - [`Error::Panicked`] where an operation of the step panics, for example for want of memory;
    /// - [`Error::Io`] and [`Error::Corrupt`] of the run's folder; those of model, data and validation.
    pub fn fit(self, batches: &mut dyn Batches) -> Result<Outcome> {
        self.config.check()?;
        if batches.per_epoch() == 0 {
            return Err(Error::config("data", "expected at least one batch in an epoch, got 0"));
        }
        session::Session::start(self, batches)?.train()
    }
}

impl<M: ?Sized> Debug for Trainer<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("objective", &self.objective)
            .field("config", &self.config)
            .field("seed", &self.seed)
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}
