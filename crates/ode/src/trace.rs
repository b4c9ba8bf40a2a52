//! Divergences of velocity fields: exact, and estimated with probes that are fixed over a solve.
//!
//! All are sums `Σₖ uₖᵀ J uₖ` over vectors `uₖ` with `E Σₖ uₖ uₖᵀ = I`, so that the estimate is
//! unbiased for the trace, and `Σₖ ‖Jᵀ uₖ‖²` for the squared Frobenius norm.

use crate::mlp::TwoLayer;
use maxlik_model::VectorField;
use maxlik_tensor::autograd::{self, Graph, gradient, leaf};
use maxlik_tensor::{Error, Result, check};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use tch::Tensor;

/// How the divergence of a field is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Trace {
    /// Exactly: `D` products with the Jacobian, or what the field knows itself.
    #[default]
    Exact,
    /// Hutchinson's estimate, `uₖ = zₖ/√m` (Hutchinson 1990, "A stochastic estimator of the trace of
    /// the influence matrix for Laplacian smoothing splines"; for flows Grathwohl et al. 2019,
    /// "FFJORD", arXiv:1810.01367).
    Hutchinson {
        /// Number of probes `m`.
        probes: i64,
        /// Their distribution.
        noise: Noise,
    },
    /// Hutch++ (Meyer, Musco, Musco and Woodruff 2021, arXiv:2010.09649): the trace on the range of
    /// `Jᵀ S` exactly, and Hutchinson's estimate on the rest. The range is found once, at the start
    /// of a solve.
    HutchPlusPlus {
        /// Number of columns of `S`, and of probes of the rest.
        probes: i64,
    },
}

/// Distribution of the entries of a probe, with mean zero and variance one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// ±1 with equal odds: the least variance.
    #[default]
    Rademacher,
    /// Standard normal.
    Gaussian,
}

impl Noise {
    /// A draw from LibTorch's generator, of this shape, like `x` in dtype and device.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn draw(self, shape: &[i64], x: &Tensor) -> Result<Tensor> {
        let normal = Tensor::f_randn(shape, (x.kind(), x.device()))?;
        Ok(match self {
            Self::Gaussian => normal,
            // Zero has probability zero in theory only.
            Self::Rademacher => {
                normal.f_ge(0.0)?.f_to_kind(x.kind())?.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?
            }
        })
    }
}

/// A velocity with what is known of its Jacobian `J`.
#[derive(Debug)]
pub struct Traced {
    /// `v(t, x)`, of the shape of `x`.
    pub velocity: Tensor,
    /// `tr J`, or its estimate, `[b]`.
    pub divergence: Tensor,
    /// `‖J‖²` in the Frobenius norm, or its estimate, `[b]`.
    pub frobenius: Option<Tensor>,
}

/// A velocity with what carries a score along its flow.
#[derive(Debug)]
pub struct ScoreRate {
    /// `v(t, x)`, of the shape of `x`; it carries a graph where gradients are recorded.
    pub velocity: Tensor,
    /// `tr J`, or its estimate, `[b]`, without a graph.
    pub divergence: Tensor,
    /// `−Jᵀ δ − ∇ₓ tr J`, of the shape of `x`, without a graph.
    pub rate: Tensor,
}

/// A velocity field with its divergence.
///
/// The provided methods take products with the Jacobian from autograd; fields that know better
/// have methods of their own. Where gradients are recorded, the results carry a graph.
pub trait Drift: VectorField {
    /// The exact divergence; the Frobenius norm is asked for with `frobenius`.
    ///
    /// # Errors
    /// Those of the field.
    fn exact(
        &self,
        t: &Tensor,
        x: &Tensor,
        context: Option<&Tensor>,
        frobenius: bool,
    ) -> Result<Traced> {
        let basis = basis(x)?;
        self.probed(t, x, context, &basis, frobenius)
    }

    /// The divergence seen by the vectors `probe` `[K, b, …]`.
    ///
    /// # Errors
    /// Those of the field.
    fn probed(
        &self,
        t: &Tensor,
        x: &Tensor,
        context: Option<&Tensor>,
        probe: &Tensor,
        frobenius: bool,
    ) -> Result<Traced> {
        probe_divergence(&|x| self.velocity(t, x, context), x, probe, frobenius)
    }

    /// The time derivative `dδ/dt = −Jᵀ δ − ∇ₓ tr J` of the score `δ = ∇ₓ ln p_t(x)` along the flow,
    /// for `score` of the shape of `x`. It is the gradient of `ln p` along `d ln p/dt = −tr J`: for
    /// the flow `φ` from a time `s`, `∂φᵀ δ(φ(x)) = δ_s(x) − ∇ₓ ∫ tr J(φ(x)) dt`, and the derivative
    /// of that by time. The divergence is the exact one, or the one that the vectors `probe`
    /// `[K, b, …]` see.
    ///
    /// # Errors
    /// Those of the field.
    fn score_rate(
        &self,
        t: &Tensor,
        x: &Tensor,
        context: Option<&Tensor>,
        probe: Option<&Tensor>,
        score: &Tensor,
    ) -> Result<ScoreRate> {
        let recording = is_recording()?;
        autograd::recorded(|| {
            let x = if recording && x.requires_grad() { x.shallow_clone() } else { leaf(x)? };
            let traced = match probe {
                None => self.exact(t, &x, context, false)?,
                Some(probe) => self.probed(t, &x, context, probe, false)?,
            };
            // With δ held fixed, Jᵀ δ + ∇ tr J is one gradient.
            let along = event_sum(&traced.velocity.f_mul(&score.f_detach()?)?)?;
            let along = along.f_add(&traced.divergence)?.f_sum(None::<tch::Kind>)?;
            let graph = if recording { Graph::Keep } else { Graph::Free };
            let rate = gradient(&along, None, &x, graph)?.f_neg()?.f_detach()?;
            let velocity = if recording { traced.velocity } else { traced.velocity.f_detach()? };
            Ok(ScoreRate { velocity, divergence: traced.divergence.f_detach()?, rate })
        })
    }

    /// The field as a network with two hidden layers, where it is one: [`crate::Cnf`] then solves it
    /// by kernels of its own.
    ///
    /// # Errors
    /// Those of the field.
    fn two_layer(&self, context: Option<&Tensor>) -> Result<Option<TwoLayer>> {
        let _unused = context;
        Ok(None)
    }
}

/// Any velocity field, with its divergence from autograd.
#[derive(Debug)]
pub struct Autograd<V>(pub V);

impl<V: VectorField> VectorField for Autograd<V> {
    fn velocity(&self, t: &Tensor, x: &Tensor, context: Option<&Tensor>) -> Result<Tensor> {
        self.0.velocity(t, x, context)
    }
}

impl<V: VectorField> Drift for Autograd<V> {}

/// The unit vectors of an event of `x` `[b, …]`, as `[D, b, …]`.
///
/// # Errors
/// LibTorch's.
pub fn basis(x: &Tensor) -> Result<Tensor> {
    let size = x.size();
    let d: i64 = size[1..].iter().product();
    let mut shape = vec![d, 1];
    shape.extend(&size[1..]);
    let unit = Tensor::f_eye(d, (x.kind(), x.device()))?.f_view(shape.as_slice())?;
    shape[1] = size[0];
    Ok(unit.f_expand(shape.as_slice(), false)?)
}

/// `Σₖ uₖᵀ J uₖ` of `velocity` at `x` `[b, …]` for the vectors `probe` `[K, b, …]`: one product with
/// the transposed Jacobian for each.
///
/// # Errors
/// [`Error::Shape`] for a probe that does not fit, and those of the field.
pub fn probe_divergence(
    velocity: &autograd::Function<'_>,
    x: &Tensor,
    probe: &Tensor,
    frobenius: bool,
) -> Result<Traced> {
    let size = probe.size();
    if size.len() != x.dim() + 1 || size[1..] != x.size() {
        return Err(Error::shape("probe", format!("[K, {:?}]", x.size()), &size));
    }
    let recording = is_recording()?;
    autograd::recorded(|| {
        let x = if recording && x.requires_grad() { x.shallow_clone() } else { leaf(x)? };
        let value = velocity(&x)?;
        check::shape("velocity", &value, &x.size())?;
        let rows = x.size()[0];
        let mut divergence = Tensor::f_zeros([rows], (x.kind(), x.device()))?;
        let mut square = divergence.shallow_clone();
        for k in 0..size[0] {
            let u = probe.f_select(0, k)?;
            let graph = match recording {
                true => Graph::Differentiable,
                false if k + 1 < size[0] => Graph::Keep,
                false => Graph::Free,
            };
            let product = gradient(&value, Some(&u), &x, graph)?;
            divergence = divergence.f_add(&event_sum(&product.f_mul(&u)?)?)?;
            if frobenius {
                square = square.f_add(&event_sum(&product.f_square()?)?)?;
            }
        }
        let keep = |x: Tensor| -> Result<Tensor> { Ok(if recording { x } else { x.f_detach()? }) };
        Ok(Traced {
            velocity: keep(value)?,
            divergence: keep(divergence)?,
            frobenius: frobenius.then_some(square).map(keep).transpose()?,
        })
    })
}

impl Trace {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Config`] for no probes.
    pub fn check(self) -> Result<()> {
        match self {
            Self::Hutchinson { probes, .. } | Self::HutchPlusPlus { probes } if probes < 1 => {
                Err(Error::config("probes", format!("expected at least one, got {probes}")))
            }
            _ => Ok(()),
        }
    }

    /// Draws the vectors of a solve that starts at `x` `[B, …]` at time `t` `[B]`, `[K, B, …]`;
    /// `None` for the exact trace.
    ///
    /// # Errors
    /// [`Error::Config`] for no probes, and those of the field, which Hutch++ looks at.
    pub fn draw(
        self,
        drift: &dyn Drift,
        t: &Tensor,
        x: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Option<Tensor>> {
        self.check()?;
        let shape = |count: i64| {
            let mut shape = x.size();
            shape.insert(0, count);
            shape
        };
        match self {
            Self::Exact => Ok(None),
            Self::Hutchinson { probes, noise } => {
                let z = noise.draw(&shape(probes), x)?;
                Ok(Some(z.f_mul_scalar(1.0 / (probes as f64).sqrt())?))
            }
            Self::HutchPlusPlus { probes } => {
                let noise = Noise::Rademacher;
                let sketch = noise.draw(&shape(probes), x)?;
                let rest = noise.draw(&shape(probes), x)?;
                plus_plus(&|x| drift.velocity(t, x, context), x, &sketch, &rest).map(Some)
            }
        }
    }
}

/// The vectors of Hutch++: an orthonormal basis `Q` of the range of `Jᵀ S` at `x`, and
/// `(I − Q Qᵀ) gₖ/√m`. `sketch` and `rest` are `S` and `g`, `[m, B, …]`.
///
/// # Errors
/// Those of the field.
pub fn plus_plus(
    velocity: &autograd::Function<'_>,
    x: &Tensor,
    sketch: &Tensor,
    rest: &Tensor,
) -> Result<Tensor> {
    let size = x.size();
    let d: i64 = size[1..].iter().product();
    let count = sketch.size()[0];
    let products = autograd::recorded(|| {
        let x = leaf(x)?;
        let value = velocity(&x)?;
        let each =
            (0..count).map(|k| gradient(&value, Some(&sketch.f_select(0, k)?), &x, Graph::Keep));
        Ok(Tensor::f_stack(&each.collect::<Result<Vec<_>>>()?, 0)?.f_detach()?)
    })?;
    let _no_grad = tch::no_grad_guard();
    let columns = |x: &Tensor| -> Result<Tensor> {
        Ok(x.f_reshape([count, size[0], d])?.f_permute([1, 2, 0])?)
    };
    let (q, _) = Tensor::f_linalg_qr(&columns(&products)?, "reduced")?;
    let g = columns(rest)?;
    let inside = q.f_matmul(&q.f_transpose(1, 2)?.f_matmul(&g)?)?;
    let outside = g.f_sub(&inside)?.f_mul_scalar(1.0 / (count as f64).sqrt())?;
    let all = Tensor::f_cat(&[q, outside], 2)?.f_permute([2, 0, 1])?.f_contiguous()?;
    let mut shape = vec![-1];
    shape.extend(&size);
    Ok(all.f_view(shape.as_slice())?)
}

/// Whether operations are recorded at the moment.
pub(crate) fn is_recording() -> Result<bool> {
    let x =
        Tensor::f_zeros([1], (tch::Kind::Float, tch::Device::Cpu))?.f_set_requires_grad(true)?;
    Ok(x.f_neg()?.requires_grad())
}

/// The sum over the event, `[b, …] → [b]`.
pub(crate) fn event_sum(x: &Tensor) -> Result<Tensor> {
    Ok(crate::time::flat_rows(x)?.f_sum_dim_intlist([1_i64].as_slice(), false, None)?)
}
