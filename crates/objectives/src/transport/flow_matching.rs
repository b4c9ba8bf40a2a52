//! Conditional flow matching.

use super::Path;
use maxlik_model::{Batch, Loss, Objective, VectorField};
use maxlik_tensor::{Error, Result, check};
use tch::{Kind, Tensor};

/// `E‖v(t, x_t) − u_t(x_t)‖²`, summed over the event and averaged over the batch, with `t` uniform on
/// `[0, 1)` (Lipman et al. 2023, arXiv:2210.02747, eq. 14; Tong et al. 2024, arXiv:2302.00482, eq. 10).
///
/// Its gradient is that of the regression on the marginal velocity, whose flow carries the source to
/// the data. The source is the standard normal, paired with the data independently; with
/// [`FlowMatching::loss_at`] it may be any source in any pairing, such as optimal transport's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlowMatching {
    path: Path,
}

impl FlowMatching {
    /// Flow matching along this path.
    ///
    /// # Errors
    /// [`Error::Config`] for a path that [`Path::check`] refuses.
    pub fn new(path: Path) -> Result<Self> {
        path.check()?;
        Ok(Self { path })
    }

    /// The loss of each row, `[B]`, for given times `[B]`, source and noise of the shape of the data.
    ///
    /// # Errors
    /// [`Error::Shape`] for a source or a velocity of another shape, and those of the model.
    pub fn loss_at(
        &self,
        model: &dyn VectorField,
        batch: &Batch,
        t: &Tensor,
        source: &Tensor,
        noise: &Tensor,
    ) -> Result<Tensor> {
        let data = &batch.data;
        check::shape("source", source, &data.size())?;
        check::shape("t", t, &data.size()[..1])?;
        let point = self.path.at(t, source, data, noise)?;
        let velocity = model.velocity(t, &point.x, batch.context.as_ref())?;
        check::shape("velocity", &velocity, &data.size())?;
        let rows = data.size()[0];
        let count: i64 = data.size()[1..].iter().product();
        let square = (velocity - point.velocity).f_square()?.f_reshape([rows, count])?;
        Ok(square.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?)
    }
}

impl Objective<dyn VectorField> for FlowMatching {
    fn loss(&self, model: &(dyn VectorField + 'static), batch: &Batch) -> Result<Loss> {
        let data = &batch.data;
        let rows = data.size().first().copied().unwrap_or_default();
        if rows == 0 {
            return Err(Error::shape("data", "a batch of at least one row", &data.size()));
        }
        let mut t = Tensor::f_rand([rows], (data.kind(), data.device()))?;
        if matches!(self.path, Path::Bridge { .. }) {
            // The bridge's velocity grows like t^(−1/2) at both ends.
            t = t * 0.998 + 0.001;
        }
        // The target path starts at its own noise: both are one draw.
        let noise = data.f_randn_like()?;
        let source = if matches!(self.path, Path::Target { .. }) {
            noise.shallow_clone()
        } else {
            data.f_randn_like()?
        };
        let each = self.loss_at(model, batch, &t, &source, &noise)?;
        Ok(Loss { value: each.f_mean(None::<Kind>)?, metrics: Vec::new() })
    }
}
