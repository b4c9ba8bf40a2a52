//! From one meaning of the stochastic integral to the other.

use super::{Convention, NoiseShape, Sde, push};
use maxlik_tensor::Result;
use maxlik_tensor::autograd::{Graph, jvp, jvp_of, leaf, recorded};
use tch::Tensor;

/// The same process with the other convention: the drift of Stratonovich's equation is that of Itô's
/// less `½ Σₘ (∂gₘ/∂y) gₘ` over the motions (Kloeden and Platen 1992, "Numerical solution of
/// stochastic differential equations", eq. 4.9.10).
#[derive(Debug)]
pub struct Converted<S>(pub S);

impl<S: Sde> Converted<S> {
    /// `½ Σₘ (∂gₘ/∂y) gₘ`.
    fn correction(&self, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        match self.0.noise() {
            NoiseShape::Additive => Ok(y.f_zeros_like()?),
            NoiseShape::Diagonal | NoiseShape::Scalar => {
                let g = self.0.diffusion(t, y)?;
                push(&self.0, t, y, &g.f_mul_scalar(0.5)?)
            }
            NoiseShape::General(motions) => {
                let recording = crate::trace::is_recording()?;
                let mut sum = y.f_zeros_like()?;
                for m in 0..motions {
                    let column = |y: &Tensor| Ok(self.0.diffusion(t, y)?.f_select(-1, m)?);
                    let direction = column(y)?.f_mul_scalar(0.5)?;
                    let product = if recording {
                        recorded(|| {
                            let y = if y.requires_grad() { y.shallow_clone() } else { leaf(y)? };
                            jvp_of(&column(&y)?, &y, &direction, Graph::Differentiable)
                        })?
                    } else {
                        jvp(&column, y, &direction)?.product
                    };
                    sum = sum.f_add(&product)?;
                }
                Ok(sum)
            }
        }
    }
}

impl<S: Sde> Sde for Converted<S> {
    fn noise(&self) -> NoiseShape {
        self.0.noise()
    }

    fn convention(&self) -> Convention {
        match self.0.convention() {
            Convention::Ito => Convention::Stratonovich,
            Convention::Stratonovich => Convention::Ito,
        }
    }

    fn drift(&self, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        let drift = self.0.drift(t, y)?;
        let correction = self.correction(t, y)?;
        Ok(match self.0.convention() {
            Convention::Ito => drift.f_sub(&correction)?,
            Convention::Stratonovich => drift.f_add(&correction)?,
        })
    }

    fn diffusion(&self, t: &Tensor, y: &Tensor) -> Result<Tensor> {
        self.0.diffusion(t, y)
    }
}
