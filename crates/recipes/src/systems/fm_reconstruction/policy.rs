//! Points given a context, one mode for each: what a contracting residual is for.
//!
//! A field that contracts everywhere is minus the gradient of a convex potential and has one attractor. Beside
//! a field towards eight modes it can only squeeze: there its best pull is none. So it is tried where
//! each context has one mode, as in a policy.

use super::train::{Budget, FULL, Pretrained, Tuning, spread};
use crate::systems::Check;
use anyhow::Result;
use maxlik_model::{Batch, VectorField};
use maxlik_tensor::{Seeds, host};
use tch::{Kind, Tensor, kind::FLOAT_CPU};

const RADIUS: f64 = 1.5;
const STD: f64 = 0.1;
/// Standard deviation of the push on the way.
const PUSH: f64 = 0.1;

/// The mode of the contexts `c` `[B, 1]`: a place on an arc.
fn mode(c: &Tensor) -> Result<Tensor> {
    let angle = c * 2.0;
    Ok(Tensor::f_cat(&[angle.f_cos()?, angle.f_sin()?], 1)? * RADIUS)
}

/// `c` uniform on `[−1, 1]`, and its mode with normal noise.
fn draw(rows: i64) -> Result<Batch> {
    let c = Tensor::f_rand([rows, 1], FLOAT_CPU)? * 2.0 - 1.0;
    let x = mode(&c)? + Tensor::f_randn([rows, 2], FLOAT_CPU)? * STD;
    Ok(Batch { context: Some(c), ..Batch::new(x) })
}

pub(super) fn checks(seed: u64) -> Result<Vec<Check>> {
    run(seed, FULL)
}

fn run(seed: u64, budget: Budget) -> Result<Vec<Check>> {
    let field = Pretrained::train(seed, [2, 1], budget, &draw)?;
    Seeds::new(seed).stream("test").seed_torch(0);
    let test = draw(budget.test)?;
    let context = test.context.as_ref();
    let start = test.data.f_randn_like()?;
    let push = start.f_randn_like()? * PUSH;
    let modes = match context {
        Some(c) => mode(c)?,
        None => test.data.f_zeros_like()?,
    };
    // Reconstructions, the push, and samples from their mode.
    let measure = |v: &dyn VectorField| -> Result<[f64; 3]> {
        let off = (field.sample(v, &start, context)? - &modes).f_square()?;
        let off = (2.0 * host::scalar(&off.f_mean(Kind::Double)?)?).sqrt();
        Ok([field.error(v, &test)?, spread(v, &start, &push, context)?, off])
    };
    let before = measure(&field.field()?.1)?;
    let whole = measure(field.tune(Tuning::Whole, &draw)?.as_ref())?;
    let contracting = measure(field.tune(Tuning::Contracting, &draw)?.as_ref())?;
    tracing::info!("  before {before:?}, whole {whole:?}, contracting {contracting:?}");
    Ok(vec![
        Check::at_most(
            "one mode for each context, a push half-way at the end: contracting residual / whole field",
            "less than 1",
            contracting[1] / whole[1],
            1.0,
        )
        .beside("whole field, over the push", whole[1]),
        Check::at_most(
            "the same, contracting residual / before fine-tuning",
            "less than 1",
            contracting[1] / before[1],
            1.0,
        )
        .beside("squared error of reconstructions, after / before", contracting[0] / before[0]),
        Check::at_most(
            "samples' distance from their mode, RMS, contracting residual / data's own",
            "at most 1.1",
            contracting[2] / (STD * 2.0_f64.sqrt()),
            1.1,
        )
        .beside("before fine-tuning", before[2] / (STD * 2.0_f64.sqrt())),
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Budget, run};

    #[test]
    fn a_few_steps_give_all_numbers() {
        let budget = Budget { steps: 3, tuning: 2, pairs: 64, test: 40 };
        let checks = run(1, budget).unwrap();
        assert!(checks.iter().all(|check| check.result > 0.0), "{checks:?}");
    }
}
