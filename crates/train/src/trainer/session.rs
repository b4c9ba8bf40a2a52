//! A run from its start or checkpoint to its end.

use super::progress::Progress;
use super::state::State;
use super::step;
use super::{Batches, Best, Outcome, Status, Trainer};
use crate::checkpoint::Checkpoint;
use crate::run::Log;
use maxlik_nn::Params;
use maxlik_tensor::{Error, Result, Seeds, guard};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tch::Tensor;

pub(super) struct Session<'a, 'b, M: ?Sized> {
    trainer: Trainer<'a, M>,
    batches: &'b mut dyn Batches,
    per_epoch: u64,
    parameters: Vec<(String, Tensor)>,
    state: State,
    seeds: Seeds,
    log: Option<Log>,
    progress: Progress,
    /// Step of the last checkpoint on the disk.
    saved: Option<u64>,
    /// The best weights, where there is no folder to keep them in.
    kept: Option<Vec<(String, Tensor)>>,
    clock: Instant,
}

impl<'a, 'b, M: ?Sized> Session<'a, 'b, M> {
    pub(super) fn start(trainer: Trainer<'a, M>, batches: &'b mut dyn Batches) -> Result<Self> {
        let params = trainer.params;
        let mut state = State::new(params, trainer.config, trainer.seed)?;
        let mut saved = None;
        if let (true, Some(run)) = (trainer.resume, trainer.run)
            && let Some(loaded) = run.checkpoints().resume()?
        {
            if let Some(warning) = &loaded.warning {
                tracing::warn!("{warning}");
            }
            state.restore(&loaded.checkpoint, params)?;
            // The older of the two files does not count: the next save must replace the damaged one.
            saved = loaded.warning.is_none().then_some(state.step);
            tracing::info!("going on after step {}", state.step);
        }
        let log = trainer.run.map(|run| run.log(state.step)).transpose()?;
        let per_epoch = batches.per_epoch();
        let progress = Progress::new(
            [trainer.loss_name(), trainer.quantity],
            state.step,
            trainer.config.steps,
            per_epoch,
        );
        let seeds = Seeds::new(trainer.seed);
        let parameters = params.trainable();
        let clock = Instant::now();
        Ok(Self {
            trainer,
            batches,
            per_epoch,
            parameters,
            state,
            seeds,
            log,
            progress,
            saved,
            kept: None,
            clock,
        })
    }

    pub(super) fn train(mut self) -> Result<Outcome> {
        let config = self.trainer.config;
        let mode = Training::on(self.trainer.params);
        let status = loop {
            // Before the end of all steps: the last one may have been the one too many.
            if config.patience > 0 && self.state.stale >= config.patience {
                break Status::EarlyStopped;
            }
            if self.state.step >= config.steps {
                break Status::Finished;
            }
            if self.trainer.interrupt.is_some_and(|flag| flag.load(Ordering::SeqCst)) {
                break Status::Interrupted;
            }
            self.step()?;
            let values = self.measure()?;
            if !values.is_empty() {
                let epoch = self.state.step as f64 / self.per_epoch as f64;
                if let Some(log) = &mut self.log {
                    log.append(self.state.step, epoch, &values)?;
                }
            }
            if due(config.checkpoint_every, self.state.step) {
                self.save()?;
            }
        };
        self.progress.finish();
        if self.saved != Some(self.state.step) {
            self.save()?;
        }
        drop(mode);
        self.finish(status)?;
        self.tick();
        Ok(Outcome {
            status,
            step: self.state.step,
            best: self.state.best,
            train_seconds: self.state.train_seconds,
        })
    }

    /// One step of the optimizer.
    fn step(&mut self) -> Result<()> {
        let n = self.state.step;
        self.seeds.stream("step").seed_torch(n);
        let batch = self.batches.batch(n)?;
        let (model, objective) = (self.trainer.model, self.trainer.objective);
        let parts = self.trainer.config.accumulate;
        let mut found = guard("training step", || {
            step::gradients(model, objective, &batch, &self.parameters, parts)
        })?;
        if !found.are_finite() {
            let bad = found.first_bad(&batch, self.trainer.params, &self.parameters)?;
            return Err(Error::NonFinite { what: format!("{}: {bad}", self.stopped_at(n)) });
        }
        let optimizer = &mut self.state.optimizer;
        let (gradients, norm) = (&mut found.gradients, found.norm);
        let lr = guard("optimizer step", || optimizer.step(n, gradients, norm))?;
        if let Some(ema) = &mut self.state.ema {
            ema.update(n)?;
        }
        self.state.step += 1;
        let loss = crate::run::key("train", self.trainer.loss_name());
        let mut values = vec![(loss.as_str(), found.loss), ("grad_norm", norm), ("lr", lr)];
        values.extend(found.metrics.iter().copied());
        self.state.window.add(&values);
        let samples = batch.data.size().first().copied().unwrap_or_default();
        self.progress.step(self.state.step, found.loss, samples.unsigned_abs());
        Ok(())
    }

    /// The values that this step's line of metrics holds, if it has one.
    fn measure(&mut self) -> Result<BTreeMap<String, f64>> {
        let (config, step) = (self.trainer.config, self.state.step);
        let mut values = BTreeMap::new();
        if due(config.log_every, step) || step == config.steps {
            values.extend(self.state.window.take());
            values.extend(self.progress.speed().map(|s| ("samples_per_second".to_owned(), s)));
        }
        if due(config.eval_every, step) || step == config.steps {
            if let Some(value) = self.validate()? {
                values.insert(self.key("validation"), value);
                self.progress.validated(value);
            }
            self.progress.restart_clock();
        }
        Ok(values)
    }

    /// The validation's value, if there is a validation; keeps the weights where it is the best.
    fn validate(&mut self) -> Result<Option<f64>> {
        let Some(mut validation) = self.trainer.validation.take() else {
            return Ok(None);
        };
        let params = self.trainer.params;
        let model = self.trainer.model;
        let mut ema = self.state.ema.take();
        params.set_training(false);
        self.seeds.stream("validation").seed_torch(0);
        let outcome = averaged(&mut ema, || {
            let value = {
                let _no_grad = tch::no_grad_guard();
                guard("validation", || validation(model))?
            };
            if !value.is_finite() {
                let what = format!("{}: validation", self.stopped_at(self.state.step));
                return Err(Error::NonFinite { what });
            }
            if self.state.best.is_none_or(|best| value < best.value) {
                self.state.best = Some(Best { step: self.state.step, value });
                self.state.stale = 0;
                self.keep()?;
            } else {
                self.state.stale += 1;
            }
            Ok(value)
        });
        params.set_training(true);
        self.state.ema = ema;
        self.trainer.validation = Some(validation);
        outcome.map(Some)
    }

    /// Keeps the weights that the model has now as the best.
    fn keep(&mut self) -> Result<()> {
        let params = self.trainer.params;
        if let Some(run) = self.trainer.run {
            let mut checkpoint = Checkpoint::new(self.state.meta(self.per_epoch));
            checkpoint.insert("model", &params.named());
            return run.checkpoints().save_best(&checkpoint);
        }
        let copies = params.named().into_iter().map(|(name, t)| Ok((name, t.f_detach_copy()?)));
        self.kept = Some(copies.collect::<Result<_>>()?);
        Ok(())
    }

    /// Writes the newest checkpoint.
    fn save(&mut self) -> Result<()> {
        self.tick();
        let Some(run) = self.trainer.run else {
            return Ok(());
        };
        if let Some(log) = &mut self.log {
            log.sync()?;
        }
        let checkpoint = self.state.checkpoint(self.trainer.params, self.per_epoch);
        run.checkpoints().save_last(&checkpoint)?;
        self.saved = Some(self.state.step);
        Ok(())
    }

    /// Leaves the model with the weights to be used.
    fn finish(&mut self, status: Status) -> Result<()> {
        let params = self.trainer.params;
        if self.state.best.is_some() {
            return match (self.trainer.run, self.kept.take()) {
                (Some(run), _) => run.checkpoints().load_weights(params).map(|_step| ()),
                (None, Some(kept)) => params.load(&kept),
                (None, None) => Ok(()),
            };
        }
        if let Some(ema) = &self.state.ema {
            let _no_grad = tch::no_grad_guard();
            for ((_, average), (_, param)) in ema.state().iter().zip(&self.parameters) {
                param.shallow_clone().f_copy_(average)?;
            }
        }
        // Where nothing is validated, what is there at the end is what is used later.
        if status != Status::Interrupted && self.trainer.run.is_some() {
            self.keep()?;
        }
        Ok(())
    }

    /// Adds the time since the last call to the time of training.
    fn tick(&mut self) {
        self.state.train_seconds += self.clock.elapsed().as_secs_f64();
        self.clock = Instant::now();
    }

    fn stopped_at(&self, step: u64) -> String {
        let kept = match (self.trainer.run, self.saved) {
            (Some(run), Some(saved)) => format!(
                " (last good checkpoint: step {saved}, {})",
                run.checkpoints().last().display()
            ),
            (Some(_), None) => " (no checkpoint yet)".to_owned(),
            (None, _) => String::new(),
        };
        format!("training stopped at step {step}{kept}")
    }

    fn key(&self, part: &str) -> String {
        crate::run::key(part, self.trainer.quantity)
    }
}

/// Whether something that is done every `every` steps is due after `step` of them.
fn due(every: u64, step: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}

/// Runs `body` with averaged weights where there are such.
fn averaged<T>(ema: &mut Option<crate::Ema>, body: impl FnOnce() -> Result<T>) -> Result<T> {
    match ema {
        Some(ema) => ema.evaluated(body),
        None => body(),
    }
}

/// Training mode, until it is dropped.
struct Training<'a>(&'a Params);

impl<'a> Training<'a> {
    fn on(params: &'a Params) -> Self {
        params.set_training(true);
        Self(params)
    }
}

impl Drop for Training<'_> {
    fn drop(&mut self) {
        self.0.set_training(false);
    }
}
