//! The state of a run: all that a checkpoint holds, and nothing else changes between two steps.

use super::Best;
use crate::checkpoint::{Checkpoint, Meta};
use crate::{Ema, OptimConfig, Optimizer};
use maxlik_nn::Params;
use maxlik_tensor::{Error, Result};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct State {
    pub(super) step: u64,
    pub(super) best: Option<Best>,
    pub(super) stale: u64,
    pub(super) train_seconds: f64,
    pub(super) window: Window,
    pub(super) optimizer: Optimizer,
    pub(super) ema: Option<Ema>,
    seed: u64,
}

impl State {
    pub(super) fn new(params: &Params, config: &OptimConfig, seed: u64) -> Result<Self> {
        let ema = if config.ema > 0.0 { Some(Ema::new(params, config.ema)?) } else { None };
        Ok(Self {
            step: 0,
            best: None,
            stale: 0,
            train_seconds: 0.0,
            window: Window::default(),
            optimizer: Optimizer::new(params, config)?,
            ema,
            seed,
        })
    }

    /// Meta data of the present state; `per_epoch` is the number of batches of an epoch.
    pub(super) fn meta(&self, per_epoch: u64) -> Meta {
        Meta {
            seed: self.seed,
            step: self.step,
            epoch: self.step / per_epoch,
            batch_in_epoch: self.step % per_epoch,
            best: self.best,
            stale: self.stale,
            train_seconds: self.train_seconds,
            window: self.window.sums.clone(),
        }
    }

    /// The present state. Tensors are shared with the model: save before the next step.
    pub(super) fn checkpoint(&self, params: &Params, per_epoch: u64) -> Checkpoint {
        let mut checkpoint = Checkpoint::new(self.meta(per_epoch));
        checkpoint.insert("model", &params.named());
        checkpoint.insert("optimizer", &self.optimizer.state());
        if let Some(ema) = &self.ema {
            checkpoint.insert("ema", &ema.state());
        }
        checkpoint
    }

    /// Takes over the state of a checkpoint.
    pub(super) fn restore(&mut self, checkpoint: &Checkpoint, params: &Params) -> Result<()> {
        let meta = &checkpoint.meta;
        if meta.seed != self.seed {
            let why = format!("the checkpoint was made with {}, not {}", meta.seed, self.seed);
            return Err(Error::config("seed", why));
        }
        let averaged = !checkpoint.group("ema").is_empty();
        if averaged != self.ema.is_some() {
            let had = if averaged { "with" } else { "without" };
            let why = format!("the checkpoint was made {had} averaged weights");
            return Err(Error::config("optim.ema", why));
        }
        checkpoint.restore("model", &params.named())?;
        checkpoint.restore("optimizer", &self.optimizer.state())?;
        if let Some(ema) = &self.ema {
            checkpoint.restore("ema", &ema.state())?;
        }
        self.step = meta.step;
        self.best = meta.best;
        self.stale = meta.stale;
        self.train_seconds = meta.train_seconds;
        self.window = Window { sums: meta.window.clone() };
        Ok(())
    }
}

/// Sums over the steps of a line of metrics.
#[derive(Debug, Default)]
pub(super) struct Window {
    sums: BTreeMap<String, f64>,
}

const COUNT: &str = "count";

impl Window {
    /// Takes in the values of a step.
    pub(super) fn add(&mut self, values: &[(&str, f64)]) {
        for (name, value) in values.iter().chain(&[(COUNT, 1.0)]) {
            *self.sums.entry((*name).to_owned()).or_default() += value;
        }
    }

    /// The means, after which the sums start again.
    pub(super) fn take(&mut self) -> BTreeMap<String, f64> {
        let mut sums = std::mem::take(&mut self.sums);
        let count = sums.remove(COUNT).unwrap_or(1.0);
        sums.values_mut().for_each(|sum| *sum /= count);
        sums
    }
}
