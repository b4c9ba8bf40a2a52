//! Runs that are stopped and go on, against runs that are not stopped.

use crate::common::{Noisy, SEED, Source, alone, bits, last, model, new_run, optim, validate};
use maxlik_train::run::Record;
use maxlik_train::{Outcome, Run, Status, Trainer};
use rand::{Rng as _, SeedableRng as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const STEPS: u64 = 60;

/// Trains in `folder`, raising the interrupt flag while step `stop` is under way.
fn train(run: &Run, resume: bool, stop: Option<u64>) -> Outcome {
    let (params, net) = model(SEED);
    let config = optim(STEPS);
    let flag = AtomicBool::new(false);
    let mut batches = Stopping { source: Source::default(), stop, flag: &flag };
    Trainer::new(&net, &Noisy, &params, &config, SEED)
        .run(run)
        .resume(resume)
        .validation(validate)
        .interrupt(&flag)
        .fit(&mut batches)
        .unwrap()
}

struct Stopping<'a> {
    source: Source,
    stop: Option<u64>,
    flag: &'a AtomicBool,
}

impl maxlik_train::Batches for Stopping<'_> {
    fn batch(&mut self, step: u64) -> maxlik_tensor::Result<maxlik_model::Batch> {
        if self.stop == Some(step) {
            self.flag.store(true, Ordering::SeqCst);
        }
        self.source.batch(step)
    }

    fn per_epoch(&self) -> u64 {
        self.source.per_epoch()
    }
}

/// Metrics without the times of the clock.
fn lines(folder: &Path) -> Vec<Record> {
    let mut records = Run::open(folder).unwrap().metrics().unwrap();
    for record in &mut records {
        record.time = 0.0;
        record.values.remove("samples_per_second");
    }
    records
}

#[test]
fn a_run_stopped_anywhere_ends_with_the_same_bits() {
    let _turn = alone();
    let whole = tempfile::tempdir().unwrap();
    let outcome = train(&new_run(whole.path()), false, None);
    assert_eq!((outcome.status, outcome.step), (Status::Finished, STEPS));
    let expected = last(whole.path());
    assert!(bits(&expected).len() > 20, "parameters, optimizer and averages are there");
    assert!(lines(whole.path()).len() > 15);

    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    for _ in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let stops = [rng.random_range(0..STEPS / 2), rng.random_range(STEPS / 2..STEPS - 1)];
        let first = train(&new_run(folder.path()), false, Some(stops[0]));
        assert_eq!((first.status, first.step), (Status::Interrupted, stops[0] + 1));
        let second = train(&Run::resume(folder.path()).unwrap(), true, Some(stops[1]));
        assert_eq!((second.status, second.step), (Status::Interrupted, stops[1] + 1));
        let third = train(&Run::resume(folder.path()).unwrap(), true, None);
        assert_eq!((third.status, third.best), (Status::Finished, outcome.best));
        let found = last(folder.path());
        assert!(bits(&found) == bits(&expected), "stopped after {stops:?}: weights differ");
        assert_eq!(lines(folder.path()), lines(whole.path()), "stopped after {stops:?}");
        let best = |folder: &Path| std::fs::read(folder.join("checkpoints/best.safetensors"));
        let weights = |folder: &Path| {
            let path = folder.join("checkpoints/best.safetensors");
            bits(&maxlik_train::checkpoint::Checkpoint::load(&path).unwrap())
        };
        assert!(best(folder.path()).unwrap().len() > 1000);
        assert!(weights(folder.path()) == weights(whole.path()));
    }
}
