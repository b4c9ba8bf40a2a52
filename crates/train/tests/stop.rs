//! What ends a run before its time.

use crate::common::{Noisy, SEED, Source, alone, bits, last, model, new_run, optim, validate};
use maxlik_model::{Batch, Loss, Objective};
use maxlik_nn::{Mlp, Network, Params};
use maxlik_tensor::Result;
use maxlik_train::checkpoint::Checkpoint;
use maxlik_train::{OptimConfig, Run, Status, Trainer};
use std::cell::Cell;
use std::fmt::Debug;
use tch::Kind;

/// Trains in a new folder with this objective and source; the error, and the folder.
fn fail(objective: &dyn Objective<Mlp>, mut source: Source) -> (String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (params, net) = model(SEED);
    let config = optim(40);
    let run = new_run(folder.path());
    let error = Trainer::new(&net, objective, &params, &config, SEED)
        .run(&run)
        .validation(validate)
        .fit(&mut source)
        .unwrap_err();
    assert!(!params.mode().is_training());
    for (name, tensor) in params.named() {
        assert!(bool::try_from(tensor.isfinite().all()).unwrap(), "{name} was spoilt");
    }
    (error.to_string(), folder)
}

fn saved_at(folder: &tempfile::TempDir, step: u64) -> String {
    let path = folder.path().join("checkpoints/last.safetensors");
    assert_eq!(Checkpoint::load(&path).unwrap().meta.step, step);
    format!("last good checkpoint: step {step}, {}", path.display())
}

/// A loss that goes wrong by itself at some step.
struct Breaks {
    at: u64,
    step: Cell<u64>,
    how: fn(&tch::Tensor, &Mlp, &Batch) -> Result<tch::Tensor>,
}

impl Debug for Breaks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Breaks")
    }
}

impl Objective<Mlp> for Breaks {
    fn loss(&self, model: &Mlp, batch: &Batch) -> Result<Loss> {
        let mut loss = Noisy.loss(model, batch)?;
        if self.step.replace(self.step.get() + 1) == self.at {
            loss.value = (self.how)(&loss.value, model, batch)?;
        }
        Ok(loss)
    }
}

fn breaks(at: u64, how: fn(&tch::Tensor, &Mlp, &Batch) -> Result<tch::Tensor>) -> Breaks {
    Breaks { at, step: Cell::new(0), how }
}

#[test]
fn data_that_are_not_numbers_stop_the_run_by_name() {
    let _turn = alone();
    let source = Source { bad_from: Some(12), ..Source::default() };
    let (message, folder) = fail(&Noisy, source);
    let kept = saved_at(&folder, 10);
    // Loss, six gradients: the bias of the last layer has a NaN too.
    let expected = format!(
        "training stopped at step 12 ({kept}): data of the batch (then the loss, and 6 more) is not finite"
    );
    assert_eq!(message, expected);
}

#[test]
fn a_loss_that_is_not_finite_is_named() {
    let _turn = alone();
    let (message, folder) =
        fail(&breaks(17, |loss, _, _| Ok(loss * f64::INFINITY)), Source::default());
    let kept = saved_at(&folder, 15);
    let expected = format!(
        "training stopped at step 17 ({kept}): loss (then the gradient of net.0.bias, and 5 more) is not finite"
    );
    assert_eq!(message, expected);
}

/// The loss is finite, but the root of zero has no derivative.
#[test]
fn the_first_gradient_that_is_not_finite_is_named() {
    let _turn = alone();
    let how = |loss: &tch::Tensor, model: &Mlp, batch: &Batch| {
        let zero = (model.forward(&batch.data, None)? * 0.0).mean(Kind::Float);
        Ok(loss + zero.sqrt())
    };
    let (message, _folder) = fail(&breaks(3, how), Source::default());
    let expected = "training stopped at step 3 (no checkpoint yet): gradient of net.0.bias \
                    (then the gradient of net.0.weight, and 4 more) is not finite";
    assert_eq!(message, expected);
}

#[test]
fn a_parameter_that_is_not_finite_is_named_before_the_loss() {
    let _turn = alone();
    let (params, net) = model(SEED);
    let weight = params.named().into_iter().find(|(name, _)| name == "net.1.weight").unwrap().1;
    let _no_grad = tch::no_grad_guard();
    let _same = weight.shallow_clone().get(0).fill_(f64::NAN);
    drop(_no_grad);
    let error = Trainer::new(&net, &Noisy, &params, &optim(5), SEED)
        .fit(&mut Source::default())
        .unwrap_err();
    let message = error.to_string();
    let expected = "training stopped at step 0: parameter net.1.weight (then the loss, and ";
    assert!(message.starts_with(expected), "{message}");
    assert!(error.is_recoverable());
}

#[test]
fn a_panic_in_a_step_is_an_error() {
    let _turn = alone();
    let how = |loss: &tch::Tensor, _: &Mlp, batch: &Batch| {
        Ok(loss + batch.data.get(1000).sum(Kind::Float))
    };
    let (message, folder) = fail(&breaks(8, how), Source::default());
    assert!(message.starts_with("training step failed: "), "{message}");
    assert_eq!(message.lines().count(), 1);
    let _kept = saved_at(&folder, 5);
}

#[test]
fn a_loss_with_a_shape_is_refused() {
    let _turn = alone();
    let how = |loss: &tch::Tensor, _: &Mlp, _: &Batch| Ok(loss.unsqueeze(0));
    let (message, _folder) = fail(&breaks(0, how), Source::default());
    assert_eq!(message, "loss: expected shape [], got [1]");
}

#[test]
fn a_validation_that_is_not_finite_stops_the_run() {
    let _turn = alone();
    let (params, net) = model(SEED);
    let config = optim(40);
    let calls = Cell::new(0);
    let error = Trainer::new(&net, &Noisy, &params, &config, SEED)
        .validation(|_: &Mlp| {
            calls.set(calls.get() + 1);
            Ok(if calls.get() == 3 { f64::NAN } else { 1.0 })
        })
        .fit(&mut Source::default())
        .unwrap_err();
    assert_eq!(error.to_string(), "training stopped at step 27: validation is not finite");
}

/// Validates as the table says, and records what the model's weights were each time.
fn train_validated(
    values: &[f64],
    config: &OptimConfig,
    run: Option<&Run>,
) -> (Params, Vec<f64>, maxlik_train::Outcome) {
    let (params, net) = model(SEED);
    let mut seen = Vec::new();
    let weights = params.trainable();
    let sum = || weights.iter().map(|(_, t)| t.sum(Kind::Double).double_value(&[])).sum::<f64>();
    let mut trainer = Trainer::new(&net, &Noisy, &params, config, SEED).validation(|_: &Mlp| {
        assert!(!params.mode().is_training());
        seen.push(sum());
        Ok(values[seen.len() - 1])
    });
    if let Some(run) = run {
        trainer = trainer.run(run);
    }
    let outcome = trainer.fit(&mut Source::default()).unwrap();
    (params, seen, outcome)
}

#[test]
fn patience_ends_the_run_and_the_best_weights_are_left() {
    let _turn = alone();
    let config = OptimConfig { patience: 3, ..optim(500) };
    let values = [5.0, 4.0, 4.5, 3.0, 3.5, 3.0, 3.1];
    let folder = tempfile::tempdir().unwrap();
    let run = new_run(folder.path());
    for run in [None, Some(&run)] {
        let (params, seen, outcome) = train_validated(&values, &config, run);
        assert_eq!((outcome.status, outcome.step), (Status::EarlyStopped, 7 * 9));
        let best = outcome.best.unwrap();
        assert_eq!((best.step, best.value), (4 * 9, 3.0));
        let now: f64 =
            params.trainable().iter().map(|(_, t)| t.sum(Kind::Double).double_value(&[])).sum();
        assert_eq!(now, seen[3], "the weights of the fourth validation");
        assert_ne!(now, seen[6]);
    }
    // Resuming a run that has lost its patience makes no further step.
    let (params, net) = model(SEED);
    let again = Trainer::new(&net, &Noisy, &params, &config, SEED)
        .run(&run)
        .resume(true)
        .validation(|_: &Mlp| -> Result<f64> { panic!("not called") })
        .fit(&mut Source::default())
        .unwrap();
    assert_eq!((again.status, again.step), (Status::EarlyStopped, 7 * 9));
    assert_eq!(run.checkpoints().load_weights(&params).unwrap(), 4 * 9);
}

#[test]
fn without_validation_the_averages_are_left() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = new_run(folder.path());
    let (params, net) = model(SEED);
    let config = optim(30);
    let outcome = Trainer::new(&net, &Noisy, &params, &config, SEED)
        .run(&run)
        .fit(&mut Source::default())
        .unwrap();
    assert_eq!(outcome.best, None);
    let state = last(folder.path());
    assert_eq!(format!("{:?}", state.group("ema")), format!("{:?}", params.trainable()));
    assert_ne!(format!("{:?}", state.group("ema")), format!("{:?}", state.group("model")));
    let (other, _net) = model(SEED + 1);
    assert_eq!(run.checkpoints().load_weights(&other).unwrap(), 30);
    assert_eq!(format!("{:?}", other.named()), format!("{:?}", params.named()));
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let run = new_run(folder.path());
    let (params, net) = model(SEED);
    let config = optim(10);
    let go = |params: &Params, net: &Mlp, config: &OptimConfig, seed| {
        let trainer = Trainer::new(net, &Noisy, params, config, seed);
        trainer.run(&run).resume(true).fit(&mut Source::default())
    };
    go(&params, &net, &config, SEED).unwrap();
    let before = bits(&last(folder.path()));
    let message =
        |result: Result<_>| result.map(|_: maxlik_train::Outcome| ()).unwrap_err().to_string();
    assert_eq!(
        message(go(&params, &net, &config, 5)),
        "seed: the checkpoint was made with 11, not 5"
    );
    let plain = OptimConfig { ema: 0.0, ..config.clone() };
    assert_eq!(
        message(go(&params, &net, &plain, SEED)),
        "optim.ema: the checkpoint was made with averaged weights"
    );
    let other = Params::new(1, Kind::Float, tch::Device::Cpu);
    let shape = maxlik_nn::MlpConfig { hidden: vec![16, 8], ..maxlik_nn::MlpConfig::default() };
    let net = Mlp::new(&other.root().sub("net"), 2, 0, 1, &shape).unwrap();
    assert_eq!(
        message(go(&other, &net, &config, SEED)),
        "model.net.1.bias: expected shape [8], got [16]"
    );
    assert!(bits(&last(folder.path())) == before);
}
