//! The divergence between two processes with the same noise.

use super::{Convention, NoiseShape, Sde};
use crate::time::flat_rows;
use maxlik_tensor::Result;
use std::fmt;
use tch::Tensor;

/// A drift `(t [b], y [b, n]) → [b, n]`.
type Drift = Box<dyn Fn(&Tensor, &Tensor) -> Result<Tensor>>;

/// An equation whose state `[b, n + 1]` carries along `∫ ½ |u|² dt` with `g u = f − h`, where `h` is
/// the drift of a prior process with the same noise: its expectation at the end is the divergence
/// `KL(path ‖ prior path)` (Girsanov; Li, Wong, Chen and Duvenaud 2020, arXiv:2001.01328, sec. 5).
///
/// States of the equation inside are `[b, n]`; append a column of zeros to start.
pub struct WithKl<S> {
    sde: S,
    prior: Drift,
}

impl<S: fmt::Debug> fmt::Debug for WithKl<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithKl").field("sde", &self.sde).finish_non_exhaustive()
    }
}

impl<S: Sde> WithKl<S> {
    /// The equation `sde` beside a process of that drift.
    pub fn new(sde: S, prior: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + 'static) -> Self {
        Self { sde, prior: Box::new(prior) }
    }

    fn split(y: &Tensor) -> Result<Tensor> {
        Ok(y.f_narrow(1, 0, y.size()[1] - 1)?)
    }

    /// `|u|²` for `g u = difference`, by least squares where there are several motions.
    fn square(&self, g: &Tensor, difference: &Tensor) -> Result<Tensor> {
        let u = match self.sde.noise() {
            NoiseShape::Diagonal | NoiseShape::Additive => difference.f_div(g)?,
            NoiseShape::Scalar => {
                let dot = |a: &Tensor, b: &Tensor| crate::trace::event_sum(&a.f_mul(b)?);
                dot(g, difference)?.f_div(&dot(g, g)?)?.f_unsqueeze(1)?
            }
            NoiseShape::General(_) => {
                let inverse = g.f_linalg_pinv(1e-12, false)?;
                inverse.f_matmul(&difference.f_unsqueeze(-1)?)?.f_squeeze_dim(-1)?
            }
        };
        crate::trace::event_sum(&flat_rows(&u)?.f_square()?)
    }
}

impl<S: Sde> Sde for WithKl<S> {
    fn noise(&self) -> NoiseShape {
        self.sde.noise()
    }

    fn convention(&self) -> Convention {
        self.sde.convention()
    }

    fn drift(&self, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        let y = Self::split(y)?;
        let drift = self.sde.drift(t, &y)?;
        let difference = drift.f_sub(&(self.prior)(t, &y)?)?;
        let rate = self.square(&self.sde.diffusion(t, &y)?, &difference)?.f_mul_scalar(0.5)?;
        Ok(Tensor::f_cat(&[drift, rate.f_unsqueeze(1)?], 1)?)
    }

    fn diffusion(&self, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        let g = self.sde.diffusion(t, &Self::split(y)?)?;
        let mut shape = g.size();
        shape[1] = 1;
        let zero = Tensor::f_zeros(shape, (g.kind(), g.device()))?;
        Ok(Tensor::f_cat(&[g, zero], 1)?)
    }
}
