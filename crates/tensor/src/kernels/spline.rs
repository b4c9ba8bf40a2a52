//! The monotone rational-quadratic spline (Durkan et al. 2019, "Neural spline flows",
//! arXiv:1906.04032, eqs. 4–8) and its adjoint, for [`LANES`] elements at a time.
//!
//! Inside a bin with width `w`, height `h`, slope `s = h/w`, knot derivatives `d0`, `d1` and
//! `θ = (x − xₖ)/w`, `t = θ(1−θ)`:
//! `y = yₖ + h (sθ² + d0 t)/den`, `den = s + (d0 + d1 − 2s) t`,
//! `ln dy/dx = 2 ln s + ln q − 2 ln den`, `q = d1 θ² + 2 s t + d0 (1−θ)²`.

use super::masked::{TILE, Tile, TileMap};
use super::real::Real;
use super::softmax::{softmax, softmax_adjoint};
use crate::spline::{Knots, RationalQuadratic, Tails};

/// Elements that one pass works on: a full AVX-512 register of `f32`.
pub(crate) const LANES: usize = 16;

/// One number for each lane.
pub(super) type Lanes<T> = [T; LANES];

/// The spline's constants in the kernel's number type.
#[derive(Debug, Clone, Copy)]
struct Constants<T> {
    low: T,
    high: T,
    min_width: T,
    min_height: T,
    min_derivative: T,
    /// `2/ln slope` and `1/ln slope` of the soft clip, zero where there is none.
    clip_size: T,
    clip_derivative: T,
    /// Raw derivative at the ends for linear tails: it maps to one.
    end: T,
    exponential: bool,
}

/// Working memory of one thread.
#[derive(Debug)]
pub(crate) struct Kernel<T> {
    constants: Constants<T>,
    bins: usize,
    tails: Tails,
    params: usize,
    /// Raw parameters, transposed: one row of lanes for each parameter.
    raw: Vec<Lanes<T>>,
    /// Softmax of the raw widths and heights.
    widths: Vec<Lanes<T>>,
    heights: Vec<Lanes<T>>,
}

/// The bin that each lane falls in, and the spline there.
#[derive(Debug, Clone, Copy)]
struct Bin<T> {
    index: [u32; LANES],
    width: Lanes<T>,
    height: Lanes<T>,
    x: Lanes<T>,
    y: Lanes<T>,
    /// Raw derivatives at both ends, and their mapped values.
    raw0: Lanes<T>,
    raw1: Lanes<T>,
    d0: Lanes<T>,
    d1: Lanes<T>,
}

#[inline(always)]
pub(super) fn fill<T: Real>(value: T) -> Lanes<T> {
    [value; LANES]
}

#[inline(always)]
pub(super) fn each<T: Real>(f: impl Fn(usize) -> T) -> Lanes<T> {
    let mut out = fill(T::ZERO);
    for (lane, value) in out.iter_mut().enumerate() {
        *value = f(lane);
    }
    out
}

impl<T: Real> Kernel<T> {
    pub(crate) fn new(spec: &RationalQuadratic) -> Self {
        let (low, high) = spec.interval;
        let (min_width, min_height, min_derivative, clip, end, exponential) = match spec.knots {
            Knots::Softmax { min_width, min_height, min_derivative } => {
                let end = ((1.0 - min_derivative).exp() - 1.0).ln();
                (min_width, min_height, min_derivative, 0.0, end, false)
            }
            Knots::SoftClip { slope } => (0.0, 0.0, 0.0, 1.0 / slope.ln(), 0.0, true),
        };
        let params = spec.parameters();
        Self {
            constants: Constants {
                low: T::of(low),
                high: T::of(high),
                min_width: T::of(min_width),
                min_height: T::of(min_height),
                min_derivative: T::of(min_derivative),
                clip_size: T::of(2.0 * clip),
                clip_derivative: T::of(clip),
                end: T::of(end),
                exponential,
            },
            bins: spec.bins,
            tails: spec.tails,
            params,
            raw: vec![fill(T::ZERO); params],
            widths: vec![fill(T::ZERO); spec.bins],
            heights: vec![fill(T::ZERO); spec.bins],
        }
    }

    /// Value and log-derivative for the elements of `x`; `params` holds their parameters in order.
    #[inline(always)]
    pub(crate) fn forward(
        &mut self,
        x: &[T],
        params: &[T],
        inverse: bool,
        value: &mut [T],
        log: &mut [T],
    ) {
        for begin in (0..x.len()).step_by(LANES) {
            let n = LANES.min(x.len() - begin);
            let v = each(|l| x[begin + l.min(n - 1)]);
            self.load(&params[begin * self.params..], n);
            let (out, log_derivative) = self.evaluate(&v, inverse);
            value[begin..begin + n].copy_from_slice(&out[..n]);
            log[begin..begin + n].copy_from_slice(&log_derivative[..n]);
        }
    }

    /// Gradients for the elements of one range, given `x` (the data side for either direction).
    ///
    /// `grad_log` holds the cotangent of each element's log-derivative; `grad_out` that of the value.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the slices of one pass")]
    pub(crate) fn backward(
        &mut self,
        x: &[T],
        params: &[T],
        inverse: bool,
        grad_out: &[T],
        grad_log: &[T],
        grad_x: &mut [T],
        grad_params: &mut [T],
    ) {
        for begin in (0..x.len()).step_by(LANES) {
            let n = LANES.min(x.len() - begin);
            let at = |slice: &[T]| each(|l| slice[begin + l.min(n - 1)]);
            let (v, gy, gl) = (at(x), at(grad_out), at(grad_log));
            self.load(&params[begin * self.params..], n);
            let gx = self.adjoint(&v, inverse, &gy, &gl);
            grad_x[begin..begin + n].copy_from_slice(&gx[..n]);
            let rows = &mut grad_params[begin * self.params..(begin + n) * self.params];
            for (l, row) in rows.chunks_exact_mut(self.params).enumerate() {
                for (g, lanes) in row.iter_mut().zip(&self.raw) {
                    *g = lanes[l];
                }
            }
        }
    }

    /// Transposes the parameters of `n` elements into `raw`; lanes beyond repeat the last one.
    #[inline(always)]
    fn load(&mut self, params: &[T], n: usize) {
        for l in 0..LANES {
            let from = l.min(n - 1) * self.params;
            let row = &params[from..from + self.params];
            for (lanes, &p) in self.raw.iter_mut().zip(row) {
                lanes[l] = p;
            }
        }
        self.sizes();
    }

    /// The bins' sizes from the raw parameters.
    #[inline(always)]
    fn sizes(&mut self) {
        softmax(&self.raw[..self.bins], self.constants.clip_size, &mut self.widths);
        softmax(&self.raw[self.bins..2 * self.bins], self.constants.clip_size, &mut self.heights);
    }

    /// The raw derivative at knot `k` of `0..=bins`, and the parameter that it comes from.
    #[inline(always)]
    fn knot(&self, k: usize) -> (Lanes<T>, Option<usize>) {
        let first = 2 * self.bins;
        let index = match self.tails {
            Tails::Linear if k == 0 || k == self.bins => return (fill(self.constants.end), None),
            Tails::Linear => first + k - 1,
            Tails::Bounded => first + k,
            Tails::Circular => first + k % self.bins,
        };
        (self.raw[index], Some(index))
    }

    #[inline(always)]
    fn find(&self, v: &Lanes<T>, inverse: bool) -> Bin<T> {
        let c = &self.constants;
        let (span, count) = (c.high - c.low, T::of(self.bins as f64));
        let free_width = T::ONE - c.min_width * count;
        let free_height = T::ONE - c.min_height * count;
        let (mut x, mut y) = (fill(c.low), fill(c.low));
        let (first, _) = self.knot(0);
        let mut bin = Bin {
            index: [0; LANES],
            width: fill(T::ONE),
            height: fill(T::ONE),
            x,
            y,
            raw0: first,
            raw1: first,
            d0: first,
            d1: first,
        };
        for k in 0..self.bins {
            let last = k + 1 == self.bins;
            let (raw0, raw1) = (self.knot(k).0, self.knot(k + 1).0);
            for l in 0..LANES {
                let full_w = span * (c.min_width + free_width * self.widths[k][l]);
                let full_h = span * (c.min_height + free_height * self.heights[k][l]);
                // The last bin ends at the interval's end, whatever the sum has lost to rounding.
                let w = if last { c.high - x[l] } else { full_w };
                let h = if last { c.high - y[l] } else { full_h };
                let start = if inverse { y[l] } else { x[l] };
                let here = k == 0 || v[l] >= start;
                bin.index[l] = if here { k as u32 } else { bin.index[l] };
                bin.x[l] = if here { x[l] } else { bin.x[l] };
                bin.y[l] = if here { y[l] } else { bin.y[l] };
                bin.width[l] = if here { w } else { bin.width[l] };
                bin.height[l] = if here { h } else { bin.height[l] };
                bin.raw0[l] = if here { raw0[l] } else { bin.raw0[l] };
                bin.raw1[l] = if here { raw1[l] } else { bin.raw1[l] };
                x[l] += full_w;
                y[l] += full_h;
            }
        }
        bin.d0 = self.derivative(&bin.raw0);
        bin.d1 = self.derivative(&bin.raw1);
        bin
    }

    #[inline(always)]
    fn derivative(&self, raw: &Lanes<T>) -> Lanes<T> {
        let c = &self.constants;
        if c.exponential {
            each(|l| (raw[l] / (T::ONE + (raw[l] * c.clip_derivative).abs())).exp())
        } else {
            each(|l| c.min_derivative + raw[l].softplus())
        }
    }

    /// The slope of [`Self::derivative`], given also its value.
    #[inline(always)]
    fn derivative_slope(&self, raw: T, value: T) -> T {
        let c = &self.constants;
        if c.exponential {
            let clip = T::ONE + (raw * c.clip_derivative).abs();
            value / (clip * clip)
        } else {
            raw.sigmoid()
        }
    }

    #[inline(always)]
    fn clamp(&self, v: &Lanes<T>) -> Lanes<T> {
        let c = &self.constants;
        each(|l| {
            if v[l] < c.low {
                c.low
            } else if v[l] > c.high {
                c.high
            } else {
                v[l]
            }
        })
    }

    #[inline(always)]
    fn inside(&self, v: T) -> bool {
        v >= self.constants.low && v <= self.constants.high
    }

    #[inline(always)]
    fn evaluate(&self, v: &Lanes<T>, inverse: bool) -> (Lanes<T>, Lanes<T>) {
        let clamped = self.clamp(v);
        let bin = self.find(&clamped, inverse);
        let two = T::of(2.0);
        let (mut value, mut log) = (fill(T::ZERO), fill(T::ZERO));
        for l in 0..LANES {
            let (w, h, d0, d1) = (bin.width[l], bin.height[l], bin.d0[l], bin.d1[l]);
            let s = h / w;
            let sum = d0 + d1 - two * s;
            let theta = if inverse {
                // eqs. 6–8: the root of aθ² + bθ + c in [0, 1], in its stable form.
                let rise = clamped[l] - bin.y[l];
                let a = h * (s - d0) + rise * sum;
                let b = h * d0 - rise * sum;
                let c = -(s * rise);
                let square = b * b - T::of(4.0) * a * c;
                let root = if square > T::ZERO { square.sqrt() } else { square * T::ZERO };
                two * c / (-b - root)
            } else {
                (clamped[l] - bin.x[l]) / w
            };
            let theta = if theta > T::ONE { T::ONE } else { theta };
            let rest = T::ONE - theta;
            let t = theta * rest;
            let den = s + sum * t;
            let q = d1 * theta * theta + two * s * t + d0 * rest * rest;
            let ratio = s / den;
            let log_derivative = (q * ratio * ratio).ln();
            let inside = self.inside(v[l]);
            let out = if inverse {
                bin.x[l] + theta * w
            } else {
                bin.y[l] + h * (s * theta * theta + d0 * t) / den
            };
            // Rounding must not push an end of the interval out of it.
            let out = if out > self.constants.high { self.constants.high } else { out };
            let out = if out < self.constants.low { self.constants.low } else { out };
            value[l] = if inside { out } else { v[l] };
            let signed = if inverse { -log_derivative } else { log_derivative };
            log[l] = if inside { signed } else { T::ZERO };
        }
        (value, log)
    }

    /// Returns the gradient for the op's input and leaves those of the raw parameters in `raw`.
    ///
    /// For the inverse `x = g(y; φ)`, the implicit function theorem gives `∂x/∂y = 1/f'` and
    /// `∂x/∂φ = −f_φ/f'`, so that one adjoint of the forward map serves both directions.
    #[inline(always)]
    fn adjoint(&mut self, x: &Lanes<T>, inverse: bool, gy: &Lanes<T>, gl: &Lanes<T>) -> Lanes<T> {
        let clamped = self.clamp(x);
        let bin = self.find(&clamped, false);
        let two = T::of(2.0);
        let mut gx = fill(T::ZERO);
        // Cotangents of the bin's own quantities.
        let (mut g_w, mut g_h, mut g_xk, mut g_yk) =
            (fill(T::ZERO), fill(T::ZERO), fill(T::ZERO), fill(T::ZERO));
        let (mut g_d0, mut g_d1) = (fill(T::ZERO), fill(T::ZERO));
        for l in 0..LANES {
            let (w, h, d0, d1) = (bin.width[l], bin.height[l], bin.d0[l], bin.d1[l]);
            let s = h / w;
            let sum = d0 + d1 - two * s;
            let theta = (clamped[l] - bin.x[l]) / w;
            let theta = if theta > T::ONE { T::ONE } else { theta };
            let rest = T::ONE - theta;
            let t = theta * rest;
            let turn = T::ONE - two * theta;
            let num = s * theta * theta + d0 * t;
            let den = s + sum * t;
            let q = d1 * theta * theta + two * s * t + d0 * rest * rest;
            let num_theta = two * s * theta + d0 * turn;
            let den_theta = sum * turn;
            let q_theta = two * (d1 * theta + s * turn - d0 * rest);
            let slope = s * s * q / (den * den);
            let log_x = (q_theta / q - two * den_theta / den) / w;
            let through = (gy[l] - gl[l] * log_x) / slope;
            let (gf, g_log) = if inverse { (-through, -gl[l]) } else { (gy[l], gl[l]) };

            let g_num = gf * h / den;
            let g_den = -(g_num * num + two * g_log) / den;
            let g_q = g_log / q;
            let g_s = g_num * theta * theta
                + g_den * (T::ONE - two * t)
                + g_q * two * t
                + two * g_log / s;
            let g_theta = g_num * num_theta + g_den * den_theta + g_q * q_theta;
            let inside = self.inside(x[l]);
            let keep = |value: T| if inside { value } else { T::ZERO };
            g_yk[l] = keep(gf);
            g_h[l] = keep(gf * num / den + g_s / w);
            g_xk[l] = keep(-(g_theta / w));
            g_w[l] = keep(-((g_s * s + g_theta * theta) / w));
            g_d0[l] = keep(g_num * t + g_den * t + g_q * rest * rest);
            g_d1[l] = keep(g_den * t + g_q * theta * theta);
            let g_input = if inverse { through } else { g_theta / w };
            gx[l] = if inside { g_input } else { gy[l] };
        }
        let slope0 = each(|l| g_d0[l] * self.derivative_slope(bin.raw0[l], bin.d0[l]));
        let slope1 = each(|l| g_d1[l] * self.derivative_slope(bin.raw1[l], bin.d1[l]));
        self.scatter_derivatives(&bin.index, &slope0, &slope1);
        let c = self.constants;
        let (span, count) = (c.high - c.low, T::of(self.bins as f64));
        let scale_w = span * (T::ONE - c.min_width * count);
        let scale_h = span * (T::ONE - c.min_height * count);
        let bins = self.bins;
        let (raw_w, rest) = self.raw.split_at_mut(bins);
        softmax_adjoint(raw_w, &self.widths, c.clip_size, scale_w, &bin.index, &g_xk, &g_w);
        softmax_adjoint(
            &mut rest[..bins],
            &self.heights,
            c.clip_size,
            scale_h,
            &bin.index,
            &g_yk,
            &g_h,
        );
        gx
    }

    /// Writes the derivatives' gradients over their raw values.
    #[inline(always)]
    fn scatter_derivatives(&mut self, index: &[u32; LANES], slope0: &Lanes<T>, slope1: &Lanes<T>) {
        for lanes in &mut self.raw[2 * self.bins..] {
            *lanes = fill(T::ZERO);
        }
        for k in 0..=self.bins {
            let Some(param) = self.knot(k).1 else {
                continue;
            };
            let lanes = &mut self.raw[param];
            for l in 0..LANES {
                let at = index[l] as usize;
                let left = if at == k { slope0[l] } else { T::ZERO };
                let right = if at + 1 == k { slope1[l] } else { T::ZERO };
                lanes[l] += left + right;
            }
        }
    }
}

impl<T: Real> TileMap<T> for Kernel<T> {
    #[inline(always)]
    fn invert(&mut self, z: &mut Tile<T>, params: &[Tile<T>], log: &mut Tile<T>) {
        for begin in (0..TILE).step_by(LANES) {
            for (lanes, tile) in self.raw.iter_mut().zip(params) {
                lanes.copy_from_slice(&tile[begin..begin + LANES]);
            }
            self.sizes();
            let (value, log_derivative) = self.evaluate(&each(|l| z[begin + l]), true);
            z[begin..begin + LANES].copy_from_slice(&value);
            for l in 0..LANES {
                log[begin + l] += log_derivative[l];
            }
        }
    }
}
