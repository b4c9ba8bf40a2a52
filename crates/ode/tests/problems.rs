//! Initial-value problems with known solutions.

use maxlik_ode::{Field, FromFn};
use maxlik_tensor::Result;
use tch::{Kind, Tensor};

use crate::vector;

type Rate = fn(&Tensor, &Tensor) -> Result<Tensor>;

/// `y₁′ = y₁ cos t`, `y₂′ = −2 t y₂²`: `y₁ = e^{sin t}`, `y₂ = 1/(1 + t²)`.
pub(crate) fn smooth() -> FromFn<Rate> {
    FromFn(|t, y| {
        let (a, b) = (y.f_select(1, 0)?, y.f_select(1, 1)?);
        Ok(Tensor::f_stack(&[a * t.cos(), t * &b * &b * -2.0], 1)?)
    })
}

pub(crate) fn smooth_exact(t: f64) -> Tensor {
    vector(&[t.sin().exp(), 1.0 / (1.0 + t * t)]).view([1, 2])
}

/// `y′ = A y` with a damped rotation.
pub(crate) fn linear() -> FromFn<Rate> {
    FromFn(|_t, y| Ok(y.f_matmul(&vector(&[-0.1, 2.0, -2.0, -0.1]).view([2, 2]).transpose(0, 1))?))
}

pub(crate) fn linear_exact(t: f64, y0: (f64, f64)) -> Tensor {
    let (s, c) = (2.0 * t).sin_cos();
    let e = (-0.1 * t).exp();
    vector(&[e * (c * y0.0 + s * y0.1), e * (-s * y0.0 + c * y0.1)]).view([1, 2])
}

/// `y′ = −λ (y − cos t) − sin t`: `y = cos t + (y₀ − 1) e^{−λt}`.
pub(crate) fn relaxation(lambda: f64) -> impl Field {
    FromFn(move |t: &Tensor, y: &Tensor| {
        let t = t.view([-1, 1]);
        Ok((y - t.cos()) * -lambda - t.sin())
    })
}

/// Lotka–Volterra with `x′ = 1.5 x − x y`, `y′ = x y − 3 y`.
pub(crate) fn lotka_volterra() -> FromFn<Rate> {
    FromFn(|_t, y| {
        let (a, b) = (y.f_select(1, 0)?, y.f_select(1, 1)?);
        let meet = &a * &b;
        Ok(Tensor::f_stack(&[a * 1.5 - &meet, meet - b * 3.0], 1)?)
    })
}

/// Van der Pol's oscillator `x″ = μ (1 − x²) x′ − x`.
pub(crate) fn van_der_pol(mu: f64) -> impl Field {
    FromFn(move |_t: &Tensor, y: &Tensor| {
        let (x, v) = (y.f_select(1, 0)?, y.f_select(1, 1)?);
        let acceleration = (x.square() * -1.0 + 1.0) * &v * mu - x;
        Ok(Tensor::f_stack(&[v, acceleration], 1)?)
    })
}

/// Period of the Arenstorf orbit (Hairer, Nørsett and Wanner, "Solving Ordinary Differential
/// Equations I", eq. II.0.2).
pub(crate) const ARENSTORF_PERIOD: f64 = 17.065_216_560_157_96;

pub(crate) fn arenstorf_start() -> Tensor {
    vector(&[0.994, 0.0, 0.0, -2.001_585_106_379_082_5]).view([1, 4])
}

/// The restricted three-body problem of earth, moon and a satellite.
pub(crate) fn arenstorf() -> FromFn<Rate> {
    FromFn(|_t, y| {
        let (mu, rest) = (0.012_277_471, 1.0 - 0.012_277_471);
        let [x, v, dx, dv] = [0, 1, 2, 3].map(|i| y.select(1, i));
        let cube = |x: &Tensor| (x.square() + v.square()).pow_tensor_scalar(1.5);
        let (d1, d2) = (cube(&(&x + mu)), cube(&(&x - rest)));
        let ddx = &x + &dv * 2.0 - (&x + mu) * rest / &d1 - (&x - rest) * mu / &d2;
        let ddv = &v - &dx * 2.0 - &v * rest / &d1 - &v * mu / &d2;
        Ok(Tensor::f_stack(&[dx, dv, ddx, ddv], 1)?)
    })
}

pub(crate) fn ones(rows: i64, columns: i64) -> Tensor {
    Tensor::ones([rows, columns], (Kind::Double, tch::Device::Cpu))
}
