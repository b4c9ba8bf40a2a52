//! The von Mises distribution.

use super::sum_events;
use crate::{NetworkConfig, Parameters};
use maxlik_model::Density;
use maxlik_nn::Scope;
use maxlik_tensor::{Error, Result, safe};
use std::f64::consts::{PI, TAU};
use tch::{Device, Kind, Tensor};

/// Independent angles in `[−π, π]` with `p(x) = e^{κ cos(x − m)}/(2π I₀(κ))`; the parameters of each,
/// `m` and a raw number with `κ = softplus + 10⁻³`, are trained or computed from the context.
///
/// `ln p = κ (cos(x − m) − 1) − ln 2π − ln(e^{−κ} I₀(κ))`, which does not overflow. Samples by the
/// rejection method of Best and Fisher (1979, "Efficient simulation of the von Mises distribution").
#[derive(Debug)]
pub struct VonMises {
    shape: [i64; 1],
    parameters: Parameters,
}

/// Proposals of one sample at most; the least rate of acceptance is about 0.66.
const ATTEMPTS: usize = 200;

/// Mean and concentration, `[B, D]` each.
struct Numbers {
    mean: Tensor,
    kappa: Tensor,
}

impl VonMises {
    /// `m = 0` and `κ = 1` on `[D]`, at the start.
    ///
    /// # Errors
    /// Those of [`Parameters::new`].
    pub fn new(
        scope: &Scope<'_>,
        dims: i64,
        context: Option<i64>,
        network: Option<&NetworkConfig>,
    ) -> Result<Self> {
        let options = (Kind::Double, Device::Cpu);
        let mean = Tensor::f_zeros([dims], options)?;
        // softplus(raw) = 1.
        let raw = Tensor::f_full([dims], (1.0_f64.exp() - 1.0).ln(), options)?;
        let start = Tensor::f_cat(&[mean, raw], 0)?;
        Ok(Self { shape: [dims], parameters: Parameters::new(scope, &start, context, network)? })
    }

    fn numbers(&self, rows: i64, context: Option<&Tensor>) -> Result<Numbers> {
        let raw = self.parameters.get(rows, context)?;
        let dims = self.shape[0];
        let kappa = safe::softplus(&raw.f_narrow(1, dims, dims)?)? + 1e-3;
        Ok(Numbers { mean: raw.f_narrow(1, 0, dims)?, kappa })
    }
}

impl Density for VonMises {
    fn event_shape(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.parameters.context_shape()
    }

    fn log_density(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let Numbers { mean, kappa } = self.numbers(x.size()[0], context)?;
        let constant = kappa.f_special_i0e()?.f_log()? + TAU.ln();
        sum_events(&(kappa * ((x - mean).f_cos()? - 1.0) - constant))
    }

    fn draw(&self, count: i64, context: Option<&Tensor>) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let Numbers { mean, kappa } = self.numbers(count, context)?;
        let kind = kappa.kind();
        // The proposal's numbers cancel in single precision where κ is small.
        let kappa = kappa.f_to_kind(Kind::Double)?;
        let tau: Tensor = (kappa.f_square()? * 4.0 + 1.0).f_sqrt()? + 1.0;
        let rho = (&tau - (&tau * 2.0).f_sqrt()?) / (&kappa * 2.0);
        let r = (rho.f_square()? + 1.0) / (&rho * 2.0);
        let mut angle = kappa.f_zeros_like()?;
        let mut done = angle.f_to_kind(Kind::Bool)?;
        for _ in 0..ATTEMPTS {
            let uniform = || kappa.f_rand_like();
            let z = (uniform()? * PI).f_cos()?;
            let f = (&r * &z + 1.0) / (&r + z);
            let c = &kappa * (&r - &f);
            let u = uniform()?.f_clamp_min(1e-300)?;
            let accepted = ((&c / u).f_log()? + 1.0 - c).f_ge(0.0)?;
            let sign = (uniform()? - 0.5).f_sign()?;
            let proposal = sign * f.f_clamp(-1.0, 1.0)?.f_acos()?;
            let fresh = accepted.f_logical_and(&done.f_logical_not()?)?;
            angle = proposal.f_where_self(&fresh, &angle)?;
            done = done.f_logical_or(&accepted)?;
            if bool::try_from(&done.f_all()?)? {
                // Back into [−π, π).
                let turned = (angle + mean + PI).f_remainder(TAU)? - PI;
                return Ok(turned.f_to_kind(kind)?);
            }
        }
        Err(Error::NotConverged { what: "sampling of von Mises".to_owned(), steps: ATTEMPTS })
    }
}
