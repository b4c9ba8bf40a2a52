//! Evaluations of mixed batches: each sample with its own step, and one step for the batch. Prints the
//! table of docs/ode.md.
//!
//! `cargo run -p maxlik-ode --example mixed`
#![allow(clippy::print_stdout, reason = "an example shows what it finds")]

use maxlik_ode::{Adaptive, Field, Rows, Solution, Solver, tableau};
use maxlik_tensor::{Result, with_seed};
use tch::{Device, Kind, Tensor};

/// Samples of a batch.
const BATCH: i64 = 512;

/// `y′ = ω (−y₂, y₁)` with a frequency for each sample.
#[derive(Debug)]
struct Rotation(Tensor);

impl Field for Rotation {
    fn rate(&self, _t: &Tensor, y: &Tensor, rows: &Rows) -> Result<Tensor> {
        let turned = Tensor::f_stack(&[y.f_select(1, 1)?.f_neg()?, y.f_select(1, 0)?], 1)?;
        Ok(turned.f_mul(&rows.select(0, &self.0)?)?)
    }
}

/// Van der Pol's oscillator, `y₂′ = μ (1 − y₁²) y₂ − y₁`.
#[derive(Debug)]
struct VanDerPol(f64);

impl Field for VanDerPol {
    fn rate(&self, _t: &Tensor, y: &Tensor, _rows: &Rows) -> Result<Tensor> {
        let (x, v) = (y.f_select(1, 0)?, y.f_select(1, 1)?);
        let damping = x.f_square()?.f_neg()?.f_add_scalar(1.0)?.f_mul_scalar(self.0)?;
        Ok(Tensor::f_stack(&[v.shallow_clone(), damping.f_mul(&v)?.f_sub(&x)?], 1)?)
    }
}

fn compare(name: &str, field: &dyn Field, y0: &Tensor, end: f64) -> Result<()> {
    let times = Tensor::from_slice(&[0.0, end]);
    let control = Adaptive::new(1e-5, 1e-5);
    let solve = |control: Adaptive| -> Result<Solution> {
        Solver::adaptive(tableau::DOPRI5, control)?.solve(field, y0, &times)
    };
    for (kind, control) in [("own", control.clone()), ("joint", control.joint())] {
        let solution = solve(control)?;
        solution.ensure_success()?;
        let mut counts: Vec<u64> = solution.counts.iter().map(|c| c.evaluations).collect();
        counts.sort_unstable();
        let (median, most) = (counts[counts.len() / 2], counts[counts.len() - 1]);
        let total: u64 = counts.iter().sum();
        println!(
            "{name:<14} {kind:<6} evaluations: median {median:>5}, most {most:>5}, all samples {total:>8}; steps of the batch {:>5}",
            solution.steps
        );
    }
    Ok(())
}

fn main() -> Result<()> {
    let options = (Kind::Double, Device::Cpu);
    let mut frequency = vec![1.0; BATCH as usize];
    frequency[77] = 200.0;
    let frequency = Tensor::from_slice(&frequency).f_view([BATCH, 1])?;
    let ones = Tensor::f_ones([BATCH, 2], options)?;
    compare("one hard", &Rotation(frequency), &ones, 1.0)?;
    let start = with_seed(1, || Tensor::f_randn([BATCH, 2], options))? * 2.0;
    compare("van der Pol", &VanDerPol(5.0), &start, 12.0)
}
