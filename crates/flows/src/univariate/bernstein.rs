//! Bernstein polynomials.

use super::Univariate;
use super::root::{At, forward, inverse};
use maxlik_model::Mapped;
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// `z = Σ_k θ_k b_{k,M}((x + B) / 2B)` on `[−B, B]` with increasing coefficients `θ`, and the tangents
/// at the ends beyond (Ramasinghe et al. 2021, "Robust normalizing flows using Bernstein-type
/// polynomials", arXiv:2102.03509). Parameters: the shift of `θ₀`, then the raw increments
/// `θ_k − θ_{k−1}` through a softplus; at zero the map is the identity.
///
/// The slope is the polynomial of degree `M − 1` of the increments, and so positive.
#[derive(Debug, Clone, Copy)]
pub struct Bernstein {
    degree: i64,
    bound: f64,
}

/// Least increment, as a part of that of the identity.
const FLOOR: f64 = 1e-3;

impl Bernstein {
    /// The polynomial of this degree on `[−bound, bound]`.
    ///
    /// # Errors
    /// [`Error::Config`] for a degree outside `1..=64` or a bound that is not positive.
    pub fn new(degree: usize, bound: f64) -> Result<Self> {
        if !(1..=64).contains(&degree) {
            return Err(Error::config("degree", format!("expected 1 to 64, got {degree}")));
        }
        if !(bound > 0.0 && bound.is_finite()) {
            return Err(Error::config("bound", format!("expected a positive number, got {bound}")));
        }
        Ok(Self { degree: degree as i64, bound })
    }

    fn at(&self, x: &Tensor, params: &Tensor) -> Result<At> {
        let (m, bound) = (self.degree, self.bound);
        let unit = 2.0 * bound / m as f64;
        let raw = params.f_narrow(-1, 1, m)?;
        let steps = (raw.f_softplus()? + FLOOR) * (unit / (std::f64::consts::LN_2 + FLOOR));
        let first = params.f_select(-1, 0)? - bound;
        let theta = steps.f_cumsum(-1, None::<Kind>)?;
        let inner = x.f_clamp(-bound, bound)?;
        let t = (&inner + bound) * (0.5 / bound);
        // Σ_k b_k = 1, so that θ₀ comes out of the sum.
        let basis = bernstein(&t, m)?.f_narrow(-1, 1, m)?;
        let last = [-1_i64];
        let sum = |a: Tensor| a.f_sum_dim_intlist(last.as_slice(), false, None::<Kind>);
        let value = first + sum(basis * theta)?;
        let slope = sum(bernstein(&t, m - 1)? * steps)? * (1.0 / unit);
        let value = value.f_addcmul(&(x - inner), &slope)?;
        Ok(At { value, log_slope: slope.f_log()? })
    }
}

/// `b_{k,n}(t) = C(n, k) tᵏ (1 − t)ⁿ⁻ᵏ` for `k = 0..=n` in a new last dimension.
fn bernstein(t: &Tensor, n: i64) -> Result<Tensor> {
    let options = (t.kind(), t.device());
    let k = Tensor::f_arange(n + 1, options)?;
    let mut choose = vec![1.0_f64];
    for i in 0..n {
        choose.push(choose[i as usize] * (n - i) as f64 / (i + 1) as f64);
    }
    let choose = Tensor::f_from_slice(&choose)?.f_to_device(t.device())?.f_to_kind(t.kind())?;
    let t = t.f_unsqueeze(-1)?;
    let rest: Tensor = 1.0 - &t;
    let co: Tensor = n as f64 - &k;
    Ok(t.f_pow(&k)? * rest.f_pow(&co)? * choose)
}

impl Univariate for Bernstein {
    fn parameters(&self) -> i64 {
        self.degree + 1
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        forward(x, |x| self.at(x, params))
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        inverse(z, |x| self.at(x, params))
    }
}
