//! The flat torus.

use super::{Manifold, dot, root};
use maxlik_tensor::Result;
use std::f64::consts::{PI, TAU};
use tch::Tensor;

/// The flat torus of `D` angles in `[−π, π)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Torus;

impl Manifold for Torus {
    fn project(&self, x: &Tensor) -> Result<Tensor> {
        // The number of turns is a constant: the gradient is one.
        let turns = x.f_detach()?.f_add_scalar(PI)?.f_div_scalar(TAU)?.f_floor()?;
        Ok(x.f_sub(&turns.f_mul_scalar(TAU)?)?)
    }

    fn tangent(&self, _x: &Tensor, v: &Tensor) -> Result<Tensor> {
        Ok(v.shallow_clone())
    }

    fn exp(&self, x: &Tensor, v: &Tensor) -> Result<Tensor> {
        self.project(&x.f_add(v)?)
    }

    fn log(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        self.project(&y.f_sub(x)?)
    }

    fn transport(&self, _x: &Tensor, _v: &Tensor, w: &Tensor) -> Result<Tensor> {
        Ok(w.shallow_clone())
    }

    fn distance(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let v = self.log(x, y)?;
        Ok(root(&dot(&v, &v)?)?.f_squeeze_dim(-1)?)
    }
}
