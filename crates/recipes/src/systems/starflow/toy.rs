//! Two tokens with two modes each: what depth and alternation buy.

use crate::systems::Check;
use crate::systems::fit::fit;
use anyhow::Result;
use maxlik_flows::base::DiagonalNormal;
use maxlik_flows::tarflow::{Ordering, TarBlockConfig};
use maxlik_flows::{Flow, TarStack, TarflowConfig};
use maxlik_model::Density;
use maxlik_nn::{Params, TransformerConfig};
use maxlik_tensor::{Seeds, host};
use maxlik_train::{OptimConfig, Schedule};
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

/// Entropy of the data in nats: twice that of `½ N(−1, 0.3²) + ½ N(1, 0.3²)`.
const ENTROPY: f64 = 1.813_743_705_4;
/// The least cross-entropy of one block: a standard normal first token, and the best normal for the
/// second.
const ONE_BLOCK: f64 = 2.925_965_914_5;

/// `x_i = ±1 + 0.3 n`, independent, `[B, 2, 1]`.
fn draw(rows: i64) -> Result<Tensor> {
    let sign = Tensor::f_randint(2, [rows, 2, 1], FLOAT_CPU)? * 2.0 - 1.0;
    Ok(sign + Tensor::f_randn([rows, 2, 1], FLOAT_CPU)? * 0.3)
}

/// Trains a stack, and returns its negative log-likelihood on fresh data, in nats.
fn train(seed: u64, blocks: usize, ordering: Ordering) -> Result<f64> {
    let transformer = TransformerConfig { width: 32, heads: 2, ..TransformerConfig::default() };
    let block = TarBlockConfig { transformer, ..TarBlockConfig::default() };
    let config = TarflowConfig { ordering, ..TarflowConfig::uniform(blocks, 1, block) };
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let root = params.root();
    let stack = TarStack::new(&root.sub("stack"), [2, 1], None, &config)?;
    let base = DiagonalNormal::standard(&root, &[2, 1]);
    let flow = Flow::new(Box::new(stack), Box::new(base))?;
    let optim = OptimConfig {
        steps: 3000,
        lr: 2e-3,
        clip: 1.0,
        schedule: Schedule::Cosine { warmup: 100, last: 0.0 },
        ..OptimConfig::default()
    };
    fit(&params, &optim, seed, |_| Ok(-flow.log_prob(&draw(512)?, None)?.f_mean(Kind::Float)?))?;
    let _no_grad = tch::no_grad_guard();
    Seeds::new(seed).stream("test").seed_torch(0);
    let mut sum = 0.0;
    for _ in 0..CHUNKS {
        let log_prob = flow.log_prob(&draw(ROWS)?, None)?.f_to_kind(Kind::Double)?;
        sum -= host::scalar(&log_prob.f_mean(Kind::Double)?)?;
    }
    Ok(sum / f64::from(CHUNKS))
}

/// Test rows, enough for a standard error of 0.002 nats.
const CHUNKS: i32 = 8;
const ROWS: i64 = 25_000;

pub(super) fn checks(seed: u64) -> Result<Vec<Check>> {
    let one = train(seed, 1, Ordering::Alternating)?;
    let same = train(seed, 8, Ordering::Same)?;
    let turns = train(seed, 8, Ordering::Alternating)?;
    Ok(vec![
        Check::at_least("two modes, 1 block, nats", "at least 2.92 (no leak)", one, 2.92)
            .beside("the best one block", ONE_BLOCK),
        Check::at_least("two modes, 8 blocks of one order, nats", "at least 2.92", same, 2.92)
            .beside("the best one block", ONE_BLOCK),
        Check::at_most("two modes, 8 alternating blocks, nats", "at most 2.25", turns, 2.25)
            .beside("entropy of the data", ENTROPY),
    ])
}
