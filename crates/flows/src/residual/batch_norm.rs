//! Batch normalisation.

use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Init, Mode, Scope};
use maxlik_tensor::{Error, Result, host};
use tch::{Kind, Tensor};

/// `z = (x − m)/√(v + ε) · e^a + b` for each channel, the first event dimension (Dinh et al. 2017,
/// "RealNVP", arXiv:1605.08803, section 3.7 and appendix E; Papamakarios et al. 2017, "MAF",
/// arXiv:1705.07057, section 3.2).
///
/// `ln |det| = n Σ_c (a_c − ½ ln(v_c + ε))` with `n` the number of places of a channel. In evaluation
/// `m` and `v` are moving averages: a fixed affine map, whose log-determinant is exact. In training
/// they are those of the batch, with gradients, and the log-determinant is that of the affine map with
/// these numbers; the averages follow by a tenth of the difference in each step. The inverse always
/// uses the averages. Before the first training step they can be set by [`Bijection::initialize`].
#[derive(Debug)]
pub struct BatchNorm {
    shape: Vec<i64>,
    log_scale: Tensor,
    shift: Tensor,
    mean: Tensor,
    variance: Tensor,
    initialized: Tensor,
    mode: Mode,
}

/// `ε`.
const LEAST: f64 = 1e-5;

/// Part of the difference by which the averages move.
const RATE: f64 = 0.1;

/// Mean and variance of each channel.
struct Moments {
    mean: Tensor,
    variance: Tensor,
}

impl BatchNorm {
    /// The identity on events of this shape, until it has seen a batch.
    ///
    /// # Errors
    /// [`Error::Config`] for a shape without dimensions, and those of [`Scope::param`].
    pub fn new(scope: &Scope<'_>, shape: &[i64]) -> Result<Self> {
        let Some(&channels) = shape.first() else {
            return Err(Error::config("batch_norm", "expected at least one event dimension"));
        };
        let options = (scope.kind(), scope.device());
        let ones = Tensor::f_ones([channels], options)?;
        let flag = Tensor::f_zeros([], (Kind::Float, scope.device()))?;
        Ok(Self {
            shape: shape.to_vec(),
            log_scale: scope.param("log_scale", &[channels], Init::Constant(0.0))?,
            shift: scope.param("shift", &[channels], Init::Constant(0.0))?,
            mean: scope.buffer("mean", &ones.f_zeros_like()?)?,
            variance: scope.buffer("variance", &ones)?,
            initialized: scope.buffer("initialized", &flag)?,
            mode: scope.mode(),
        })
    }

    fn moments(&self, x: &Tensor) -> Result<Moments> {
        let rows = x.f_transpose(0, 1)?.f_reshape([self.shape[0], -1])?;
        let mean = rows.f_mean_dim([1_i64].as_slice(), false, None::<Kind>)?;
        let centred = rows - mean.f_unsqueeze(-1)?;
        let variance = centred.f_square()?.f_mean_dim([1_i64].as_slice(), false, None::<Kind>)?;
        Ok(Moments { mean, variance })
    }

    fn averages(&self) -> Moments {
        Moments { mean: self.mean.shallow_clone(), variance: self.variance.shallow_clone() }
    }

    /// Moves the averages by this part of their distance to the batch's.
    fn follow(&self, batch: &Moments, rate: f64) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (kept, new) in [(&self.mean, &batch.mean), (&self.variance, &batch.variance)] {
            let moved = kept.f_lerp(&new.f_detach()?, rate)?;
            kept.shallow_clone().f_copy_(&moved)?;
        }
        self.initialized.shallow_clone().f_copy_(&self.initialized.f_ones_like()?)?;
        Ok(())
    }

    /// The scale as a logarithm, `[C]`.
    fn log_factor(&self, moments: &Moments) -> Result<Tensor> {
        Ok(&self.log_scale - (&moments.variance + LEAST).f_log()? * 0.5)
    }

    fn log_det(&self, log_factor: &Tensor, x: &Tensor) -> Result<Tensor> {
        let places: i64 = self.shape[1..].iter().product();
        let one = log_factor.f_sum(None::<Kind>)? * places as f64;
        Ok(one.f_expand([x.size()[0]], false)?)
    }

    /// The parameter as `[C, 1, …]`, so that it broadcasts over a channel's places.
    fn spread(&self, parameter: &Tensor) -> Result<Tensor> {
        let mut shape = vec![1; self.shape.len()];
        shape[0] = self.shape[0];
        Ok(parameter.f_view(shape.as_slice())?)
    }
}

impl Bijection for BatchNorm {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn map(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let moments = if self.mode.is_training() && x.size()[0] > 1 {
            let batch = self.moments(x)?;
            self.follow(&batch, RATE)?;
            batch
        } else {
            self.averages()
        };
        let log_factor = self.log_factor(&moments)?;
        let scaled = (x - self.spread(&moments.mean)?) * self.spread(&log_factor.f_exp()?)?;
        let value = scaled + self.spread(&self.shift)?;
        Ok(Mapped { value, log_det: self.log_det(&log_factor, x)? })
    }

    fn unmap(&self, z: &Tensor, _context: Option<&Tensor>) -> Result<Mapped> {
        let moments = self.averages();
        let log_factor = self.log_factor(&moments)?;
        let scaled = (z - self.spread(&self.shift)?) * self.spread(&(-&log_factor).f_exp()?)?;
        let value = scaled + self.spread(&moments.mean)?;
        Ok(Mapped { value, log_det: -self.log_det(&log_factor, z)? })
    }

    fn initialize(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        if host::scalar(&self.initialized)? == 0.0 && x.size()[0] > 1 {
            self.follow(&self.moments(x)?, 1.0)?;
        }
        Ok(self.map(x, context)?.value)
    }
}
