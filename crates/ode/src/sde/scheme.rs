//! One step of each scheme.

use super::{Convention, Increment, NoiseShape, Sde, apply, push};
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// A scheme with fixed steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Euler and Maruyama's, Itô, any noise: strong order ½ (1 for additive noise), weak order 1
    /// (Maruyama 1955, "Continuous Markov processes and stochastic equations").
    EulerMaruyama,
    /// Milstein's, Itô or Stratonovich, diagonal, scalar or additive noise: strong and weak order 1
    /// (Milstein 1974, "Approximate integration of stochastic differential equations"). Takes a
    /// product with the Jacobian of `g`.
    Milstein,
    /// Heun's, Stratonovich, any noise: strong order 1 for commutative noise and ½ else, weak order
    /// 1 (Rümelin 1982, "Numerical treatment of stochastic differential equations").
    Heun,
    /// Rößler's SRA1, Itô or Stratonovich (which are the same here), additive noise: strong order
    /// 3/2, weak order 2 (Rößler 2010, "Runge–Kutta methods for the strong approximation of solutions
    /// of stochastic differential equations", table 6.3).
    Sra1,
    /// Rößler's SRI1W1, Itô, diagonal, scalar or additive noise: strong order 3/2 (Rößler 2010, as above,
    /// table 6.2).
    Srk,
}

impl Scheme {
    /// Checks that the scheme can solve the equation.
    ///
    /// # Errors
    /// [`Error::Config`] for noise or a convention that it cannot.
    pub fn check(self, sde: &dyn Sde) -> Result<()> {
        let (noise, convention) = (sde.noise(), sde.convention());
        let additive = noise == NoiseShape::Additive;
        let (right_convention, right_noise) = match self {
            Self::EulerMaruyama => (convention == Convention::Ito || additive, true),
            Self::Milstein => (true, !matches!(noise, NoiseShape::General(_))),
            Self::Heun => (convention == Convention::Stratonovich || additive, true),
            Self::Sra1 => (true, additive),
            Self::Srk => (
                convention == Convention::Ito || additive,
                !matches!(noise, NoiseShape::General(_)),
            ),
        };
        if !right_convention {
            let why = format!("{self:?} does not solve equations of {convention:?}: see Converted");
            return Err(Error::config("scheme", why));
        }
        if !right_noise {
            return Err(Error::config("scheme", format!("{self:?} cannot have {noise:?} noise")));
        }
        Ok(())
    }

    /// The state at `t + h` from `y` at `t`, for given motions over the step; `h` may be negative.
    ///
    /// # Errors
    /// Those of the equation.
    pub fn step(self, sde: &dyn Sde, t: f64, h: f64, y: &Tensor, dw: &Increment) -> Result<Tensor> {
        let at = Stage { sde, y };
        match self {
            Self::EulerMaruyama => {
                let g = at.g(t, y)?;
                at.sum(&[(h, &at.f(t, y)?)])?.f_add(&at.noise(&g, &dw.w)?).map_err(Error::from)
            }
            Self::Milstein => at.milstein(t, h, dw),
            Self::Heun => {
                let (f, g) = (at.f(t, y)?, at.g(t, y)?);
                let first = at.noise(&g, &dw.w)?;
                let guess = at.sum(&[(h, &f), (1.0, &first)])?;
                let second = at.noise(&at.g(t + h, &guess)?, &dw.w)?;
                let end = at.f(t + h, &guess)?;
                at.sum(&[(0.5 * h, &f), (0.5 * h, &end), (0.5, &first), (0.5, &second)])
            }
            Self::Sra1 => at.sra1(t, h, dw),
            Self::Srk => at.srk(t, h, dw),
        }
    }
}

/// A step's start, with the equation's functions at times of all rows.
struct Stage<'a> {
    sde: &'a dyn Sde,
    y: &'a Tensor,
}

impl Stage<'_> {
    fn time(&self, t: f64) -> Result<Tensor> {
        let rows = self.y.size()[0];
        let t =
            Tensor::f_full([1], t, (Kind::Double, self.y.device()))?.f_to_kind(self.y.kind())?;
        Ok(t.f_expand([rows], false)?)
    }

    fn f(&self, t: f64, y: &Tensor) -> Result<Tensor> {
        self.sde.drift(&self.time(t)?, y)
    }

    fn g(&self, t: f64, y: &Tensor) -> Result<Tensor> {
        self.sde.diffusion(&self.time(t)?, y)
    }

    fn noise(&self, g: &Tensor, w: &Tensor) -> Result<Tensor> {
        apply(self.sde.noise(), g, w, self.y)
    }

    /// `y + Σ cᵢ xᵢ`.
    fn sum(&self, terms: &[(f64, &Tensor)]) -> Result<Tensor> {
        let mut sum = self.y.shallow_clone();
        for (factor, term) in terms {
            sum = sum.f_add(&term.f_mul_scalar(*factor)?)?;
        }
        Ok(sum)
    }

    /// `y + f h + g ΔW + ½ (∂g/∂y g) (ΔW² − h)`, without the last `h` in Stratonovich's sense.
    fn milstein(&self, t: f64, h: f64, dw: &Increment) -> Result<Tensor> {
        let (f, g) = (self.f(t, self.y)?, self.g(t, self.y)?);
        let plain = self.sum(&[(h, &f), (1.0, &self.noise(&g, &dw.w)?)])?;
        if self.sde.noise() == NoiseShape::Additive {
            return Ok(plain);
        }
        let square = dw.w.f_square()?;
        let double = match self.sde.convention() {
            Convention::Ito => square.f_sub_scalar(h.abs())?,
            Convention::Stratonovich => square,
        };
        let direction = self.noise(&g, &double.f_mul_scalar(0.5)?)?;
        Ok(plain.f_add(&push(self.sde, &self.time(t)?, self.y, &direction)?)?)
    }

    fn sra1(&self, t: f64, h: f64, dw: &Increment) -> Result<Tensor> {
        let y = self.y;
        // I₁₀/h, the mean of the motion over the step.
        let mean = dw.i10(1.0)?;
        let (start, end) = (self.g(t, y)?, self.g(t + h, y)?);
        let f = self.f(t, y)?;
        let inside = self.sum(&[(0.75 * h, &f), (1.5, &self.noise(&end, &mean)?)])?;
        let late = self.noise(&end, &dw.w.f_sub(&mean)?)?;
        let early = self.noise(&start, &mean)?;
        let second = self.f(t + 0.75 * h, &inside)?;
        self.sum(&[(h / 3.0, &f), (2.0 * h / 3.0, &second), (1.0, &late), (1.0, &early)])
    }

    fn srk(&self, t: f64, h: f64, dw: &Increment) -> Result<Tensor> {
        let (y, root) = (self.y, h.abs().sqrt());
        let w = &dw.w;
        // Double and triple integrals of the motion, over √h and h.
        let i11 = w.f_square()?.f_sub_scalar(h.abs())?.f_mul_scalar(0.5 / root)?;
        let i10 = dw.i10(1.0)?;
        let cube = w.f_square()?.f_sub_scalar(3.0 * h.abs())?.f_mul(w)?;
        let i111 = cube.f_mul_scalar(1.0 / (6.0 * h.abs()))?;
        let ones = w.f_ones_like()?.f_mul_scalar(root)?;
        let step = |g: &Tensor| self.noise(g, &ones);
        let f = self.f(t, y)?;
        let g1 = self.g(t, y)?;
        let s1 = step(&g1)?;
        let second = self.sum(&[(0.75 * h, &f), (1.5, &self.noise(&g1, &i10)?)])?;
        let f2 = self.f(t + 0.75 * h, &second)?;
        let g2 = self.g(t + 0.25 * h, &self.sum(&[(0.25 * h, &f), (0.5, &s1)])?)?;
        let s2 = step(&g2)?;
        let g3 = self.g(t + h, &self.sum(&[(h, &f), (-1.0, &s1)])?)?;
        let s3 = step(&g3)?;
        let last = self.sum(&[(0.25 * h, &f), (-5.0, &s1), (3.0, &s2), (0.5, &s3)])?;
        let g4 = self.g(t + 0.25 * h, &last)?;
        let weigh = |a: f64, b: f64, c: f64, d: f64| -> Result<Tensor> {
            Ok(w.f_mul_scalar(a)?
                .f_add(&i11.f_mul_scalar(b)?)?
                .f_add(&i10.f_mul_scalar(c)?)?
                .f_add(&i111.f_mul_scalar(d)?)?)
        };
        let n1 = self.noise(&g1, &weigh(-1.0, -1.0, 2.0, -2.0)?)?;
        let n2 = self.noise(&g2, &weigh(4.0 / 3.0, 4.0 / 3.0, -4.0 / 3.0, 5.0 / 3.0)?)?;
        let n3 = self.noise(&g3, &weigh(2.0 / 3.0, -1.0 / 3.0, -2.0 / 3.0, -2.0 / 3.0)?)?;
        let n4 = self.noise(&g4, &weigh(0.0, 0.0, 0.0, 1.0)?)?;
        let noise = [(1.0, &n1), (1.0, &n2), (1.0, &n3), (1.0, &n4)];
        let drift = [(h / 3.0, &f), (2.0 * h / 3.0, &f2)];
        self.sum(&drift.into_iter().chain(noise).collect::<Vec<_>>())
    }
}
