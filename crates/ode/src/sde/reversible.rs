//! The reversible Heun scheme, whose gradients need no stored steps.

use super::solver::Grid;
use super::{Brownian, BrownianTree, Convention, NoiseShape, Sde, apply};
use crate::gradient::accumulate;
use maxlik_tensor::autograd::{Graph, grad, leaf, recorded};
use maxlik_tensor::custom::{self, Forward, FusedOp};
use maxlik_tensor::{Error, Result, check};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tch::Tensor;

/// An equation with several owners, as the backward pass needs it.
#[derive(Clone)]
pub struct SharedSde(Arc<Mutex<dyn Sde + Send>>);

impl SharedSde {
    /// Shares `sde`.
    pub fn new(sde: impl Sde + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(sde)))
    }

    fn get(&self) -> MutexGuard<'_, dyn Sde + Send + 'static> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedSde {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl Sde for SharedSde {
    fn noise(&self) -> NoiseShape {
        self.get().noise()
    }

    fn convention(&self) -> Convention {
        self.get().convention()
    }

    fn drift(&self, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        self.get().drift(t, y)
    }

    fn diffusion(&self, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        self.get().diffusion(t, y)
    }
}

/// Solves a Stratonovich equation with the reversible Heun scheme, which steps the pair `(y, z)`:
/// `z₁ = 2y − z + f(z) h + g(z) ΔW`, `y₁ = y + ½ (f(z) + f(z₁)) h + ½ (g(z) + g(z₁)) ΔW`; strong order
/// ½, or 1 for additive noise (Kidger, Foster, Li and Lyons 2021, "Efficient and accurate gradients
/// for neural SDEs", arXiv:2105.13493, algorithm 1).
///
/// Takes `steps` steps between neighbouring `times` `[T]` and returns the states `[T, B, …]`. The
/// gradients by `y0` and `parameters` are exact for the scheme, and computed by stepping back:
/// memory does not grow with the steps.
///
/// # Errors
/// [`Error::Config`] for no steps or an Itô equation, and those of the equation and the motion.
pub fn solve_reversible(
    sde: &SharedSde,
    parameters: &[Tensor],
    y0: &Tensor,
    times: &Tensor,
    (motion, steps): (&BrownianTree, usize),
) -> Result<Tensor> {
    if steps == 0 {
        return Err(Error::config("steps", "expected at least one"));
    }
    if sde.convention() == Convention::Ito && sde.noise() != NoiseShape::Additive {
        let why = "the reversible Heun scheme solves Stratonovich equations: see Converted";
        return Err(Error::config("scheme", why));
    }
    check::floating("y0", y0)?;
    let op = Op {
        sde: sde.clone(),
        motion: motion.clone(),
        grid: Grid::new(y0, times, steps)?,
        steps,
        end: Mutex::new(None),
    };
    let inputs: Vec<&Tensor> = std::iter::once(y0).chain(parameters).collect();
    let states = custom::apply(op, &inputs)?.into_iter().next();
    states.ok_or_else(|| Error::unsupported("a solve without an outcome"))
}

struct Op {
    sde: SharedSde,
    motion: BrownianTree,
    grid: Grid,
    steps: usize,
    /// Both states at the end.
    end: Mutex<Option<(Tensor, Tensor)>>,
}

impl Op {
    fn time(&self, t: f64, y: &Tensor) -> Result<Tensor> {
        Ok(Tensor::f_full([1], t, (y.kind(), y.device()))?.f_expand([y.size()[0]], false)?)
    }

    /// `f(t, z) h + g(t, z) w`.
    fn both(&self, t: f64, z: &Tensor, h: f64, w: &Tensor) -> Result<Tensor> {
        let time = self.time(t, z)?;
        let noise = apply(self.sde.noise(), &self.sde.diffusion(&time, z)?, w, z)?;
        Ok(self.sde.drift(&time, z)?.f_mul_scalar(h)?.f_add(&noise)?)
    }

    /// One step from `(y, z)` at `s` to `t`.
    fn step(
        &self,
        y: &Tensor,
        z: &Tensor,
        (s, t): (f64, f64),
        w: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let h = t - s;
        let early = self.both(s, z, h, w)?;
        let z1 = y.f_mul_scalar(2.0)?.f_sub(z)?.f_add(&early)?;
        let late = self.both(t, &z1, h, w)?;
        let y1 = y.f_add(&early.f_add(&late)?.f_mul_scalar(0.5)?)?;
        Ok((y1, z1))
    }

    fn run(&self, y0: &Tensor) -> Result<(Tensor, (Tensor, Tensor))> {
        let (mut y, mut z) = (y0.shallow_clone(), y0.shallow_clone());
        let mut states = vec![y0.shallow_clone()];
        for part in 0..self.grid.parts() {
            for step in 0..self.steps {
                let (s, t) = self.grid.step(part, step);
                let w = self.motion.increment(s, t)?.w;
                (y, z) = self.step(&y, &z, (s, t), &w)?;
            }
            states.push(y.shallow_clone());
        }
        Ok((Tensor::f_stack(&states, 0)?, (y, z)))
    }
}

impl FusedOp for Op {
    fn forward(&self, inputs: &[Tensor]) -> Result<Forward> {
        let _no_grad = tch::no_grad_guard();
        let (states, end) = self.run(&inputs[0])?;
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        Ok(Forward { outputs: vec![states], saved: vec![] })
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        _saved: &[Tensor],
        grads: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>> {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some((y, z)), [grads]) = (&*end, grads) else {
            return Err(Error::unsupported("a backward pass without a forward pass"));
        };
        let (mut y, mut z) = (y.shallow_clone(), z.shallow_clone());
        let (mut a, mut c) = (y.f_zeros_like()?, y.f_zeros_like()?);
        let parameters = &inputs[1..];
        let mut sums: Vec<Option<Tensor>> = parameters.iter().map(|_| None).collect();
        for part in (0..self.grid.parts()).rev() {
            a = a.f_add(&grads.f_select(0, part as i64 + 1)?)?;
            for step in (0..self.steps).rev() {
                let (s, t) = self.grid.step(part, step);
                let (h, w) = (t - s, self.motion.increment(s, t)?.w);
                {
                    // The step back: both equations solved for the earlier pair.
                    let _no_grad = tch::no_grad_guard();
                    let late = self.both(t, &z, h, &w)?;
                    let z0 = y.f_mul_scalar(2.0)?.f_sub(&z)?.f_sub(&late)?;
                    let early = self.both(s, &z0, h, &w)?;
                    y = y.f_sub(&early.f_add(&late)?.f_mul_scalar(0.5)?)?;
                    z = z0;
                }
                let mut found = recorded(|| {
                    let (y, z) = (leaf(&y)?, leaf(&z)?);
                    let (y1, z1) = self.step(&y, &z, (s, t), &w)?;
                    let wanted = parameters.iter().filter(|p| p.requires_grad());
                    let wanted: Vec<&Tensor> = [&y, &z].into_iter().chain(wanted).collect();
                    grad(&[&y1, &z1], &[Some(&a), Some(&c)], &wanted, Graph::Free)
                })?
                .into_iter();
                let zero = || y.f_zeros_like();
                a = found.next().flatten().map_or_else(zero, Ok)?;
                c = found.next().flatten().map_or_else(zero, Ok)?;
                let by_parameters = parameters
                    .iter()
                    .map(|p| if p.requires_grad() { found.next().flatten() } else { None });
                accumulate(&mut sums, by_parameters.collect())?;
            }
        }
        let start = a.f_add(&c)?.f_add(&grads.f_select(0, 0)?)?;
        Ok(std::iter::once(Some(start)).chain(sums).collect())
    }

    fn compose(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![self.run(&inputs[0])?.0])
    }
}
