//! Explicit Runge–Kutta methods: one constant each.
//!
//! A method with `s` stages makes from `y` at `t` with a step `h`
//! `kᵢ = f(t + cᵢ h, y + h Σ_{j<i} aᵢⱼ kⱼ)` and `y₁ = y + h Σ bᵢ kᵢ`; the error estimate is
//! `h Σ eᵢ kᵢ` with `e = b − b̂` (Hairer, Nørsett and Wanner, "Solving Ordinary Differential
//! Equations I", sec. II.1–II.6).

mod dop853;
mod dopri8;
mod fifth;
mod low;

pub use dop853::DOP853;
pub use dopri8::DOPRI8;
pub use fifth::{DOPRI5, FEHLBERG45, TSIT5};
pub use low::{BOSH3, EULER, HEUN, MIDPOINT, RALSTON, RK4, RK4_38};

/// An explicit Runge–Kutta method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tableau {
    /// Its name in configurations.
    pub name: &'static str,
    /// Order of the solution that is advanced.
    pub order: u32,
    /// Times `c` of the stages, the first being 0.
    pub nodes: &'static [f64],
    /// Rows `aᵢ` of the second and later stages; the row of stage `i` has `i` numbers.
    pub matrix: &'static [&'static [f64]],
    /// Weights `b` of the solution. Where they are the last row of the matrix, the last slope is the
    /// first one of the next step.
    pub weights: &'static [f64],
    /// How the error is estimated.
    pub error: Estimate,
    /// How the solution is evaluated inside a step.
    pub dense: Dense,
}

/// The error estimate of a method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Estimate {
    /// None: the method makes fixed steps only.
    None,
    /// `h Σ eᵢ kᵢ`, of the given order as a function of `h` (the lower order of the pair plus one).
    Embedded {
        /// `e = b − b̂`.
        weights: &'static [f64],
        /// The power of `h` to which the estimate is proportional.
        power: u32,
    },
    /// Of two estimates `u = h Σ eᵢ kᵢ` and `v = h Σ ẽᵢ kᵢ`, elementwise `u |u| / √(u² + v²/100)`,
    /// which is of the order of a method one higher than `u` alone.
    Paired {
        /// Weights of `u`.
        fine: &'static [f64],
        /// Weights of `v`.
        coarse: &'static [f64],
        /// The power of `h` to which the estimate is proportional.
        power: u32,
    },
}

/// How the solution at `t + θ h` is found: `y + h Σ wᵢ(θ) kᵢ`, possibly with further stages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Dense {
    /// The cubic through both ends with their slopes: error `O(h⁴)`.
    Hermite,
    /// `wᵢ(θ) = Σₘ pᵢₘ θᵐ`, `m = 1, 2, …`.
    Polynomial(&'static [&'static [f64]]),
    /// Further stages, and a polynomial of degree 7 in nested form (see [`DOP853`]).
    Nested {
        /// Times of the further stages.
        nodes: &'static [f64],
        /// Their rows, over all stages so far and the slope at the end.
        matrix: &'static [&'static [f64]],
        /// Weights of the upper four coefficients, over all stages.
        upper: &'static [&'static [f64]],
    },
    /// One more step of the method, of size `θ h`: as accurate as the method, at its full cost for
    /// each time.
    Restep,
}

impl Tableau {
    /// Number of stages.
    #[must_use]
    pub const fn stages(&self) -> usize {
        self.nodes.len()
    }

    /// Whether the last slope is that at the end of the step ("first same as last").
    #[must_use]
    pub fn is_fsal(&self) -> bool {
        let Some(last) = self.matrix.last() else { return false };
        let used = self.weights.len().min(last.len());
        self.nodes.last() == Some(&1.0)
            && last[..used] == self.weights[..used]
            && self.weights[used..].iter().all(|b| *b == 0.0)
    }

    /// Weights `wᵢ(θ)` of the dense output, over the stages, the slope at the end where it is none of
    /// them, and the further stages. `None` for [`Dense::Restep`].
    #[must_use]
    pub fn dense_weights(&self, theta: f64) -> Option<Vec<f64>> {
        let s = self.stages();
        let end = if self.is_fsal() { s - 1 } else { s };
        match self.dense {
            Dense::Restep => None,
            Dense::Polynomial(rows) => {
                let horner = |row: &&[f64]| row.iter().rev().fold(0.0, |w, p| (w + p) * theta);
                Some(rows.iter().map(horner).collect())
            }
            Dense::Hermite => {
                let mut w = vec![0.0; end + 1];
                let smooth = theta * theta * (3.0 - 2.0 * theta);
                self.weights.iter().zip(&mut w).for_each(|(b, w)| *w = smooth * b);
                w[0] += theta * (1.0 - theta) * (1.0 - theta);
                w[end] -= theta * theta * (1.0 - theta);
                Some(w)
            }
            Dense::Nested { nodes, upper, .. } => {
                // y(θ) − y = θ (F₀ + θ̄ (F₁ + θ (F₂ + θ̄ (F₃ + θ (F₄ + θ̄ (F₅ + θ F₆)))))), θ̄ = 1 − θ,
                // F₀ = Δ, F₁ = h k₁ − Δ, F₂ = 2Δ − h (k₁ + k_end), Δ = h Σ bᵢ kᵢ.
                let rest = 1.0 - theta;
                let weight = |i: usize| {
                    let b = self.weights.get(i).copied().unwrap_or(0.0);
                    let first = if i == 0 { 1.0 } else { 0.0 };
                    let last = if i == end { 1.0 } else { 0.0 };
                    let of = |m: usize| upper[m].get(i).copied().unwrap_or(0.0);
                    let inner = of(0) + theta * (of(1) + rest * (of(2) + theta * of(3)));
                    let inner = 2.0 * b - first - last + rest * inner;
                    theta * (b + rest * (first - b + theta * inner))
                };
                Some((0..=end + nodes.len()).map(weight).collect())
            }
        }
    }
}
