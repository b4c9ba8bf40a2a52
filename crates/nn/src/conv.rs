//! Convolutions over one or two dimensions.

use crate::{Init, Scope};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// Which places a convolution sees; both keep the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// As many on both sides, with zeros beyond the ends.
    Both,
    /// This place and those before it (in one dimension only).
    Causal,
}

/// What a convolution takes and gives.
#[derive(Debug, Clone, Copy)]
pub struct ConvShape {
    /// Dimensions that it runs over: one or two.
    pub dims: usize,
    /// Channels in.
    pub inputs: i64,
    /// Channels out.
    pub outputs: i64,
    /// Side of the kernel, odd.
    pub kernel: i64,
    /// Distance of the kernel's taps.
    pub dilation: i64,
    /// Which places it sees.
    pub reach: Reach,
}

impl ConvShape {
    /// A convolution over images `[B, C, H, W]`.
    #[must_use]
    pub fn image(inputs: i64, outputs: i64, kernel: i64) -> Self {
        Self { dims: 2, inputs, outputs, kernel, dilation: 1, reach: Reach::Both }
    }

    /// A convolution over sequences `[B, C, T]`.
    #[must_use]
    pub fn sequence(inputs: i64, outputs: i64, kernel: i64) -> Self {
        Self { dims: 1, inputs, outputs, kernel, dilation: 1, reach: Reach::Both }
    }

    fn check(&self) -> Result<()> {
        let causal_image = self.reach == Reach::Causal && self.dims != 1;
        if !matches!(self.dims, 1 | 2) || causal_image {
            let why = "expected one dimension, or two without causality";
            return Err(Error::config("dims", format!("{why}, got {}", self.dims)));
        }
        if self.kernel < 1 || self.kernel % 2 == 0 || self.dilation < 1 {
            let why = "expected an odd kernel and a dilation of at least one";
            let got = format!("{} and {}", self.kernel, self.dilation);
            return Err(Error::config("kernel", format!("{why}, got {got}")));
        }
        Ok(())
    }

    fn weight_size(&self) -> Vec<i64> {
        let mut size = vec![self.outputs, self.inputs];
        size.resize(2 + self.dims, self.kernel);
        size
    }

    fn bound(&self) -> f64 {
        let fan = self.inputs * self.kernel.pow(self.dims as u32);
        1.0 / (fan.max(1) as f64).sqrt()
    }
}

/// A convolution that keeps the number of places.
#[derive(Debug)]
pub struct Conv {
    shape: ConvShape,
    weight: Weight,
    bias: Tensor,
}

#[derive(Debug)]
enum Weight {
    Plain(Tensor),
    /// `gain · v / ‖v‖` for each output channel (Salimans and Kingma 2016, arXiv:1602.07868).
    Normed {
        direction: Tensor,
        gain: Tensor,
    },
}

impl Weight {
    fn value(&self) -> Result<Tensor> {
        match self {
            Self::Plain(weight) => Ok(weight.shallow_clone()),
            Self::Normed { direction, gain } => {
                Ok(direction.f_mul(&gain.f_div(&norm(direction)?)?)?)
            }
        }
    }
}

/// The norm of each output channel's weights, `[O, 1, …]`.
fn norm(direction: &Tensor) -> Result<Tensor> {
    let rest: Vec<i64> = (1..direction.dim() as i64).collect();
    let square = direction.f_square()?;
    Ok(square.f_sum_dim_intlist(rest.as_slice(), true, None::<Kind>)?.f_sqrt()?)
}

impl Conv {
    /// A convolution whose weights and biases start uniform on `±1/√fan-in`, as PyTorch's do.
    ///
    /// # Errors
    /// [`Error::Config`] for an even kernel, and those of [`Scope::param`].
    pub fn new(scope: &Scope<'_>, shape: ConvShape) -> Result<Self> {
        let init = Init::Uniform(shape.bound());
        Self::with_init(scope, shape, init, init)
    }

    /// A convolution that starts at zero.
    ///
    /// # Errors
    /// As [`Conv::new`].
    pub fn zero(scope: &Scope<'_>, shape: ConvShape) -> Result<Self> {
        Self::with_init(scope, shape, Init::Constant(0.0), Init::Constant(0.0))
    }

    /// A convolution with weight normalisation: a direction and a gain for each output channel,
    /// which start with the weights of [`Conv::new`].
    ///
    /// # Errors
    /// As [`Conv::new`].
    pub fn weight_normed(scope: &Scope<'_>, shape: ConvShape) -> Result<Self> {
        shape.check()?;
        let init = Init::Uniform(shape.bound());
        let direction = scope.param("direction", &shape.weight_size(), init)?;
        let gain = scope.param_from("gain", &norm(&direction.f_detach()?)?)?;
        let bias = scope.param("bias", &[shape.outputs], init)?;
        Ok(Self { shape, weight: Weight::Normed { direction, gain }, bias })
    }

    fn with_init(scope: &Scope<'_>, shape: ConvShape, weight: Init, bias: Init) -> Result<Self> {
        shape.check()?;
        let weight = Weight::Plain(scope.param("weight", &shape.weight_size(), weight)?);
        Ok(Self { shape, weight, bias: scope.param("bias", &[shape.outputs], bias)? })
    }

    /// `[B, inputs, …] → [B, outputs, …]`.
    ///
    /// # Errors
    /// LibTorch's, for another number of channels.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let ConvShape { dims, kernel, dilation, reach, .. } = self.shape;
        let (weight, bias) = (self.weight.value()?, Some(&self.bias));
        let behind = (kernel - 1) * dilation;
        Ok(match (dims, reach) {
            (1, Reach::Both) => x.f_conv1d(&weight, bias, 1, behind / 2, dilation, 1)?,
            (1, Reach::Causal) => {
                let x = x.f_constant_pad_nd([behind, 0])?;
                x.f_conv1d(&weight, bias, 1, 0, dilation, 1)?
            }
            _ => x.f_conv2d(&weight, bias, 1, behind / 2, dilation, 1)?,
        })
    }
}
