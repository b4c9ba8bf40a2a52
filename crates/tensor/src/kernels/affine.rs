//! Shift and scale with the scale's log, and their adjoint.

use super::masked::{TILE, Tile, TileMap};
use super::real::Real;
use crate::affine::Scale;

/// How a raw number becomes a scale, one type for each form so that loops hold no branch.
pub(crate) trait Form<T>: Copy {
    /// The scale and its logarithm.
    fn scale(self, raw: T) -> (T, T);
    /// Derivative of the logarithm by `raw`, given the scale.
    fn slope(self, raw: T, scale: T) -> T;
}

/// `ln scale = a / (1 + |c a|)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SoftClip<T>(pub(crate) T);

/// `sigmoid(a + 2) + floor`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sigmoid<T>(pub(crate) T);

/// `softplus(a) + floor`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Softplus<T>(pub(crate) T);

/// `eᵃ`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exp;

impl<T: Real> Form<T> for SoftClip<T> {
    #[inline(always)]
    fn scale(self, raw: T) -> (T, T) {
        let log = raw / (T::ONE + (raw * self.0).abs());
        (log.exp(), log)
    }

    #[inline(always)]
    fn slope(self, raw: T, _scale: T) -> T {
        let clip = T::ONE + (raw * self.0).abs();
        T::ONE / (clip * clip)
    }
}

impl<T: Real> Form<T> for Sigmoid<T> {
    #[inline(always)]
    fn scale(self, raw: T) -> (T, T) {
        let scale = (raw + T::of(2.0)).sigmoid() + self.0;
        (scale, scale.ln())
    }

    #[inline(always)]
    fn slope(self, _raw: T, scale: T) -> T {
        let sigmoid = scale - self.0;
        sigmoid * (T::ONE - sigmoid) / scale
    }
}

impl<T: Real> Form<T> for Softplus<T> {
    #[inline(always)]
    fn scale(self, raw: T) -> (T, T) {
        let scale = raw.softplus() + self.0;
        (scale, scale.ln())
    }

    #[inline(always)]
    fn slope(self, raw: T, scale: T) -> T {
        raw.sigmoid() / scale
    }
}

impl<T: Real> Form<T> for Exp {
    #[inline(always)]
    fn scale(self, raw: T) -> (T, T) {
        (raw.exp(), raw)
    }

    #[inline(always)]
    fn slope(self, _raw: T, _scale: T) -> T {
        T::ONE
    }
}

/// Calls `$body` with `$form` bound to the form of `$scale` in `f32` or `f64`.
macro_rules! with_form {
    ($scale:expr, $t:ty, $form:ident => $body:expr) => {
        match $scale {
            $crate::affine::Scale::SoftClip { slope } => {
                let $form = $crate::kernels::affine::SoftClip(<$t>::of(1.0 / slope.ln()));
                $body
            }
            $crate::affine::Scale::Sigmoid { floor } => {
                let $form = $crate::kernels::affine::Sigmoid(<$t>::of(floor));
                $body
            }
            $crate::affine::Scale::Softplus { floor } => {
                let $form = $crate::kernels::affine::Softplus(<$t>::of(floor));
                $body
            }
            $crate::affine::Scale::Exp => {
                let $form = $crate::kernels::affine::Exp;
                $body
            }
        }
    };
}
pub(crate) use with_form;

/// The slices of a range of rows: `params` holds shift and raw scale of each element side by side.
#[derive(Debug)]
pub(crate) struct Rows<'a, T> {
    pub(crate) x: &'a [T],
    pub(crate) params: &'a [T],
    pub(crate) dims: usize,
}

/// Values, and the log-derivatives summed over each row.
#[inline(always)]
pub(crate) fn forward<T: Real>(
    scale: Scale,
    rows: &Rows<'_, T>,
    inverse: bool,
    value: &mut [T],
    log: &mut [T],
) {
    with_form!(scale, T, form => run(form, rows, inverse, value, log));
}

#[inline(always)]
fn run<T: Real>(
    form: impl Form<T>,
    rows: &Rows<'_, T>,
    inverse: bool,
    value: &mut [T],
    log: &mut [T],
) {
    let dims = rows.dims;
    for (row, sum) in log.iter_mut().enumerate() {
        let span = row * dims..(row + 1) * dims;
        let x = &rows.x[span.clone()];
        let params = &rows.params[2 * row * dims..2 * (row + 1) * dims];
        let out = &mut value[span];
        let mut total = T::ZERO;
        for i in 0..dims {
            let (shift, raw) = (params[2 * i], params[2 * i + 1]);
            let (scale, log) = form.scale(raw);
            out[i] = if inverse { (x[i] - shift) / scale } else { scale.fma(x[i], shift) };
            total += log;
        }
        *sum = if inverse { -total } else { total };
    }
}

/// Gradients of a range of rows. `x` is the data side for either direction.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "the slices of one pass")]
pub(crate) fn backward<T: Real>(
    scale: Scale,
    rows: &Rows<'_, T>,
    inverse: bool,
    grad_value: &[T],
    grad_log: &[T],
    grad_x: &mut [T],
    grad_params: &mut [T],
) {
    with_form!(scale, T, form => {
        let dims = rows.dims;
        for (row, &gl) in grad_log.iter().enumerate() {
            let span = row * dims..(row + 1) * dims;
            let wide = 2 * row * dims..2 * (row + 1) * dims;
            let (x, gy) = (&rows.x[span.clone()], &grad_value[span.clone()]);
            let (params, gx) = (&rows.params[wide.clone()], &mut grad_x[span]);
            let gp = &mut grad_params[wide];
            for i in 0..dims {
                let raw = params[2 * i + 1];
                let (scale, _) = form.scale(raw);
                let slope = form.slope(raw, scale);
                // Inverse: x = (z − b)/s, so ∂x/∂z = 1/s, ∂x/∂b = −1/s, ∂x/∂ ln s = −x.
                let (through, shift, log) = if inverse {
                    (gy[i] / scale, -(gy[i] / scale), -(gy[i] * x[i] + gl))
                } else {
                    (gy[i] * scale, gy[i], gy[i] * x[i] * scale + gl)
                };
                gx[i] = through;
                gp[2 * i] = shift;
                gp[2 * i + 1] = log * slope;
            }
        }
    });
}

/// The inverse on a tile of rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnTile<F>(pub(crate) F);

impl<T: Real, F: Form<T>> TileMap<T> for OnTile<F> {
    #[inline(always)]
    fn invert(&mut self, z: &mut Tile<T>, params: &[Tile<T>], log: &mut Tile<T>) {
        let [shift, raw] = params else { return };
        for l in 0..TILE {
            let (scale, log_scale) = self.0.scale(raw[l]);
            z[l] = (z[l] - shift[l]) / scale;
            log[l] = log[l] - log_scale;
        }
    }
}
