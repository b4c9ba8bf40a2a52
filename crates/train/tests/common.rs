//! A small model with dropout, its data, and ways to train it.

use maxlik_model::{Batch, Loss, Metric, Objective};
use maxlik_nn::{Activation, Mlp, MlpConfig, Network, Params};
use maxlik_tensor::{Result, Seeds};
use maxlik_train::checkpoint::Checkpoint;
use maxlik_train::{Batches, OptimConfig, Run, Schedule};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tch::{Device, Kind, Tensor};

pub(crate) const SEED: u64 = 11;

/// LibTorch's generator is shared by all threads: tests that draw from it take turns.
///
/// The tensors here are small: on a busy machine a second thread would only be waited for.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    tch::set_num_threads(1);
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A regression network with dropout, in single precision as real runs are.
pub(crate) fn model(seed: u64) -> (Params, Mlp) {
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let config = MlpConfig { hidden: vec![16, 16], activation: Activation::Tanh, dropout: 0.2 };
    let net = Mlp::new(&params.root().sub("net"), 2, 0, 1, &config).unwrap();
    (params, net)
}

/// Mean squared error, with noise on the target: a draw of its own in each step.
#[derive(Debug)]
pub(crate) struct Noisy;

impl Objective<Mlp> for Noisy {
    fn loss(&self, model: &Mlp, batch: &Batch) -> Result<Loss> {
        let x = &batch.data;
        let target = x.f_prod_dim_int(1, true, Kind::Float)?;
        let target = &target + target.f_randn_like()? * 0.1;
        let error = model.forward(x, None)?.f_sub(&target)?.f_square()?.f_mean(Kind::Float)?;
        let size = x.f_abs()?.f_mean(Kind::Float)?;
        Ok(Loss { value: error, metrics: vec![Metric { name: "size", value: size }] })
    }
}

/// Batches drawn on the host, with 7 in an epoch.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// From this step on the data are not numbers.
    pub(crate) bad_from: Option<u64>,
    /// Waits so long in each step.
    pub(crate) pause: std::time::Duration,
}

impl Batches for Source {
    fn batch(&mut self, step: u64) -> Result<Batch> {
        use rand::Rng as _;
        std::thread::sleep(self.pause);
        let mut rng = Seeds::new(SEED).stream("data").rng(step);
        let mut values: Vec<f32> = (0..64).map(|_| rng.random_range(-1.0..1.0)).collect();
        if self.bad_from.is_some_and(|bad| step >= bad) {
            values[5] = f32::NAN;
        }
        Ok(Batch::new(Tensor::from_slice(&values).reshape([32, 2])))
    }

    fn per_epoch(&self) -> u64 {
        7
    }
}

/// Error on a fixed grid.
pub(crate) fn validate(model: &Mlp) -> Result<f64> {
    let line = Tensor::linspace(-1.0, 1.0, 9, (Kind::Float, Device::Cpu));
    let x = Tensor::cartesian_prod(&[&line, &line]);
    let target = x.prod_dim_int(1, true, Kind::Float);
    let error = (model.forward(&x, None)? - target).square().mean(Kind::Double);
    Ok(error.double_value(&[]))
}

/// Frequent checkpoints and validations that do not fall together, averaging, clipping, a schedule.
pub(crate) fn optim(steps: u64) -> OptimConfig {
    OptimConfig {
        steps,
        lr: 5e-3,
        weight_decay: 0.01,
        clip: 0.5,
        ema: 0.95,
        eval_every: 9,
        checkpoint_every: 5,
        log_every: 4,
        schedule: Schedule::Cosine { warmup: 10, last: 0.1 },
        ..OptimConfig::default()
    }
}

/// All tensors of a checkpoint as the bytes that they are.
pub(crate) fn bits(checkpoint: &Checkpoint) -> Vec<(String, Vec<u8>)> {
    let groups = ["model", "optimizer", "ema"];
    let named = groups.iter().flat_map(|group| {
        let tensors = checkpoint.group(group);
        tensors.into_iter().map(move |(name, tensor)| (format!("{group}.{name}"), bytes(&tensor)))
    });
    named.collect()
}

pub(crate) fn bytes(tensor: &Tensor) -> Vec<u8> {
    let tensor = tensor.contiguous();
    let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
    tensor.copy_data_u8(&mut bytes, tensor.numel());
    bytes
}

/// The folder's newest checkpoint.
pub(crate) fn last(folder: &Path) -> Checkpoint {
    Checkpoint::load(&folder.join("checkpoints/last.safetensors")).unwrap()
}

/// A run folder with a configuration, as a recipe makes it.
pub(crate) fn new_run(folder: &Path) -> Run {
    let run = Run::create(folder).unwrap();
    run.write_config(&optim(1)).unwrap();
    run
}
