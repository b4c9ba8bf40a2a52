//! What the cache of keys and values saves in sampling.

use crate::systems::Check;
use anyhow::Result;
use maxlik_flows::TarBlock;
use maxlik_flows::tarflow::{TarBlockConfig, TarBlockShape};
use maxlik_nn::{Params, TransformerConfig};
use std::time::Instant;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

/// Tokens of the timed block: 16 × 16 patches.
const TOKENS: i64 = 256;

pub(super) fn check(seed: u64) -> Result<Check> {
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let transformer = TransformerConfig { layers: 4, ..TransformerConfig::default() };
    let config = TarBlockConfig { transformer, ..TarBlockConfig::default() };
    let order: Vec<i64> = (0..TOKENS).collect();
    let at = TarBlockShape { channels: 4, order: &order, context: None };
    let block = TarBlock::new(&params.root(), at, &config)?;
    let z = Tensor::f_randn([16, TOKENS, 4], FLOAT_CPU)?;
    let _no_grad = tch::no_grad_guard();
    let _warm = block.unmap_sequential(&z, None)?;
    let start = Instant::now();
    let _cached = block.unmap_sequential(&z, None)?;
    let cached = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let _again = block.unmap_recomputed(&z, None)?;
    let ratio = start.elapsed().as_secs_f64() / cached;
    let what = "sampling 256 tokens: time without cache / with";
    Ok(Check::at_least(what, "more than 2", ratio, 2.0))
}
