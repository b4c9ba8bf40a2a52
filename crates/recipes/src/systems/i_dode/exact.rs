//! Normal data: the ODE of the best velocity has the density of the noised data.

use crate::systems::Check;
use anyhow::Result;
use maxlik_model::{Density, VectorField};
use maxlik_ode::diffusion::{GammaOde, Levels, NoisePath};
use maxlik_ode::{Adaptive, Cnf, Solver, tableau};
use maxlik_tensor::{Seeds, host};
use std::f64::consts::{FRAC_1_SQRT_2, TAU};
use tch::{Kind, Tensor, kind::DOUBLE_CPU};

const DIMS: i64 = 3;
const ENDS: [f64; 2] = [-10.0, 5.0];

/// `N(m, s² I)`.
#[derive(Debug, Clone, Copy)]
struct Normal {
    mean: f64,
    std: f64,
}

impl Normal {
    /// The law of `α x + σ ε`.
    fn noised(self, alpha: f64, sigma: f64) -> Self {
        Self { mean: alpha * self.mean, std: (alpha * self.std).hypot(sigma) }
    }
}

impl Density for Normal {
    fn event_shape(&self) -> &[i64] {
        &[DIMS]
    }

    fn log_density(&self, x: &Tensor, _context: Option<&Tensor>) -> maxlik_tensor::Result<Tensor> {
        let square = ((x - self.mean) / self.std).f_square()?;
        let sum = square.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?;
        Ok(sum * -0.5 - DIMS as f64 * (0.5 * TAU.ln() + self.std.ln()))
    }

    fn draw(&self, count: i64, _context: Option<&Tensor>) -> maxlik_tensor::Result<Tensor> {
        Ok(Tensor::f_randn([count, DIMS], DOUBLE_CPU)? * self.std + self.mean)
    }
}

/// `E[F* | z]` for normal data: with `v = α² s² + σ²` noise and data given `z` have the means
/// `σ (z − αm)/v` and `m + α s² (z − αm)/v`.
#[derive(Debug)]
struct Best {
    path: NoisePath,
    data: Normal,
}

impl VectorField for Best {
    fn velocity(
        &self,
        gamma: &Tensor,
        z: &Tensor,
        _context: Option<&Tensor>,
    ) -> maxlik_tensor::Result<Tensor> {
        let Levels { alpha, sigma } = self.path.levels(&gamma.f_view([-1, 1])?)?;
        let Normal { mean, std } = self.data;
        let variance = alpha.f_square()? * (std * std) + sigma.f_square()?;
        let off = (z - &alpha * mean) / variance;
        let noise = &off * &sigma;
        let data = off * &alpha * (std * std) + mean;
        Ok(match self.path {
            NoisePath::VariancePreserving => noise * alpha - data * sigma,
            NoisePath::Straight => (noise - data) * FRAC_1_SQRT_2,
        })
    }
}

/// Largest difference of the log-densities over points of the data's law, and away from it.
fn error(seed: u64, path: NoisePath) -> Result<f64> {
    let data = Normal { mean: 0.4, std: 0.6 };
    let at = |gamma: f64| -> Result<Normal> {
        let Levels { alpha, sigma } = path.levels(&Tensor::from(gamma))?;
        Ok(data.noised(host::scalar(&alpha)?, host::scalar(&sigma)?))
    };
    let (start, end) = (at(ENDS[0])?, at(ENDS[1])?);
    let solver = Solver::adaptive(tableau::DOP853, Adaptive::new(1e-9, 1e-9))?;
    let network = Best { path, data };
    let flow = Cnf::new(GammaOde { path, network }, end, solver).times(ENDS[1], ENDS[0]);
    Seeds::new(seed).stream("exact").seed_torch(0);
    let x = Tensor::f_randn([64, DIMS], DOUBLE_CPU)? * 1.2 + data.mean;
    let gap = flow.log_prob(&x, None)? - start.log_prob(&x, None)?;
    Ok(host::scalar(&gap.f_abs()?.f_max()?)?)
}

pub(super) fn checks(seed: u64) -> Result<Vec<Check>> {
    let _no_grad = tch::no_grad_guard();
    let worst = error(seed, NoisePath::VariancePreserving)?.max(error(seed, NoisePath::Straight)?);
    Ok(vec![Check::at_most(
        "normal data, both paths: largest error of the ODE's log-density, nats",
        "at most 1e-6",
        worst,
        1e-6,
    )])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    #[test]
    fn the_ode_has_the_density_of_normal_data() {
        let checks = super::checks(3).unwrap();
        assert!(checks.iter().all(|check| check.pass && check.result > 0.0), "{checks:?}");
    }
}
