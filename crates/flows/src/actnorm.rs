//! Activation normalisation.

use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Init, Scope};
use maxlik_tensor::{Error, Result, host};
use tch::{Kind, Tensor};

/// `z = (x − mean) e^(−log_std)` for each channel, whose parameters start as the mean and standard
/// deviation of the first batch and are then trained (Kingma and Dhariwal 2018, "Glow",
/// arXiv:1807.03039, section 3.1).
///
/// The first event dimension is the channel. `ln |det| = −n Σ_c log_std_c` with `n` the number of
/// places of a channel. Whether the parameters have been initialised is a buffer, and so part of
/// every checkpoint.
#[derive(Debug)]
pub struct ActNorm {
    shape: Vec<i64>,
    mean: Tensor,
    log_std: Tensor,
    initialized: Tensor,
}

impl ActNorm {
    /// The identity on events of this shape, until it has seen a batch.
    ///
    /// # Errors
    /// [`Error::Config`] for a shape without dimensions, and those of [`Scope::param`].
    pub fn new(scope: &Scope<'_>, shape: &[i64]) -> Result<Self> {
        let Some(&channels) = shape.first() else {
            return Err(Error::config("actnorm", "expected an event with at least one dimension"));
        };
        let flag = Tensor::f_zeros([], (Kind::Float, scope.device()))?;
        Ok(Self {
            shape: shape.to_vec(),
            mean: scope.param("mean", &[channels], Init::Constant(0.0))?,
            log_std: scope.param("log_std", &[channels], Init::Constant(0.0))?,
            initialized: scope.buffer("initialized", &flag)?,
        })
    }

    /// The parameter as `[C, 1, …]`, so that it broadcasts over a channel's places.
    fn spread(&self, parameter: &Tensor) -> Result<Tensor> {
        let mut shape = vec![1; self.shape.len()];
        shape[0] = self.shape[0];
        Ok(parameter.f_view(shape.as_slice())?)
    }

    fn log_det(&self, x: &Tensor) -> Result<Tensor> {
        let places: i64 = self.shape[1..].iter().product();
        let one = self.log_std.f_sum(None::<Kind>)? * (-(places as f64));
        Ok(one.f_expand([x.size()[0]], false)?)
    }
}

impl ActNorm {
    fn value(&self, x: &Tensor) -> Result<Tensor> {
        Ok((x - self.spread(&self.mean)?) * self.spread(&(-&self.log_std).f_exp()?)?)
    }
}

impl Bijection for ActNorm {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let value = self.value(x)?;
        Ok(Mapped { value, log_det: self.log_det(x)? })
    }

    fn map_unnormalized(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        Mapped::volume_preserving(self.value(x)?)
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let value = z * self.spread(&self.log_std.f_exp()?)? + self.spread(&self.mean)?;
        Ok(Mapped { value, log_det: -self.log_det(z)? })
    }

    fn initialize(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        if host::scalar(&self.initialized)? == 0.0 && x.size()[0] > 1 {
            let rows = x.f_transpose(0, 1)?.f_reshape([self.shape[0], -1])?;
            let mean = rows.f_mean_dim([1_i64].as_slice(), false, None::<Kind>)?;
            // A channel that is constant in the batch keeps a finite scale.
            let std = rows.f_std_dim([1_i64].as_slice(), false, false)?.f_clamp_min(1e-6)?;
            self.mean.shallow_clone().f_copy_(&mean)?;
            self.log_std.shallow_clone().f_copy_(&std.f_log()?)?;
            self.initialized.shallow_clone().f_copy_(&self.initialized.f_ones_like()?)?;
        }
        Ok(self.map(x, context)?.value)
    }
}
