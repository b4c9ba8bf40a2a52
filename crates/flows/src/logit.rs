//! The logit of data in the unit interval.

use maxlik_model::{Bijection, Mapped};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// `z = logit(u)`, `u = α + (1 − 2α) x` for `x` in `[0, 1]`; the margin `α` keeps the ends finite
/// (Papamakarios et al. 2017, "Masked autoregressive flow", arXiv:1705.07057, section 4.3).
///
/// `ln |det| = Σ ln(1 − 2α) − ln u − ln(1 − u)`.
#[derive(Debug)]
pub struct Logit {
    shape: Vec<i64>,
    margin: f64,
}

impl Logit {
    /// The logit on events of this shape.
    ///
    /// # Errors
    /// [`Error::Config`] for a margin outside `(0, ½)`.
    pub fn new(shape: &[i64], margin: f64) -> Result<Self> {
        if !(0.0 < margin && margin < 0.5) {
            let why = format!("expected a number between 0 and 1/2, got {margin}");
            return Err(Error::config("margin", why));
        }
        Ok(Self { shape: shape.to_vec(), margin })
    }

    /// `ln |det|` of the map at `z`: `ln(1 − 2α) + softplus(z) + softplus(−z)`, summed, which
    /// is the same as above without the cancellation of `1 − u` near one.
    fn log_det(&self, z: &Tensor) -> Result<Tensor> {
        let each = z.f_softplus()? + (-z).f_softplus()? + (1.0 - 2.0 * self.margin).ln();
        let rows = z.size()[0];
        let count: i64 = self.shape.iter().product();
        Ok(each.f_reshape([rows, count])?.f_sum_dim_intlist(
            [1_i64].as_slice(),
            false,
            None::<Kind>,
        )?)
    }
}

impl Bijection for Logit {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let u = x * (1.0 - 2.0 * self.margin) + self.margin;
        let value = u.f_log()? - (-&u).f_log1p()?;
        let log_det = self.log_det(&value)?;
        Ok(Mapped { value, log_det })
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let value = (z.f_sigmoid()? - self.margin) / (1.0 - 2.0 * self.margin);
        Ok(Mapped { value, log_det: -self.log_det(z)? })
    }
}
