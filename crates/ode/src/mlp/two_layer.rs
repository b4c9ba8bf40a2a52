//! Networks with two hidden layers, whose trace has a closed form.

use crate::time::column;
use crate::trace::{ScoreRate, Traced, event_sum};
use maxlik_tensor::{Error, Result, check};
use tch::Tensor;

/// `v(t, x) = W₃ tanh(W₂ tanh(W₁ x + w t + b₁) + b₂) + b₃`.
///
/// With `d₁ = 1 − h₁²` and `d₂ = 1 − h₂²` of the hidden layers `h₁` and `h₂` the Jacobian is
/// `W₃ diag(d₂) W₂ diag(d₁) W₁`, and its trace `d₂ᵀ C d₁` with `C = W₂ ∘ (W₁ W₃)ᵀ`: exact, at
/// the cost of one more product with a matrix of the size of `W₂`, whatever the dimension.
#[derive(Debug)]
pub struct TwoLayer {
    /// `[H₁, D]`.
    pub w1: Tensor,
    /// Weight of the time, `[H₁]`.
    pub wt: Tensor,
    /// `[H₁]`, or `[B, H₁]` with a context's part.
    pub b1: Tensor,
    /// `[H₂, H₁]`.
    pub w2: Tensor,
    /// `[H₂]`.
    pub b2: Tensor,
    /// `[D, H₂]`.
    pub w3: Tensor,
    /// `[D]`.
    pub b3: Tensor,
}

impl TwoLayer {
    pub(super) fn parts(&self) -> [&Tensor; 7] {
        [&self.w1, &self.wt, &self.b1, &self.w2, &self.b2, &self.w3, &self.b3]
    }

    pub(super) fn from_parts(parts: &[Tensor]) -> Result<Self> {
        let [w1, wt, b1, w2, b2, w3, b3] = parts else {
            return Err(Error::unsupported("a network of another number of parts"));
        };
        let clone = Tensor::shallow_clone;
        Ok(Self {
            w1: clone(w1),
            wt: clone(wt),
            b1: clone(b1),
            w2: clone(w2),
            b2: clone(b2),
            w3: clone(w3),
            b3: clone(b3),
        })
    }

    /// Checks that the parts fit each other and `x` `[B, D]`.
    ///
    /// # Errors
    /// [`Error::Shape`] naming the part that does not.
    pub fn check(&self, x: &Tensor) -> Result<()> {
        let (&[first, d], &[second, _]) = (self.w1.size().as_slice(), self.w2.size().as_slice())
        else {
            return Err(Error::shape("w1", "[H₁, D]", &self.w1.size()));
        };
        let rows = check::batch_of("x", x, &[d])?;
        check::shape("wt", &self.wt, &[first])?;
        if self.b1.dim() == 1 {
            check::shape("b1", &self.b1, &[first])?;
        } else {
            check::shape("b1", &self.b1, &[rows, first])?;
        }
        check::shape("w2", &self.w2, &[second, first])?;
        check::shape("b2", &self.b2, &[second])?;
        check::shape("w3", &self.w3, &[d, second])?;
        check::shape("b3", &self.b3, &[d])?;
        self.parts().iter().try_for_each(|part| check::alike("parameter of the network", part, x))
    }

    /// `C = W₂ ∘ (W₁ W₃)ᵀ`, `[H₂, H₁]`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn bilinear(&self) -> Result<Tensor> {
        let product = self.w3.f_transpose(0, 1)?.f_matmul(&self.w1.f_transpose(0, 1)?)?;
        Ok(self.w2.f_mul(&product)?)
    }

    fn first(&self, t: &Tensor, x: &Tensor) -> Result<Tensor> {
        let time = column(t, x)?.f_mul(&self.wt)?.f_add(&self.b1)?;
        Ok(time.f_addmm(x, &self.w1.f_transpose(0, 1)?)?.f_tanh()?)
    }

    /// `v(t, x)`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn velocity(&self, t: &Tensor, x: &Tensor) -> Result<Tensor> {
        let h2 = self.first(t, x)?.f_linear(&self.w2, Some(&self.b2))?.f_tanh()?;
        Ok(h2.f_linear(&self.w3, Some(&self.b3))?)
    }

    /// `v` and `τ = (q ∘ d₂)ᵀ C (p ∘ d₁)`: the exact trace for `p = q = 1` (`None`) and `C` of
    /// [`TwoLayer::bilinear`], `uᵀ J u` for `p = W₁ u`, `q = W₃ᵀ u` and `C = W₂`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn traced(
        &self,
        t: &Tensor,
        x: &Tensor,
        c: &Tensor,
        probe: Option<(&Tensor, &Tensor)>,
    ) -> Result<Traced> {
        let h1 = self.first(t, x)?;
        let h2 = h1.f_linear(&self.w2, Some(&self.b2))?.f_tanh()?;
        let (mut e1, mut e2) = (slope(&h1)?, slope(&h2)?);
        if let Some((p, q)) = probe {
            (e1, e2) = (e1.f_mul(p)?, e2.f_mul(q)?);
        }
        let middle = e1.f_matmul(&c.f_transpose(0, 1)?)?;
        Ok(Traced {
            velocity: h2.f_linear(&self.w3, Some(&self.b3))?,
            divergence: event_sum(&middle.f_mul(&e2)?)?,
            frobenius: None,
        })
    }
    /// `v`, its exact trace, and `−Jᵀ δ − ∇ₓ tr J` for the score `δ` `[b, D]`; `c` is that of
    /// [`TwoLayer::bilinear`]. With `m = C d₁` the gradient of `vᵀ δ + tr J` is
    /// `r₂ = d₂ ∘ (W₃ᵀ δ − 2 h₂ ∘ m)` by the input of the second layer,
    /// `r₁ = d₁ ∘ (W₂ᵀ r₂ − 2 h₁ ∘ Cᵀ d₂)` by that of the first, and `W₁ᵀ r₁` by `x`: four products with
    /// matrices of the size of `W₂` in all. Only the velocity carries a graph.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn score_rate(
        &self,
        t: &Tensor,
        x: &Tensor,
        c: &Tensor,
        score: &Tensor,
    ) -> Result<ScoreRate> {
        let h1 = self.first(t, x)?;
        let h2 = h1.f_linear(&self.w2, Some(&self.b2))?.f_tanh()?;
        let velocity = h2.f_linear(&self.w3, Some(&self.b3))?;
        let _no_grad = tch::no_grad_guard();
        let (d1, d2) = (slope(&h1)?, slope(&h2)?);
        let middle = d1.f_matmul(&c.f_transpose(0, 1)?)?;
        let second = score.f_matmul(&self.w3)?.f_sub(&h2.f_mul(&middle)?.f_mul_scalar(2.0)?)?;
        let second = second.f_mul(&d2)?;
        let first = h1.f_mul(&d2.f_matmul(c)?)?.f_mul_scalar(2.0)?;
        let first = second.f_matmul(&self.w2)?.f_sub(&first)?.f_mul(&d1)?;
        Ok(ScoreRate {
            velocity,
            divergence: event_sum(&middle.f_mul(&d2)?)?,
            rate: first.f_matmul(&self.w1)?.f_neg()?,
        })
    }
}

/// The slope `1 − h²` of `tanh` where its value is `h`.
fn slope(h: &Tensor) -> Result<Tensor> {
    Ok(h.f_square()?.f_neg()?.f_add_scalar(1.0)?)
}
