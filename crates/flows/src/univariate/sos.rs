//! Sum-of-squares polynomials.

use super::Univariate;
use super::root::{At, forward, inverse};
use maxlik_model::Mapped;
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// `z = c + ∫₀ˣ (ε + Σ_k (Σ_l a_{kl} uˡ)²) du`, an increasing polynomial of degree `2L + 1` (Jaini et
/// al. 2019, "Sum-of-squares polynomial flow", arXiv:1905.02325, eq. 8). Parameters: `c`, then the
/// `K · (L + 1)` coefficients, relative to those of the identity.
///
/// The integral is exact: `∫₀ˣ u^{l+m} du = x^{l+m+1} / (l + m + 1)`.
#[derive(Debug, Clone, Copy)]
pub struct SumOfSquares {
    squares: i64,
    degree: i64,
}

/// The least slope.
const FLOOR: f64 = 1e-3;

impl SumOfSquares {
    /// The sum of this many squares of polynomials of this degree.
    ///
    /// # Errors
    /// [`Error::Config`] for no squares, or a degree above 16.
    pub fn new(squares: usize, degree: usize) -> Result<Self> {
        if squares == 0 {
            return Err(Error::config("squares", "expected at least one"));
        }
        if degree > 16 {
            return Err(Error::config("degree", format!("expected 0 to 16, got {degree}")));
        }
        Ok(Self { squares: squares as i64, degree: degree as i64 })
    }

    fn at(&self, x: &Tensor, params: &Tensor) -> Result<At> {
        let (k, n) = (self.squares, self.degree + 1);
        let options = (x.kind(), x.device());
        let shape = [x.size()[0], x.size()[1], k, n];
        // The constant terms of the identity: k squares that sum to 1 − ε.
        let mut start = vec![0.0; n as usize];
        start[0] = ((1.0 - FLOOR) / k as f64).sqrt();
        let start = Tensor::f_from_slice(&start)?.f_to_device(x.device())?.f_to_kind(x.kind())?;
        let a = params.f_narrow(-1, 1, k * n)?.f_reshape(shape)? + start;
        let l = Tensor::f_arange(n, options)?;
        let sums = l.f_unsqueeze(1)?.f_add(&l.f_unsqueeze(0)?)? + 1.0;
        let x = x.f_unsqueeze(-1)?;
        // Σ_k aₖᵀ H aₖ with H_{lm} = x^{l+m+1} / (l+m+1).
        let h = x.f_unsqueeze(-1)?.f_pow(&sums)? / &sums;
        let all = [-2_i64, -1];
        let integral =
            (a.f_matmul(&h)? * &a).f_sum_dim_intlist(all.as_slice(), false, None::<Kind>)?;
        let powers = x.f_pow(&l)?.f_unsqueeze(-1)?;
        let squares = a.f_matmul(&powers)?.f_square()?;
        let slope = squares.f_sum_dim_intlist(all.as_slice(), false, None::<Kind>)? + FLOOR;
        let value = params.f_select(-1, 0)? + integral + x.f_squeeze_dim(-1)? * FLOOR;
        Ok(At { value, log_slope: slope.f_log()? })
    }
}

impl Univariate for SumOfSquares {
    fn parameters(&self) -> i64 {
        1 + self.squares * (self.degree + 1)
    }

    fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Mapped> {
        forward(x, |x| self.at(x, params))
    }

    fn inverse(&self, z: &Tensor, params: &Tensor) -> Result<Mapped> {
        inverse(z, |x| self.at(x, params))
    }
}
