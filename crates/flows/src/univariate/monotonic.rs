//! Unconstrained monotonic networks.

use super::Univariate;
use super::root::{At, forward, inverse};
use maxlik_model::Mapped;
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// `z = c + ∫₀ˣ g(u) du` with the positive network `g(u) = softplus(v·tanh(w u + b) + a) + ε` of `K`
/// hidden units, all of whose weights are the map's parameters (Wehenkel and Louppe 2019,
/// "Unconstrained monotonic neural networks", arXiv:1908.05033, eq. 2). Parameters: `c`, `a`, then
/// `w`, `b`, `v`.
///
/// The integral is taken by Gauss–Legendre quadrature, whose error vanishes exponentially in the
/// number of nodes; `ln dz/dx = ln g(x)` is that of the exact integral.
#[derive(Debug)]
pub struct Monotonic {
    units: i64,
    /// Nodes on `[0, 1]` and their weights.
    nodes: Vec<f64>,
    weights: Vec<f64>,
}

/// The least slope.
const FLOOR: f64 = 1e-3;

impl Monotonic {
    /// The integral of a network of this many hidden units, by this many nodes.
    ///
    /// # Errors
    /// [`Error::Config`] for no units or a number of nodes outside `2..=128`.
    pub fn new(units: usize, nodes: usize) -> Result<Self> {
        if units == 0 {
            return Err(Error::config("units", "expected at least one"));
        }
        if !(2..=128).contains(&nodes) {
            return Err(Error::config("nodes", format!("expected 2 to 128, got {nodes}")));
        }
        let (nodes, weights) = gauss_legendre(nodes);
        Ok(Self { units: units as i64, nodes, weights })
    }

    /// `g` at the points `u` `[B, D, N]`.
    fn integrand(&self, u: &Tensor, params: &Tensor) -> Result<Tensor> {
        let k = self.units;
        let part =
            |i: i64| -> Result<Tensor> { Ok(params.f_narrow(-1, 2 + i * k, k)?.f_unsqueeze(-2)?) };
        let hidden = part(1)?.f_addcmul(&u.f_unsqueeze(-1)?, &part(0)?)?.f_tanh()?;
        let sum =
            (hidden * part(2)?).f_sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>)?;
        // softplus⁻¹(1 − ε): with all parameters zero the map is the identity.
        let start = ((1.0 - FLOOR).exp() - 1.0).ln();
        Ok((sum + params.f_narrow(-1, 1, 1)? + start).f_softplus()? + FLOOR)
    }

    fn at(&self, x: &Tensor, params: &Tensor) -> Result<At> {
        let row = |values: &[f64]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_to_device(x.device())?.f_to_kind(x.kind())?)
        };
        // The last point is x itself, whose integrand is the slope.
        let mut places = self.nodes.clone();
        places.push(1.0);
        let points = x.f_unsqueeze(-1)?.f_mul(&row(&places)?)?;
        let values = self.integrand(&points, params)?;
        let n = self.nodes.len() as i64;
        let mean = values.f_narrow(-1, 0, n)?.f_matmul(&row(&self.weights)?)?;
        let value = params.f_select(-1, 0)?.f_addcmul(x, &mean)?;
        Ok(At { value, log_slope: values.f_select(-1, n)?.f_log()? })
    }
}

/// Nodes and weights on `[0, 1]` by Newton's iteration on the Legendre polynomial.
fn gauss_legendre(n: usize) -> (Vec<f64>, Vec<f64>) {
    let count = n as f64;
    (0..n)
        .map(|i| {
            let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (count + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..100 {
                let (mut before, mut now) = (1.0, x);
                for k in 2..=n {
                    let k = k as f64;
                    (before, now) = (now, ((2.0 * k - 1.0) * x * now - (k - 1.0) * before) / k);
                }
                slope = count * (x * now - before) / (x * x - 1.0);
                let step = now / slope;
                x -= step;
                if step.abs() < 1e-15 {
                    break;
                }
            }
            (0.5 * (1.0 - x), 1.0 / ((1.0 - x * x) * slope * slope))
        })
        .unzip()
}

impl Univariate for Monotonic {
    fn parameters(&self) -> i64 {
        2 + 3 * self.units
    }

    fn start(&self) -> Vec<f64> {
        // Different units, which do not count yet.
        let k = self.units as usize;
        let place = |i: usize| (2 * i + 1) as f64 * 2.0 / k as f64 - 2.0;
        let slopes = std::iter::repeat_n(1.0, k);
        [0.0, 0.0].into_iter().chain(slopes).chain((0..k).map(place)).chain(vec![0.0; k]).collect()
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        forward(x, |x| self.at(x, params))
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        inverse(z, |x| self.at(x, params))
    }
}

#[cfg(test)]
mod tests {
    use super::gauss_legendre;

    #[test]
    fn polynomials_are_integrated_exactly() {
        for n in [2_usize, 3, 8, 32, 128] {
            let (nodes, weights) = gauss_legendre(n);
            for degree in [0, 1, n, 2 * n - 1] {
                let power = i32::try_from(degree).unwrap_or(i32::MAX);
                let sum: f64 = nodes.iter().zip(&weights).map(|(x, w)| w * x.powi(power)).sum();
                assert!((sum - 1.0 / (degree as f64 + 1.0)).abs() < 1e-13, "{n}, {degree}: {sum}");
            }
        }
    }
}
