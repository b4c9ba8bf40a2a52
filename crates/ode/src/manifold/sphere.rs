//! The unit sphere.

use super::{Manifold, dot, over, root};
use maxlik_model::Density;
use maxlik_tensor::{Error, Result};
use std::f64::consts::PI;
use tch::{Device, Kind, Tensor};

/// The unit sphere in `D` dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sphere;

impl Manifold for Sphere {
    fn project(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_div(&root(&dot(x, x)?)?)?)
    }

    fn tangent(&self, x: &Tensor, v: &Tensor) -> Result<Tensor> {
        Ok(v.f_sub(&x.f_mul(&dot(x, v)?)?)?)
    }

    /// `x cos r + v sin(r)/r`, `r = |v|`.
    fn exp(&self, x: &Tensor, v: &Tensor) -> Result<Tensor> {
        let r = root(&dot(v, v)?)?;
        let along = v.f_mul(&over(&r, |r| Ok(r.f_sin()?), 1.0)?)?;
        Ok(x.f_mul(&r.f_cos()?)?.f_add(&along)?)
    }

    fn log(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let along = self.tangent(x, y)?;
        let sine = root(&dot(&along, &along)?)?;
        let angle = sine.f_atan2(&dot(x, y)?)?;
        let ratio = over(&sine, |_| Ok(angle.shallow_clone()), 1.0)?;
        Ok(along.f_mul(&ratio)?)
    }

    fn transport(&self, x: &Tensor, v: &Tensor, w: &Tensor) -> Result<Tensor> {
        let r = root(&dot(v, v)?)?;
        let unit = v.f_mul(&over(&r, |r| Ok(r.f_ones_like()?), 0.0)?)?;
        let part = dot(&unit, w)?;
        let turned = unit.f_mul(&r.f_cos()?.f_sub_scalar(1.0)?)?.f_sub(&x.f_mul(&r.f_sin()?)?)?;
        Ok(w.f_add(&turned.f_mul(&part)?)?)
    }

    fn distance(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let along = self.tangent(x, y)?;
        let sine = root(&dot(&along, &along)?)?;
        Ok(sine.f_atan2(&dot(x, y)?)?.f_squeeze_dim(-1)?)
    }
}

/// The uniform density on the unit sphere in `D` dimensions, by its surface measure.
#[derive(Debug, Clone, PartialEq)]
pub struct UniformSphere {
    event: [i64; 1],
    kind: Kind,
    device: Device,
}

impl UniformSphere {
    /// The density in `d ≥ 1` dimensions; samples are of this dtype on this device.
    ///
    /// # Errors
    /// [`Error::Config`] for no dimensions.
    pub fn new(d: i64, kind: Kind, device: Device) -> Result<Self> {
        if d < 1 {
            return Err(Error::config("d", format!("expected at least 1, got {d}")));
        }
        Ok(Self { event: [d], kind, device })
    }

    /// Log of the area `2 π^{D/2} / Γ(D/2)`.
    fn log_area(&self) -> Result<f64> {
        let half = 0.5 * self.event[0] as f64;
        let gamma = maxlik_tensor::host::scalar(&Tensor::f_from_slice(&[half])?.f_lgamma()?)?;
        Ok(std::f64::consts::LN_2 + half * PI.ln() - gamma)
    }
}

impl Density for UniformSphere {
    fn event_shape(&self) -> &[i64] {
        &self.event
    }

    fn log_density(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        let rows = x.size()[0];
        Ok(Tensor::f_full([rows], -self.log_area()?, (x.kind(), x.device()))?)
    }

    fn draw(&self, count: i64, _context: Option<&Tensor>) -> Result<Tensor> {
        Sphere.project(&Tensor::f_randn([count, self.event[0]], (self.kind, self.device))?)
    }
}
