//! Invertible residual blocks.

use super::{Contraction, ContractionConfig};
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::Scope;
use maxlik_tensor::autograd::{Graph, jacobian, leaf, recorded};
use maxlik_tensor::logdet::{LuFactors, Roulette, neumann_surrogate, power_series};
use maxlik_tensor::trace::Probe;
use maxlik_tensor::{Error, Result, host, logdet};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How a residual block computes `ln det(I + ∂g/∂x)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ResidualLogDet {
    /// By the Jacobian: `D` backward passes and `⅔ D³` multiplications a row. For small `D`.
    Exact {},
    /// By the power series with one Rademacher probe, cut after so many terms: biased by
    /// `O(L^{n+1})`.
    Series {
        /// Number of terms.
        terms: usize,
    },
    /// By the power series with one Rademacher probe, cut at random: unbiased. In training, the
    /// gradient comes from the Neumann series, in constant memory.
    Roulette {
        /// Terms that are always taken.
        certain: usize,
        /// Probability of stopping after each further term.
        stop: f64,
    },
}

impl Default for ResidualLogDet {
    fn default() -> Self {
        Self::Roulette { certain: 10, stop: 0.5 }
    }
}

/// `z = x + g(x)` with a contraction `g` (Behrmann et al. 2019, "Invertible residual networks",
/// arXiv:1811.00995; Chen et al. 2019, "Residual flows", arXiv:1906.02735).
///
/// `ln |det| = ln det(I + ∂g/∂x)`, exact or estimated; estimates draw from LibTorch's generator, and so
/// differ from call to call. The inverse is the fixed point of `x = z − g(x)` (Banach), with an error
/// that falls by the Lipschitz constant in each step.
#[derive(Debug)]
pub struct Residual {
    shape: [i64; 1],
    context: Option<[i64; 1]>,
    contraction: Contraction,
    log_det: ResidualLogDet,
}

/// Steps of the fixed-point iteration at most.
const STEPS: usize = 2000;

impl Residual {
    /// A block on `[D]`, with a context of this size.
    ///
    /// # Errors
    /// [`Error::Config`] for no terms, a probability outside `(0, 1]`, and as [`Contraction::new`].
    pub fn new(
        scope: &Scope<'_>,
        dims: i64,
        context: Option<i64>,
        config: &ContractionConfig,
        log_det: ResidualLogDet,
    ) -> Result<Self> {
        match log_det {
            ResidualLogDet::Series { terms: 0 } => {
                return Err(Error::config("terms", "expected at least one term"));
            }
            ResidualLogDet::Roulette { certain, stop } => {
                Roulette { certain, stop }.terms(0.0)?;
            }
            ResidualLogDet::Exact {} | ResidualLogDet::Series { .. } => {}
        }
        Ok(Self {
            shape: [dims],
            context: context.map(|size| [size]),
            contraction: Contraction::new(scope, dims, context.unwrap_or(0), config)?,
            log_det,
        })
    }

    /// `g(x)` and the log-determinant at `x`; both carry a graph where one is recorded.
    fn evaluate(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let keep = self.contraction.is_recorded(x, context)?;
        let graph = if keep { Graph::Differentiable } else { Graph::Keep };
        let result = recorded(|| {
            // Derivatives by x are needed also where nobody asks for a gradient.
            let x = if keep && x.requires_grad() { x.shallow_clone() } else { leaf(x)? };
            let value = self.contraction.forward(&x, context)?;
            let log_det = match self.log_det {
                ResidualLogDet::Exact {} => {
                    let g = |x: &Tensor| self.contraction.forward(x, context);
                    logdet::dense(&self.one_plus(&jacobian(&g, &x, graph)?)?)?
                }
                ResidualLogDet::Series { terms } => {
                    let probe = Probe::Rademacher.draw(&x)?;
                    power_series(&value, &x, &probe, &vec![1.0; terms], graph)?
                }
                ResidualLogDet::Roulette { certain, stop } => {
                    let roulette = Roulette { certain, stop };
                    let draw = Tensor::f_rand([], (Kind::Double, tch::Device::Cpu))?;
                    let weights = roulette.weights(roulette.terms(host::scalar(&draw)?)?);
                    let probe = Probe::Rademacher.draw(&x)?;
                    let value_of = power_series(&value, &x, &probe, &weights, Graph::Keep)?;
                    let value_of = value_of.f_detach()?;
                    if keep {
                        let slope = neumann_surrogate(&value, &x, &probe, &weights)?;
                        value_of + (&slope - slope.f_detach()?)
                    } else {
                        value_of
                    }
                }
            };
            Ok(Mapped { value, log_det })
        })?;
        if keep {
            return Ok(result);
        }
        Ok(Mapped { value: result.value.f_detach()?, log_det: result.log_det.f_detach()? })
    }

    fn one_plus(&self, jacobian: &Tensor) -> Result<Tensor> {
        let unit = Tensor::f_eye(self.shape[0], (Kind::Double, jacobian.device()))?;
        Ok(jacobian + unit.f_to_kind(jacobian.kind())?)
    }

    /// The fixed point without a graph.
    fn solve(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        if z.numel() == 0 {
            return Ok(z.f_detach()?);
        }
        let relative = if z.kind() == Kind::Double { 1e-13 } else { 1e-6 };
        let tolerance = relative * (1.0 + host::scalar(&z.f_abs()?.f_max()?)?);
        let mut x = z - self.contraction.forward(z, context)?;
        for _ in 0..STEPS {
            let next = z - self.contraction.forward(&x, context)?;
            let change = host::scalar(&(&next - &x).f_abs()?.f_max()?)?;
            x = next;
            if change <= tolerance {
                return Ok(x);
            }
            if !change.is_finite() {
                return Err(Error::NonFinite { what: "the inverse of a residual block".into() });
            }
        }
        Err(Error::NotConverged { what: "the inverse of a residual block".into(), steps: STEPS })
    }

    /// The fixed point with derivatives by `z`, the context and all parameters.
    fn differentiable(&self, z: &Tensor, context: Option<&Tensor>, x: &Tensor) -> Result<Tensor> {
        if matches!(self.log_det, ResidualLogDet::Exact {}) {
            // One Newton step; its derivatives are those of the implicit function.
            let g = |x: &Tensor| self.contraction.forward(x, context);
            let factors = LuFactors::new(&self.one_plus(&jacobian(&g, x, Graph::Free)?)?)?;
            let rest = z - x - g(x)?;
            return Ok(x + factors.solve(&rest.f_unsqueeze(-1)?)?.f_squeeze_dim(-1)?);
        }
        // So many recorded steps that derivatives are within 10⁻⁶ of the implicit function's.
        let steps = (1e-6_f64.ln() / self.contraction.lipschitz().ln()).ceil() as usize;
        let mut x = x.shallow_clone();
        for _ in 0..steps.clamp(1, STEPS) {
            x = z - self.contraction.forward(&x, context)?;
        }
        Ok(x)
    }
}

impl Bijection for Residual {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.context.as_ref().map(<[i64; 1]>::as_slice)
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let Mapped { value, log_det } = self.evaluate(x, context)?;
        Ok(Mapped { value: x + value, log_det })
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let mut x = self.solve(z, context)?;
        if self.contraction.is_recorded(z, context)? {
            x = self.differentiable(z, context, &x)?;
        }
        let log_det = -self.evaluate(&x, context)?.log_det;
        Ok(Mapped { value: x, log_det })
    }
}
