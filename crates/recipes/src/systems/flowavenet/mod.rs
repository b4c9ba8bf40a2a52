//! FloWaveNet: a flow on waveforms.
//!
//! One acceptance does not hold: autocorrelations of samples are off by 0.13 at most (seed 0), where the
//! specification has 0.1; the likelihood is 0.045 nats a sample below the exact one. It is a matter of the
//! training, not of the measurement: chunks of the process itself, as many and as long, are off by at most 0.008 (20
//! draws of 128 chunks of each class). A run takes four minutes of one core already.

mod noise;

use super::fit::fit;
use super::wave::{write_spectrograms, write_wav};
use super::{Check, System};
use anyhow::Result;
use maxlik_flows::Flow;
use maxlik_flows::audio::{FloWaveNet, FloWaveNetConfig};
use maxlik_flows::base::DiagonalNormal;
use maxlik_model::Density;
use maxlik_nn::{Network, Params, WaveNet, WaveNetConfig};
use maxlik_tensor::{Seeds, host};
use maxlik_train::{OptimConfig, Schedule};
use noise::{Resonance, batch, mean_autocorrelation};
use std::path::Path;
use std::time::Instant;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

/// FloWaveNet.
pub(super) const SYSTEM: System = System {
    name: "flowavenet",
    about: "a flow on raw waveforms with WaveNet couplings (FloWaveNet, arXiv:1811.02155)",
    claim: "one likelihood loss and one parallel pass for a sample, near the autoregressive \
            WaveNet's likelihood; paper: 4.55 nats a sample against 4.65 of a Gaussian WaveNet",
    run,
};

/// Samples of a test chunk.
const LENGTH: i64 = 512;
/// Samples of a training chunk: parameters do not depend on it, and twice as many steps on half the
/// length bring more.
const PART: i64 = 256;
/// Samples of one frame of the context.
const HOP: i64 = 16;
/// Samples a second, of the file only: the data have no rate of their own.
const RATE: u32 = 8000;

fn config() -> FloWaveNetConfig {
    FloWaveNetConfig {
        blocks: 3,
        flows: 4,
        blocks_per_split: 2,
        wavenet: WaveNetConfig { channels: 32, ..WaveNetConfig::default() },
        strides: vec![4, 4],
    }
}

/// The flow on waveforms of that many samples; its parameters do not depend on the length.
fn build(params: &Params, length: i64) -> Result<Flow> {
    let root = params.root();
    let flow = FloWaveNet::new(&root.sub("flow"), 2, length / HOP, &config())?;
    Ok(Flow::new(Box::new(flow), Box::new(DiagonalNormal::standard(&root, &[length])))?)
}

fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let flow = build(&params, LENGTH)?;
    Seeds::new(seed).stream("initialize").seed_torch(0);
    let first = batch(64, LENGTH, HOP)?;
    flow.initialize(&first.waves, Some(&first.context))?;
    let optim = OptimConfig {
        steps: 2400,
        lr: 3e-3,
        clip: 1.0,
        ema: 0.99,
        schedule: Schedule::Cosine { warmup: 20, last: 0.01 },
        ..OptimConfig::default()
    };
    let shorter = Params::new(seed, Kind::Float, Device::Cpu);
    let part = build(&shorter, PART)?;
    shorter.load(&params.named())?;
    fit(&shorter, &optim, seed, |_| {
        let chunk = batch(16, PART, HOP)?;
        let log_prob = part.log_prob(&chunk.waves, Some(&chunk.context))?;
        Ok(-log_prob.f_mean(Kind::Float)? / PART as f64)
    })?;
    params.load(&shorter.named())?;
    params.set_training(false);

    let _no_grad = tch::no_grad_guard();
    Seeds::new(seed).stream("test").seed_torch(0);
    let test = batch(512, LENGTH, HOP)?;
    let per_sample = |context: &Tensor| -> Result<f64> {
        let log_prob = flow.log_prob(&test.waves, Some(context))?.f_to_kind(Kind::Double)?;
        Ok(host::scalar(&log_prob.f_mean(Kind::Double)?)? / LENGTH as f64)
    };
    let likelihood = per_sample(&test.context)?;
    // Chunks of the two classes come in turns: rolled by one, each has the other's context.
    let shuffled = per_sample(&test.context.f_roll([1], [0])?)?;
    let exact = test.exact / LENGTH as f64;
    let white = Resonance::ALL.iter().map(Resonance::white).sum::<f64>() / 2.0;

    Seeds::new(seed).stream("sampler").seed_torch(0);
    let samples = flow.sample(256, Some(&test.context.f_narrow(0, 0, 256)?))?;
    let worst = worst_autocorrelation(&samples)?;
    let speed = speed(&flow, &test.context)?;
    pictures(&params, out)?;
    Ok(vec![
        Check::at_least(
            "AR(2) noise of two classes, test log-likelihood, nats/sample",
            "at least 0.08",
            likelihood,
            0.08,
        )
        .beside("exact on the same chunks", exact),
        Check::at_least(
            "the same, above the best white noise, nats/sample",
            "at least 0.76",
            likelihood - white,
            0.76,
        )
        .beside("the white noise's", white),
        Check::at_least(
            "log-likelihood lost with the other class's context, nats/sample",
            "at least 0.3",
            likelihood - shuffled,
            0.3,
        ),
        Check::at_most(
            "samples, largest error of autocorrelations at lags 1 to 4",
            "at most 0.1",
            worst,
            0.1,
        ),
        Check::at_least(
            "sampling 512 samples: time one by one (causal WaveNet of equal size) / in one pass",
            "more than 1",
            speed,
            1.0,
        ),
    ])
}

/// The largest difference between autocorrelations of samples and of the process, both classes.
fn worst_autocorrelation(samples: &Tensor) -> Result<f64> {
    let mut worst = 0.0_f64;
    for (class, resonance) in Resonance::ALL.iter().enumerate() {
        // Classes come in turns.
        let own = samples.f_slice(0, class as i64, None, 2)?;
        let exact = resonance.autocorrelations(4);
        for (lag, exact) in (1..=4).zip(exact) {
            worst = worst.max((mean_autocorrelation(&own, lag)? - exact).abs());
        }
    }
    Ok(worst)
}

/// Time of drawing one waveform sample by sample from a Gaussian causal WaveNet of the same channels
/// and layers (untrained: only its time counts), over that of the flow's single pass.
fn speed(flow: &Flow, context: &Tensor) -> Result<f64> {
    let params = Params::new(0, Kind::Float, Device::Cpu);
    let wavenet = WaveNetConfig { causal: true, ..config().wavenet };
    let net = WaveNet::new(&params.root(), 1, 0, 2, &wavenet)?;
    // What an output sees: the front convolution and the dilated ones.
    let window = 1 + 2 + 2 * ((1 << wavenet.layers) - 1);
    let context = context.f_narrow(0, 0, 1)?;
    let _warm = flow.sample(1, Some(&context))?;
    let start = Instant::now();
    let _parallel = flow.sample(1, Some(&context))?;
    let parallel = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut x = Tensor::f_zeros([1, 1, window], FLOAT_CPU)?;
    for _ in 0..LENGTH {
        let length = x.size()[2];
        let moments = net.forward(&x.f_narrow(2, length - window, window)?, None)?;
        let last = moments.f_select(2, window - 1)?;
        let (mean, log_std) = (last.f_narrow(1, 0, 1)?, last.f_narrow(1, 1, 1)?);
        let next = mean + log_std.f_exp()? * Tensor::f_randn([1, 1], FLOAT_CPU)?;
        x = Tensor::f_cat(&[x, next.f_unsqueeze(-1)?], 2)?;
    }
    Ok(start.elapsed().as_secs_f64() / parallel)
}

/// Two seconds in one pass, the class changing every quarter of a second, beside data of the same
/// plan: `sample.wav`, `data.wav` and `spectrogram.png` (data left, sample right).
fn pictures(params: &Params, out: &Path) -> Result<()> {
    let (length, part) = (16_384, 2_048);
    let longer = Params::new(0, Kind::Float, Device::Cpu);
    let flow = build(&longer, length)?;
    longer.load(&params.named())?;
    let parts = batch(length / part, part, HOP)?;
    let frames: Vec<Tensor> = parts.context.f_unbind(0)?;
    let context = Tensor::f_cat(&frames, 1)?.f_unsqueeze(0)?;
    let sample = flow.sample(1, Some(&context))?.f_view([length])?;
    let data = parts.waves.f_view([length])?;
    write_wav(&out.join("sample.wav"), &sample, RATE)?;
    write_wav(&out.join("data.wav"), &data, RATE)?;
    write_spectrograms(&out.join("spectrogram.png"), &[data, sample])
}
