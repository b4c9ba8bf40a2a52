//! The monotone rational-quadratic spline as one fused, differentiable op.

mod compose;

use crate::custom::{Forward, FusedOp, apply, parallel};
use crate::host::{Shared, slice, slice_mut};
use crate::kernels::real::Real;
use crate::kernels::simd::dispatch;
use crate::kernels::spline::Kernel;
use crate::{Error, Result, check};
use tch::{Kind, Tensor};

/// What happens at and beyond the ends of the interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tails {
    /// Slope one at both ends and the identity beyond: `3K − 1` parameters.
    Linear,
    /// Free slopes at both ends; the interval is the whole domain: `3K + 1` parameters.
    Bounded,
    /// Equal slopes at both ends, for periodic data: `3K` parameters.
    Circular,
}

/// How raw parameters become bin sizes and derivatives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Knots {
    /// Softmax with a floor, and softplus with a floor (Durkan et al. 2019; as nflows has it).
    Softmax {
        /// Least width of a bin, as a part of the interval.
        min_width: f64,
        /// Least height of a bin, as a part of the interval.
        min_height: f64,
        /// Least derivative at a knot.
        min_derivative: f64,
    },
    /// Raw values softly clipped by `u/(1 + |c u|)`, then softmax and exponential (as zuko has it).
    SoftClip {
        /// Least slope of a bin; `c` is `2/ln slope` for sizes and `1/ln slope` for derivatives.
        slope: f64,
    },
}

/// A spline of `bins` rational-quadratic pieces on `interval`, which it maps onto itself
/// (Durkan et al. 2019, "Neural spline flows", arXiv:1906.04032).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RationalQuadratic {
    /// Number of bins `K`.
    pub bins: usize,
    /// Lower and upper end of the interval, the same on both axes.
    pub interval: (f64, f64),
    /// What happens at its ends.
    pub tails: Tails,
    /// How raw parameters become knots.
    pub knots: Knots,
}

/// Value and summed log-derivative of an elementwise map.
#[derive(Debug)]
pub struct Elementwise {
    /// The mapped tensor `[B, D]`.
    pub value: Tensor,
    /// `Σ_d ln |dy_d/dx_d|`, shape `[B]`, in nats.
    pub log_det: Tensor,
}

impl RationalQuadratic {
    /// `bins` bins on `[−bound, bound]`, linear tails, and the floors of the paper's code (10⁻³).
    #[must_use]
    pub fn new(bins: usize, bound: f64) -> Self {
        Self {
            bins,
            interval: (-bound, bound),
            tails: Tails::Linear,
            knots: Knots::Softmax { min_width: 1e-3, min_height: 1e-3, min_derivative: 1e-3 },
        }
    }

    /// Number of raw parameters of one element: widths, heights, derivatives, in this order.
    #[must_use]
    pub fn parameters(&self) -> usize {
        match self.tails {
            Tails::Linear => 3 * self.bins - 1,
            Tails::Bounded => 3 * self.bins + 1,
            Tails::Circular => 3 * self.bins,
        }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Config`] for no bins, an empty interval, or floors that leave no room.
    pub fn check(&self) -> Result<()> {
        if self.bins == 0 || self.bins > 1024 {
            return Err(Error::config(
                "bins",
                format!("expected 1 to 1024 bins, got {}", self.bins),
            ));
        }
        let (low, high) = self.interval;
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(Error::config(
                "interval",
                format!("expected low < high, got {low} and {high}"),
            ));
        }
        match self.knots {
            Knots::Softmax { min_width, min_height, min_derivative } => {
                let floor = min_width.max(min_height) * self.bins as f64;
                if !(min_width > 0.0 && min_height > 0.0 && floor < 1.0) {
                    let why =
                        format!("expected 0 < floor < 1/bins, got {min_width} and {min_height}");
                    return Err(Error::config("min_width", why));
                }
                if !(0.0 < min_derivative && min_derivative < 1.0) {
                    let why = format!("expected a number between 0 and 1, got {min_derivative}");
                    return Err(Error::config("min_derivative", why));
                }
            }
            Knots::SoftClip { slope } if !(0.0 < slope && slope < 1.0) => {
                return Err(Error::config(
                    "slope",
                    format!("expected a number between 0 and 1, got {slope}"),
                ));
            }
            Knots::SoftClip { .. } => {}
        }
        Ok(())
    }

    /// Data to latent: `x` is `[B, D]`, `params` is `[B, D, P]` with `P =` [`Self::parameters`].
    ///
    /// Outside the interval the map is the identity with log-derivative zero.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Kind`] or [`Error::Device`] for arguments that do not fit,
    /// [`Error::Config`] for a specification that [`Self::check`] refuses.
    pub fn forward(&self, x: &Tensor, params: &Tensor) -> Result<Elementwise> {
        self.run(x, params, false)
    }

    /// Latent to data; `log_det` is that of the inverse map. Exact up to rounding (eqs. 6–8).
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn inverse(&self, y: &Tensor, params: &Tensor) -> Result<Elementwise> {
        self.run(y, params, true)
    }

    /// The same as a composition of tensor ops: the reference, and the path on other devices.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn compose(&self, x: &Tensor, params: &Tensor, inverse: bool) -> Result<Elementwise> {
        self.check_arguments(x, params)?;
        compose::rational_quadratic(self, x, params, inverse)
    }

    fn check_arguments(&self, x: &Tensor, params: &Tensor) -> Result<()> {
        self.check()?;
        check::floating("x", x)?;
        let &[batch, dims] = x.size().as_slice() else {
            return Err(Error::shape("x", "[B, D]", &x.size()));
        };
        check::shape("spline parameters", params, &[batch, dims, self.parameters() as i64])?;
        check::alike("spline parameters", params, x)
    }

    fn run(&self, x: &Tensor, params: &Tensor, inverse: bool) -> Result<Elementwise> {
        self.check_arguments(x, params)?;
        let outputs = apply(Op { spec: *self, inverse }, &[x, params])?;
        let mut outputs = outputs.into_iter();
        match (outputs.next(), outputs.next()) {
            (Some(value), Some(log_det)) => Ok(Elementwise { value, log_det }),
            _ => Err(Error::unsupported("a spline op without outputs")),
        }
    }
}

/// The fused op: inputs `x`, `params`; outputs `value`, `log_det`.
#[derive(Debug)]
struct Op {
    spec: RationalQuadratic,
    inverse: bool,
}

/// Rows of a range that a thread takes at the least: enough work to pay for waking it.
fn grain(dims: usize) -> usize {
    2048_usize.div_ceil(dims.max(1))
}

impl Op {
    fn forward_as<T: Real>(&self, x: &Tensor, params: &Tensor) -> Result<Forward> {
        let (x, params) = (x.f_contiguous()?, params.f_contiguous()?);
        let dims = x.size().last().copied().unwrap_or_default().max(0) as usize;
        let batch = x.size()[0];
        let mut value = x.f_empty_like()?;
        let mut log_det = Tensor::f_zeros([batch], (x.kind(), x.device()))?;
        {
            let (xs, ps) = (slice::<T>("x", &x)?, slice::<T>("params", &params)?);
            let out = Shared::new(slice_mut::<T>("value", &mut value)?);
            let log = Shared::new(slice_mut::<T>("log_det", &mut log_det)?);
            let width = self.spec.parameters();
            parallel(batch as usize, grain(dims), &|begin, end| {
                #[allow(unsafe_code, reason = "disjoint ranges of outputs")]
                // SAFETY: LibTorch gives each thread a range of rows of its own.
                let (out, log) =
                    unsafe { (out.part(begin * dims, end * dims), log.part(begin, end)) };
                let mut kernel = Kernel::<T>::new(&self.spec);
                let mut logs = vec![T::ZERO; out.len()];
                let xs = &xs[begin * dims..end * dims];
                let ps = &ps[begin * dims * width..end * dims * width];
                dispatch(
                    #[inline(always)]
                    || kernel.forward(xs, ps, self.inverse, out, &mut logs),
                );
                if dims > 0 {
                    for (sum, row) in log.iter_mut().zip(logs.chunks_exact(dims)) {
                        *sum = row.iter().copied().sum();
                    }
                }
            });
        }
        // The adjoint works on the data side of the map, whichever direction was taken.
        let saved = if self.inverse { vec![value.shallow_clone()] } else { Vec::new() };
        Ok(Forward { outputs: vec![value, log_det], saved })
    }

    fn backward_as<T: Real>(
        &self,
        x: &Tensor,
        params: &Tensor,
        grads: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>> {
        let [grad_value, grad_log] = grads else {
            return Err(Error::unsupported("a spline gradient without two cotangents"));
        };
        let (x, params) = (x.f_contiguous()?, params.f_contiguous()?);
        let dims = x.size().last().copied().unwrap_or_default().max(0) as usize;
        let (grad_value, grad_log) = (grad_value.f_contiguous()?, grad_log.f_contiguous()?);
        let mut grad_x = x.f_empty_like()?;
        let mut grad_params = params.f_empty_like()?;
        {
            let (xs, ps) = (slice::<T>("x", &x)?, slice::<T>("params", &params)?);
            let (gy, gl) = (slice::<T>("grad", &grad_value)?, slice::<T>("grad", &grad_log)?);
            let gx = Shared::new(slice_mut::<T>("grad x", &mut grad_x)?);
            let gp = Shared::new(slice_mut::<T>("grad params", &mut grad_params)?);
            let width = self.spec.parameters();
            parallel(gl.len(), grain(dims), &|begin, end| {
                let (from, to) = (begin * dims, end * dims);
                #[allow(unsafe_code, reason = "disjoint ranges of outputs")]
                // SAFETY: LibTorch gives each thread a range of rows of its own.
                let (gx, gp) = unsafe { (gx.part(from, to), gp.part(from * width, to * width)) };
                let mut kernel = Kernel::<T>::new(&self.spec);
                let logs: Vec<T> = (from..to).map(|i| gl[i / dims]).collect();
                let (xs, gy, ps) = (&xs[from..to], &gy[from..to], &ps[from * width..to * width]);
                dispatch(
                    #[inline(always)]
                    || kernel.backward(xs, ps, self.inverse, gy, &logs, gx, gp),
                );
            });
        }
        Ok(vec![Some(grad_x), Some(grad_params)])
    }
}

impl FusedOp for Op {
    fn forward(&self, inputs: &[Tensor]) -> Result<Forward> {
        let [x, params] = inputs else {
            return Err(Error::unsupported("a spline of other inputs"));
        };
        match x.kind() {
            Kind::Float => self.forward_as::<f32>(x, params),
            _ => self.forward_as::<f64>(x, params),
        }
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        saved: &[Tensor],
        grads: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>> {
        let [x, params] = inputs else {
            return Err(Error::unsupported("a spline of other inputs"));
        };
        let x = saved.first().unwrap_or(x);
        match x.kind() {
            Kind::Float => self.backward_as::<f32>(x, params, grads),
            _ => self.backward_as::<f64>(x, params, grads),
        }
    }

    fn compose(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let [x, params] = inputs else {
            return Err(Error::unsupported("a spline of other inputs"));
        };
        let done = compose::rational_quadratic(&self.spec, x, params, self.inverse)?;
        Ok(vec![done.value, done.log_det])
    }
}
