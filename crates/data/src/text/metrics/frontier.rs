//! MAUVE's divergence frontier.

use crate::error::{Error, Result};
use std::collections::HashMap;
use std::hash::Hash;

/// Two histograms over the same bins, each with sum one.
#[derive(Debug, Clone, PartialEq)]
pub struct Histograms {
    p: Vec<f64>,
    q: Vec<f64>,
}

impl Histograms {
    /// From masses or counts over the same bins, which are normalised.
    ///
    /// # Errors
    /// [`Error::Shape`] for different numbers of bins; [`Error::Config`] for a mass that is negative or
    /// not finite, or a sum of zero.
    pub fn new(p: &[f64], q: &[f64]) -> Result<Self> {
        if p.len() != q.len() {
            let got = q.len().to_string();
            return Err(Error::shape("q", format!("{} bins", p.len()), got));
        }
        Ok(Self { p: normalized("p", p)?, q: normalized("q", q)? })
    }

    /// From items, such as the clusters of texts, or n-grams: one bin for each that occurs.
    ///
    /// # Errors
    /// [`Error::Config`] where one side has no items.
    pub fn of_items<T: Hash + Eq>(
        p: impl IntoIterator<Item = T>,
        q: impl IntoIterator<Item = T>,
    ) -> Result<Self> {
        let mut bins: HashMap<T, usize> = HashMap::new();
        let mut counts = [Vec::new(), Vec::new()];
        let items = p.into_iter().map(|item| (0, item)).chain(q.into_iter().map(|item| (1, item)));
        for (side, item) in items {
            let next = bins.len();
            let bin = *bins.entry(item).or_insert(next);
            for side in &mut counts {
                side.resize(bins.len(), 0.0);
            }
            counts[side][bin] += 1.0;
        }
        Self::new(&counts[0], &counts[1])
    }
}

fn normalized(name: &str, masses: &[f64]) -> Result<Vec<f64>> {
    if let Some(mass) = masses.iter().find(|mass| !(mass.is_finite() && **mass >= 0.0)) {
        let why = format!("expected finite masses from 0 on, got {mass}");
        return Err(Error::config(name, why));
    }
    let sum: f64 = masses.iter().sum();
    if sum == 0.0 {
        return Err(Error::config(name, "expected a positive sum, got 0"));
    }
    Ok(masses.iter().map(|mass| mass / sum).collect())
}

/// A point of the frontier: what a mixture `R` costs both sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrontierPoint {
    /// Weight of `p` in the mixture.
    pub weight: f64,
    /// `KL(q ‖ r)` in nats: `q` puts mass where `p` does not.
    pub q_to_mixture: f64,
    /// `KL(p ‖ r)` in nats: `q` misses mass of `p`.
    pub p_to_mixture: f64,
}

/// The divergence frontier between the distribution `p` of people's text and `q` of a model's
/// (Pillutla et al. 2021, arXiv:2102.01454): for mixtures `r_w = w p + (1 − w) q` the points
/// `(exp(−c KL(q‖r_w)), exp(−c KL(p‖r_w)))`, and the area under them.
///
/// The paper takes clusters of a large model's features as bins. What the bins are is the caller's
/// choice here, so areas compare only for the same bins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frontier {
    /// Scaling `c`.
    pub scaling: f64,
    /// Number of mixtures.
    pub mixtures: usize,
}

impl Default for Frontier {
    /// The paper's: `c = 5` and 25 mixtures.
    fn default() -> Self {
        Self { scaling: 5.0, mixtures: 25 }
    }
}

impl Frontier {
    /// The frontier's points, with weights evenly from 10⁻⁶ to 1 − 10⁻⁶.
    ///
    /// # Errors
    /// [`Error::Config`] for fewer than two mixtures or a scaling that is not positive.
    pub fn points(&self, of: &Histograms) -> Result<Vec<FrontierPoint>> {
        if self.mixtures < 2 {
            let why = format!("expected at least 2, got {}", self.mixtures);
            return Err(Error::config("mixtures", why));
        }
        if !(self.scaling.is_finite() && self.scaling > 0.0) {
            let why = format!("expected a positive number, got {}", self.scaling);
            return Err(Error::config("scaling", why));
        }
        let edge = 1e-6;
        let step = (1.0 - 2.0 * edge) / (self.mixtures - 1) as f64;
        let weights = (0..self.mixtures).map(|i| edge + step * i as f64);
        Ok(weights
            .map(|weight| FrontierPoint {
                weight,
                q_to_mixture: to_mixture(&of.q, &of.p, weight),
                p_to_mixture: to_mixture(&of.p, &of.q, 1.0 - weight),
            })
            .collect())
    }

    /// The area under the frontier, MAUVE: 1 for equal histograms, near 0 for disjoint ones. By the
    /// trapezoid rule over the points and the corners (0, 1) and (1, 0).
    ///
    /// # Errors
    /// As [`Frontier::points`].
    pub fn area(&self, of: &Histograms) -> Result<f64> {
        let near = |divergence: f64| (-self.scaling * divergence).exp();
        let mut curve = vec![(1.0, 0.0)];
        let points = self.points(of)?;
        curve.extend(points.iter().map(|p| (near(p.q_to_mixture), near(p.p_to_mixture))));
        curve.push((0.0, 1.0));
        // From the mixture that is almost `q` to the one that is almost `p`, so x falls.
        let pairs = curve.windows(2);
        Ok(pairs.map(|pair| (pair[0].0 - pair[1].0) * (pair[0].1 + pair[1].1) / 2.0).sum())
    }

    /// The frontier integral (Liu et al. 2021, arXiv:2106.07898), which has neither a scaling nor a
    /// grid: `2 ∫₀¹ [w KL(p‖r_w) + (1 − w) KL(q‖r_w)] dw`, in 0 to 1:
    ///
    /// `Σ_i (p_i + q_i)/2 − p_i q_i ln(p_i/q_i) / (p_i − q_i)`
    #[must_use]
    pub fn integral(of: &Histograms) -> f64 {
        let each = |(p, q): (&f64, &f64)| {
            let mean = (p + q) / 2.0;
            if *p == 0.0 || *q == 0.0 { mean } else { mean - p * q / log_mean(*p, *q) }
        };
        of.p.iter().zip(&of.q).map(each).sum()
    }
}

/// `KL(a ‖ w b + (1 − w) a)` in nats.
fn to_mixture(a: &[f64], b: &[f64], w: f64) -> f64 {
    let each = |(a, b): (&f64, &f64)| {
        if *a == 0.0 { 0.0 } else { -a * (w * (b - a) / a).ln_1p() }
    };
    // Rounding must not make it negative, or the area would exceed one.
    a.iter().zip(b).map(each).sum::<f64>().max(0.0)
}

/// The logarithmic mean `(a − b) / ln(a/b)` of positive numbers, `a` where they are equal.
fn log_mean(a: f64, b: f64) -> f64 {
    let relative = (a - b) / b;
    if relative.abs() < 1e-5 {
        // ln(1 + x) / x = 1 − x/2 + x²/3 − …, where the quotient would lose digits.
        b / (1.0 - relative / 2.0 + relative * relative / 3.0)
    } else {
        (a - b) / relative.ln_1p()
    }
}
