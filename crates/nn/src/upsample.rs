//! From the frame rate of a spectrogram to the rate of a waveform.

use crate::{Init, Scope};
use maxlik_tensor::{Error, Result};
use tch::Tensor;

/// Transposed convolutions over (channel, time) with kernel `(3, 2s)` and stride `(1, s)`, each after
/// the other and followed by a leaky ReLU of slope 0.4 (Kim et al. 2019, FloWaveNet,
/// arXiv:1811.02155, section 4).
///
/// Maps `[B, K, F]` to `[B, K, F ∏ s]`. A time step starts as the mean of its frames, so that the
/// context is near its input before training.
#[derive(Debug)]
pub struct Upsample {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
}

impl Upsample {
    /// One step for each stride.
    ///
    /// # Errors
    /// [`Error::Config`] for a stride that is not even.
    pub fn new(scope: &Scope<'_>, strides: &[i64]) -> Result<Self> {
        let step = |(i, &stride): (usize, &i64)| {
            if stride < 2 || stride % 2 != 0 {
                let why = format!("expected even numbers, got {strides:?}");
                return Err(Error::config("strides", why));
            }
            let scope = scope.sub(i);
            // Each place gets two taps of time and three of channels; the rest is noise.
            let noise = Init::Uniform(0.02);
            let weight = scope.param("weight", &[1, 1, 3, 2 * stride], noise)?;
            let _no_grad = tch::no_grad_guard();
            let _ = weight.f_narrow(2, 1, 1)?.f_add_scalar_(0.5)?;
            Ok(Step { weight, bias: scope.param("bias", &[1], Init::Constant(0.0))?, stride })
        };
        Ok(Self { steps: strides.iter().enumerate().map(step).collect::<Result<_>>()? })
    }

    /// `[B, K, F] → [B, K, F ∏ s]`.
    ///
    /// # Errors
    /// LibTorch's, for another number of dimensions.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.f_unsqueeze(1)?;
        for Step { weight, bias, stride } in &self.steps {
            let (stride, padding) = ([1, *stride], [1, stride / 2]);
            x = x.f_conv_transpose2d(weight, Some(bias), stride, padding, 0, 1, 1)?;
            x = x.f_maximum(&(&x * 0.4))?;
        }
        Ok(x.f_squeeze_dim(1)?)
    }
}
