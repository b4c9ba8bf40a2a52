//! Mixtures of logistics: logarithms of both tails and of the density, and their adjoint, for
//! [`LANES`] points at a time.

use super::real::Real;
use super::spline::{LANES, Lanes, each, fill};

/// The logarithms at some points.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logs<T> {
    pub(crate) below: Lanes<T>,
    pub(crate) above: Lanes<T>,
    pub(crate) density: Lanes<T>,
}

/// Working memory of one thread: one row of lanes for each number of a component.
#[derive(Debug)]
pub(crate) struct Kernel<T> {
    /// Logits of weights, locations and log-scales; in the end, their gradients.
    raw: Vec<Lanes<T>>,
    /// `(x − m) e^{−a}`, and `e^{−a}`.
    unit: Vec<Lanes<T>>,
    rate: Vec<Lanes<T>>,
    log_weight: Vec<Lanes<T>>,
    below: Vec<Lanes<T>>,
    above: Vec<Lanes<T>>,
    density: Vec<Lanes<T>>,
}

impl<T: Real> Kernel<T> {
    pub(crate) fn new(components: usize) -> Self {
        let rows = |n: usize| vec![fill(T::ZERO); n];
        Self {
            raw: rows(3 * components),
            unit: rows(components),
            rate: rows(components),
            log_weight: rows(components),
            below: rows(components),
            above: rows(components),
            density: rows(components),
        }
    }

    /// The logarithms at up to [`LANES`] points with parameters `params`, point by point.
    #[inline(always)]
    pub(crate) fn logs(&mut self, x: &[T], params: &[T]) -> Logs<T> {
        self.load(params, x.len());
        let x = spread(x);
        self.evaluate(&x)
    }

    /// The gradient by the points, and by their parameters into `out`, given those of the logarithms.
    #[inline(always)]
    pub(crate) fn adjoint(
        &mut self,
        x: &[T],
        params: &[T],
        grad: [&[T]; 3],
        out: &mut [T],
    ) -> Lanes<T> {
        self.load(params, x.len());
        let points = spread(x);
        let logs = self.evaluate(&points);
        let [g_below, g_above, g_density] = grad.map(spread);
        let sum = each(|l| g_below[l] + g_above[l] + g_density[l]);
        let k = self.unit.len();
        let mut grad_x = fill(T::ZERO);
        for i in 0..k {
            let share = |row: &Lanes<T>, total: &Lanes<T>, grad: &Lanes<T>| {
                let row = *row;
                each(|l| grad[l] * (row[l] - total[l]).exp())
            };
            // Shares of the component in each sum, times the gradient of that sum.
            let below = share(&self.below[i], &logs.below, &g_below);
            let above = share(&self.above[i], &logs.above, &g_above);
            let density = share(&self.density[i], &logs.density, &g_density);
            let (unit, rate, log_weight) = (self.unit[i], self.rate[i], self.log_weight[i]);
            let p = each(|l| unit[l].sigmoid());
            let by_unit = each(|l| {
                let q = T::ONE - p[l];
                below[l] * q - above[l] * p[l] + density[l] * (q - p[l])
            });
            let by_x = each(|l| by_unit[l] * rate[l]);
            let weight = each(|l| log_weight[l].exp());
            self.raw[i] = each(|l| below[l] + above[l] + density[l] - weight[l] * sum[l]);
            self.raw[k + i] = each(|l| -by_x[l]);
            self.raw[2 * k + i] = each(|l| -by_unit[l] * unit[l] - density[l]);
            grad_x = each(|l| grad_x[l] + by_x[l]);
        }
        let width = self.raw.len();
        for (l, out) in out.chunks_exact_mut(width).take(x.len()).enumerate() {
            for (out, row) in out.iter_mut().zip(&self.raw) {
                *out = row[l];
            }
        }
        grad_x
    }

    /// Transposes the parameters of `points` points; lanes beyond repeat the last one.
    #[inline(always)]
    fn load(&mut self, params: &[T], points: usize) {
        let width = self.raw.len();
        for l in 0..LANES {
            let from = l.min(points - 1) * width;
            for (row, &value) in self.raw.iter_mut().zip(&params[from..from + width]) {
                row[l] = value;
            }
        }
    }

    #[inline(always)]
    fn evaluate(&mut self, x: &Lanes<T>) -> Logs<T> {
        let k = self.unit.len();
        let total = log_sum_exp(&self.raw[..k]);
        for i in 0..k {
            // Copies of whole rows first: the compiler vectorises what cannot alias.
            let (logit, location, scale) = (self.raw[i], self.raw[k + i], self.raw[2 * k + i]);
            let log_weight = each(|l| logit[l] - total[l]);
            let rate = each(|l| (-scale[l]).exp());
            let unit = each(|l| (x[l] - location[l]) * rate[l]);
            let tail = each(|l| (T::ONE + (-unit[l].abs()).exp()).ln());
            let positive = each(|l| if unit[l] > T::ZERO { unit[l] } else { T::ZERO });
            let below = each(|l| unit[l] - positive[l] - tail[l]);
            let above = each(|l| -positive[l] - tail[l]);
            self.density[i] = each(|l| log_weight[l] + below[l] + above[l] - scale[l]);
            self.below[i] = each(|l| log_weight[l] + below[l]);
            self.above[i] = each(|l| log_weight[l] + above[l]);
            self.rate[i] = rate;
            self.unit[i] = unit;
            self.log_weight[i] = log_weight;
        }
        Logs {
            below: log_sum_exp(&self.below),
            above: log_sum_exp(&self.above),
            density: log_sum_exp(&self.density),
        }
    }
}

/// Up to [`LANES`] numbers; lanes beyond repeat the last one.
#[inline(always)]
fn spread<T: Real>(values: &[T]) -> Lanes<T> {
    each(|l| values[l.min(values.len() - 1)])
}

#[inline(always)]
fn log_sum_exp<T: Real>(rows: &[Lanes<T>]) -> Lanes<T> {
    let mut largest = rows[0];
    for row in rows {
        largest = each(|l| if row[l] > largest[l] { row[l] } else { largest[l] });
    }
    let mut sum = fill(T::ZERO);
    for row in rows {
        sum = each(|l| sum[l] + (row[l] - largest[l]).exp());
    }
    each(|l| largest[l] + sum[l].ln())
}
