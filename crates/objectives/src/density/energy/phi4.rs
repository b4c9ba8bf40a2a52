//! The scalar field theory on a lattice.

use super::Target;
use maxlik_model::Energy;
use maxlik_tensor::{Error, Result, check};
use tch::{Kind, Tensor};

/// The `φ⁴` action on a periodic square lattice of `L × L` sites,
/// `S(φ) = Σ_x [−2κ Σ_μ φ_x φ_{x+μ} + (1 − 2λ) φ_x² + λ φ_x⁴]` with both directions `μ` (Nicoli et al.
/// 2021, "Estimation of thermodynamic observables in lattice field theories with deep generative
/// models", Phys. Rev. Lett. 126, eq. 1). Events are the sites, `[L²]`, row after row.
///
/// There is no exact sampler. Without the quartic term (`λ = 0`, `κ < ¼`) it is the normal
/// distribution of precision `2(I − κA)`, `A` the lattice's adjacency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Phi4 {
    side: i64,
    hopping: f64,
    coupling: f64,
}

impl Phi4 {
    /// A lattice of this side with hopping `κ` and coupling `λ`.
    ///
    /// # Errors
    /// [`Error::Config`] for a side below two, a negative coupling, or a free field that is not
    /// normalisable.
    pub fn new(side: i64, hopping: f64, coupling: f64) -> Result<Self> {
        if side < 2 {
            return Err(Error::config("side", format!("expected at least 2, got {side}")));
        }
        if !(coupling >= 0.0 && coupling.is_finite() && hopping.is_finite()) {
            let why = format!("expected a number of at least zero, got {coupling}");
            return Err(Error::config("coupling", why));
        }
        if coupling == 0.0 && hopping.abs() >= 0.25 {
            let why = format!("without a coupling its size must be below 1/4, got {hopping}");
            return Err(Error::config("hopping", why));
        }
        Ok(Self { side, hopping, coupling })
    }
}

impl Energy for Phi4 {
    fn energy(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        check::batch_of("x", x, &[self.dims()])?;
        let field = x.f_reshape([-1, self.side, self.side])?;
        let next = |axis: i64| field.f_roll([-1_i64].as_slice(), [axis].as_slice());
        let bonds = field.f_mul(&next(1)?.f_add(&next(2)?)?)?;
        let square = field.f_square()?;
        let site = &square * (1.0 - 2.0 * self.coupling) + square.f_square()? * self.coupling;
        let each = site - bonds * (2.0 * self.hopping);
        Ok(each.f_sum_dim_intlist([1_i64, 2].as_slice(), false, None::<Kind>)?)
    }
}

impl Target for Phi4 {
    fn dims(&self) -> i64 {
        self.side * self.side
    }
}
