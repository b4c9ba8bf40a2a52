//! Networks whose Lipschitz constant is bounded.

use maxlik_nn::{Init, Mode, Scope};
use maxlik_tensor::{Error, Result, host, safe, with_seed};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Shape of a [`Contraction`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContractionConfig {
    /// Widths of the hidden layers.
    pub hidden: Vec<i64>,
    /// Bound of the Lipschitz constant, in `(0, 1)`.
    pub lipschitz: f64,
}

impl Default for ContractionConfig {
    fn default() -> Self {
        Self { hidden: vec![128, 128], lipschitz: 0.9 }
    }
}

/// A multi-layer perceptron `g(x, context)` that is a contraction in `x` by its Euclidean norm.
///
/// Each matrix is divided by its spectral norm where that exceeds the layer's share of the bound
/// (Behrmann et al. 2019, "Invertible residual networks", arXiv:1811.00995, section 2.1). The
/// nonlinearity is LipSwish, `t σ(βt)/1.1` with a trained `β > 0`, whose slope is below one and whose
/// second derivative does not vanish where it is flat (Chen et al. 2019, "Residual flows",
/// arXiv:1906.02735, section 3.3).
#[derive(Debug)]
pub struct Contraction {
    layers: Vec<SpectralLinear>,
    sharpness: Tensor,
    lipschitz: f64,
}

impl Contraction {
    /// A contraction of `[D]` with a context of this size (zero for none).
    ///
    /// # Errors
    /// [`Error::Config`] for a bound outside `(0, 1)`, or a layer without units.
    pub fn new(
        scope: &Scope<'_>,
        dims: i64,
        context: i64,
        config: &ContractionConfig,
    ) -> Result<Self> {
        let lipschitz = config.lipschitz;
        if !(0.0 < lipschitz && lipschitz < 1.0) {
            let why = format!("expected a number between 0 and 1, got {lipschitz}");
            return Err(Error::config("lipschitz", why));
        }
        if config.hidden.iter().any(|&width| width < 1) {
            return Err(Error::config("hidden", "expected at least one unit in each layer"));
        }
        let mut widths = vec![dims + context];
        widths.extend(&config.hidden);
        widths.push(dims);
        let share = lipschitz.powf(1.0 / (widths.len() - 1) as f64);
        let layer = |(i, pair): (usize, &[i64])| {
            SpectralLinear::new(&scope.sub(i), pair[0], pair[1], share)
        };
        Ok(Self {
            layers: widths.windows(2).enumerate().map(layer).collect::<Result<_>>()?,
            // softplus(start) = 1.
            sharpness: scope.param("sharpness", &[], Init::Constant((1.0_f64.exp() - 1.0).ln()))?,
            lipschitz,
        })
    }

    /// The bound of the Lipschitz constant.
    #[must_use]
    pub fn lipschitz(&self) -> f64 {
        self.lipschitz
    }

    /// `g(x, context)`, of the shape of `x` `[B, D]`.
    ///
    /// # Errors
    /// LibTorch's, for tensors that do not fit.
    pub fn forward(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let sharpness = safe::softplus(&self.sharpness)?;
        let mut x = match context {
            Some(context) => Tensor::f_cat(&[x, context], -1)?,
            None => x.shallow_clone(),
        };
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                x = &x * (&x * &sharpness).f_sigmoid()? / 1.1;
            }
            x = layer.forward(&x)?;
        }
        Ok(x)
    }

    /// Whether a result of this network is recorded at present.
    pub(super) fn is_recorded(&self, x: &Tensor, context: Option<&Tensor>) -> Result<bool> {
        // A view of a parameter claims to require a gradient whatever the mode: a product tells.
        let recorded = |t: &Tensor| -> Result<bool> {
            Ok(t.f_narrow(0, 0, 0)?.f_mul_scalar(1.0)?.requires_grad())
        };
        let weight = self.layers.first().map_or(Ok(false), |layer| recorded(&layer.weight))?;
        Ok(weight || recorded(x)? || context.map_or(Ok(false), recorded)?)
    }
}

/// `x Wᵀ + b` with `‖W‖₂` at most `limit`.
#[derive(Debug)]
struct SpectralLinear {
    weight: Tensor,
    bias: Tensor,
    /// Left singular vector of the largest singular value, followed through training.
    left: Tensor,
    limit: f64,
    mode: Mode,
}

/// Power iterations of one training step.
const TRAINING_STEPS: usize = 5;

/// Power iterations at most outside training, and the relative change at which they end.
const STEPS: usize = 200;
const CHANGE: f64 = 1e-7;

impl SpectralLinear {
    fn new(scope: &Scope<'_>, inputs: i64, outputs: i64, limit: f64) -> Result<Self> {
        let bound = 1.0 / (inputs.max(1) as f64).sqrt();
        let options = (Kind::Double, Device::Cpu);
        let left = with_seed(scope.seed("left"), || Tensor::f_randn([outputs], options))?;
        let left = &left / left.f_norm()?;
        Ok(Self {
            weight: scope.param("weight", &[outputs, inputs], Init::Uniform(bound))?,
            bias: scope.param("bias", &[outputs], Init::Uniform(bound))?,
            left: scope.buffer("left", &left.f_to_kind(scope.kind())?)?,
            limit,
            mode: scope.mode(),
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (left, right) = self.singular_vectors()?;
        let norm = left.f_dot(&self.weight.f_mv(&right)?)?;
        let factor = (norm.f_reciprocal()? * self.limit).f_clamp_max(1.0)?;
        Ok(x.f_linear(&(&self.weight * factor), Some(&self.bias))?)
    }

    /// By power iteration from the vector of the last call; training goes a few steps and keeps the
    /// result, evaluation goes until the norm stays and keeps nothing.
    fn singular_vectors(&self) -> Result<(Tensor, Tensor)> {
        let _no_grad = tch::no_grad_guard();
        let unit = |v: Tensor| -> Result<Tensor> {
            let length = v.f_norm()?.f_clamp_min(1e-30)?;
            Ok(v / length)
        };
        let (weight, transposed) = (&self.weight, self.weight.f_transpose(0, 1)?);
        let training = self.mode.is_training();
        let mut left = self.left.shallow_clone();
        let mut right = unit(transposed.f_mv(&left)?)?;
        let mut norm = 0.0;
        for i in 1..=if training { TRAINING_STEPS } else { STEPS } {
            left = unit(weight.f_mv(&right)?)?;
            right = unit(transposed.f_mv(&left)?)?;
            if !training && i % 10 == 0 {
                let now = host::scalar(&left.f_dot(&weight.f_mv(&right)?)?)?;
                if (now - norm).abs() <= CHANGE * now {
                    break;
                }
                norm = now;
            }
        }
        if training {
            self.left.shallow_clone().f_copy_(&left)?;
        }
        Ok((left, right))
    }
}
