//! Metropolis–Hastings chains that know a score only.

use super::positive;
use crate::score::sum_events;
use maxlik_model::Score;
use maxlik_tensor::{Error, Result, host};
use tch::{Kind, Tensor};

/// `ln p(b) − ln p(a) = ∫₀¹ ⟨s(a + t(b − a)), b − a⟩ dt` for each row, `[B]`, by Gauss–Legendre quadrature
/// with one to three nodes: exact for scores that are polynomials of degree 1, 3 and 5 along the line.
///
/// A learned score need not be a gradient field; the result then depends on the path, which is the
/// straight line here.
///
/// # Errors
/// [`Error::Config`] for another number of nodes, and those of the score.
pub fn log_density_difference(
    score: &dyn Score,
    a: &Tensor,
    b: &Tensor,
    nodes: usize,
) -> Result<Tensor> {
    let third = 0.6_f64.sqrt();
    let second = (1.0_f64 / 3.0).sqrt();
    let rule: &[(f64, f64)] = match nodes {
        1 => &[(0.0, 1.0)],
        2 => &[(-second, 0.5), (second, 0.5)],
        3 => &[(-third, 5.0 / 18.0), (0.0, 8.0 / 18.0), (third, 5.0 / 18.0)],
        _ => return Err(Error::config("nodes", format!("expected 1, 2 or 3, got {nodes}"))),
    };
    let step = b.f_sub(a)?;
    // All nodes as one batch.
    let points = rule.iter().map(|(place, _)| a + &step * (0.5 * (place + 1.0)));
    let points = Tensor::f_cat(&points.collect::<Vec<_>>(), 0)?;
    let scores = score.score(&points, None)?.f_chunk(rule.len() as i64, 0)?;
    let mut sum = sum_events(&step.f_zeros_like()?)?;
    for (part, (_, weight)) in scores.iter().zip(rule) {
        sum = sum.f_add(&(sum_events(&part.f_mul(&step)?)? * *weight))?;
    }
    Ok(sum)
}

/// A Metropolis–Hastings sampler (Alain and Bengio 2014, arXiv:1211.4246, section 3.3): propose
/// `x* = x + s n` with `n ~ N(0, I)`, and accept with `min(1, p(x*)/p(x))` from
/// [`log_density_difference`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metropolis {
    step: f64,
    nodes: usize,
}

/// What chains have visited.
#[derive(Debug)]
pub struct Chains {
    /// All states after each step, `[steps, chains, D]`.
    pub states: Tensor,
    /// Part of the proposals that was accepted.
    pub accepted: f64,
}

impl Metropolis {
    /// A sampler with the step `s` and this many nodes of the line integral.
    ///
    /// # Errors
    /// [`Error::Config`] for a step that is not positive or other than one to three nodes.
    pub fn new(step: f64, nodes: usize) -> Result<Self> {
        if !(1..=3).contains(&nodes) {
            return Err(Error::config("nodes", format!("expected 1, 2 or 3, got {nodes}")));
        }
        Ok(Self { step: positive("step", step)?, nodes })
    }

    /// One step of independent chains at `x` `[C, D]` for given normal `n` `[C, D]` and uniform `u`
    /// `[C]`: the new states.
    ///
    /// # Errors
    /// Those of the score.
    pub fn step_at(&self, score: &dyn Score, x: &Tensor, n: &Tensor, u: &Tensor) -> Result<Tensor> {
        let proposal = x + n * self.step;
        let gain = log_density_difference(score, x, &proposal, self.nodes)?;
        let accept = u.f_log()?.f_lt_tensor(&gain)?.f_unsqueeze(1)?;
        Ok(proposal.f_where_self(&accept, x)?)
    }

    /// `steps` steps of independent chains from `start` `[C, D]`, with draws from LibTorch's
    /// generator and without a graph.
    ///
    /// # Errors
    /// [`Error::Config`] for no steps, [`Error::Shape`] for other than `[C, D]`, and those of the
    /// score.
    pub fn run(&self, score: &dyn Score, start: &Tensor, steps: usize) -> Result<Chains> {
        let &[chains, dims] = start.size().as_slice() else {
            return Err(Error::shape("start", "[C, D]", &start.size()));
        };
        if steps == 0 {
            return Err(Error::config("steps", "expected at least one, got 0"));
        }
        let _no_grad = tch::no_grad_guard();
        let options = (start.kind(), start.device());
        let mut states = vec![start.f_detach()?];
        for _ in 0..steps {
            let (n, u) =
                (Tensor::f_randn([chains, dims], options)?, Tensor::f_rand([chains], options)?);
            let next = self.step_at(score, &states[states.len() - 1], &n, &u)?;
            states.push(next);
        }
        let all = Tensor::f_stack(&states, 0)?;
        let (before, after) =
            (all.f_narrow(0, 0, steps as i64)?, all.f_narrow(0, 1, steps as i64)?);
        let moved = after.f_ne_tensor(&before)?.f_any_dim(2, false)?.f_to_kind(Kind::Double)?;
        let accepted = host::scalar(&moved.f_mean(Kind::Double)?)?;
        Ok(Chains { states: after.f_contiguous()?, accepted })
    }
}
