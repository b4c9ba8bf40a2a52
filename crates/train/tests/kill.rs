//! Processes that are killed while they train.

use crate::common::{Noisy, SEED, Source, alone, bits, last, model, new_run, optim, validate};
use maxlik_train::{Run, Status, Trainer};
use rand::{Rng as _, SeedableRng as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Tells the test below which folder to train in.
const FOLDER: &str = "MAXLIK_TRAIN_FOLDER";
/// How many times the process is killed; 3 unless set.
const KILLS: &str = "MAXLIK_KILLS";
const STEPS: u64 = 200;

fn train(folder: &Path, pause: Duration) {
    let run = if folder.join("config.toml").exists() {
        Run::resume(folder).unwrap()
    } else {
        new_run(folder)
    };
    let (params, net) = model(SEED);
    let config = optim(STEPS);
    let outcome = Trainer::new(&net, &Noisy, &params, &config, SEED)
        .run(&run)
        .resume(true)
        .validation(validate)
        .fit(&mut Source { pause, ..Source::default() })
        .unwrap();
    assert_eq!((outcome.status, outcome.step), (Status::Finished, STEPS));
}

/// Trains to the end, in the folder of the environment where the test after it is the caller.
#[test]
fn a_run_in_a_process_finishes() {
    let _turn = alone();
    match std::env::var_os(FOLDER) {
        Some(folder) => train(folder.as_ref(), Duration::from_millis(2)),
        None => train(tempfile::tempdir().unwrap().path(), Duration::ZERO),
    }
}

fn spawn(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::a_run_in_a_process_finishes", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Step of the newest checkpoint, 0 where there is none.
fn checkpointed(folder: &Path) -> u64 {
    let folder = maxlik_train::checkpoint::Folder::new(folder.join("checkpoints"));
    folder.resume().unwrap().map_or(0, |loaded| loaded.checkpoint.meta.step)
}

/// Waits until the child has written to `file`, or has ended.
fn wait_for(file: &Path, child: &mut Child) {
    let modified = || std::fs::metadata(file).and_then(|m| m.modified()).ok();
    let (before, start) = (modified(), Instant::now());
    while modified() == before && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(120), "the child does not train");
        std::thread::sleep(Duration::from_millis(3));
    }
}

#[test]
fn a_run_killed_at_random_moments_ends_with_the_same_bits() {
    let temporary = tempfile::tempdir().unwrap();
    let (whole, killed) = (temporary.path().join("whole"), temporary.path().join("killed"));
    {
        let _turn = alone();
        train(&whole, Duration::ZERO);
    }
    let kills: usize = std::env::var(KILLS).map_or(3, |text| text.parse().unwrap());
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(20);
    let mut steps = Vec::new();
    for kill in 0..kills {
        let before = checkpointed_or_new(&killed);
        let mut child = spawn(&killed);
        // The first may fall before any checkpoint.
        let sign = if kill == 0 { "metrics.jsonl" } else { "checkpoints/last.safetensors" };
        wait_for(&killed.join(sign), &mut child);
        // So that all kills fall into the run, however many there are.
        let left = Duration::from_millis(4).mul_f64((STEPS - before) as f64 / (kills + 1) as f64);
        std::thread::sleep(left.mul_f64(rng.random_range(0.0..1.0)));
        child.kill().unwrap();
        let _status = child.wait().unwrap();
        let after = checkpointed(&killed);
        assert!(after >= before);
        // No more is lost than the steps since the last checkpoint.
        let lines = Run::open(&killed).unwrap().metrics().unwrap();
        let reached = lines.last().map_or(0, |record| record.step);
        assert!(reached <= after + optim(STEPS).checkpoint_every, "{reached} after {after}");
        steps.push(after);
    }
    assert!(steps.iter().any(|&step| step > 0 && step < STEPS), "killed after {steps:?}");
    let status = spawn(&killed).wait().unwrap();
    assert!(status.success());
    assert_eq!(checkpointed(&killed), STEPS);
    assert!(bits(&last(&killed)) == bits(&last(&whole)), "killed after {steps:?}: weights differ");
}

fn checkpointed_or_new(folder: &Path) -> u64 {
    if folder.exists() { checkpointed(folder) } else { 0 }
}
