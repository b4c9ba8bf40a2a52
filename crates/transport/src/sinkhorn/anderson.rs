//! Anderson's acceleration of a fixed-point iteration.

use std::collections::VecDeque;

use super::marginals::Marginals;

/// Differences that are remembered.
const MEMORY: usize = 8;

/// Mixes the last steps g ← g + r(g) of Sinkhorn's iteration so that the residual, as the last steps' changes
/// predict it, is least: g + r − Σ γ_k (Δg_k + Δr_k) with γ = argmin Σ_j b_j (r − Σ γ_k Δr_k)_j²
/// (Anderson 1965; Walker and Ni 2011). Near the solution it does what conjugate gradients do for linear systems:
/// hundreds of iterations become dozens, and no rate is to be known. Where the error grows, the best plain step
/// takes over.
#[derive(Debug)]
pub(super) struct Anderson {
    enabled: bool,
    /// Δg + Δr and Δr of the last steps.
    moves: VecDeque<(Vec<f64>, Vec<f64>)>,
    /// ⟨Δr_k, Δr_l⟩ with weights b.
    gram: VecDeque<VecDeque<f64>>,
    /// g and r of the last step.
    last: Option<(Vec<f64>, Vec<f64>)>,
    /// The least error, and where its plain step leads.
    best: (f64, Vec<f64>),
}

impl Anderson {
    pub(super) fn new(marginals: Marginals) -> Self {
        Self {
            enabled: marginals == Marginals::Balanced,
            moves: VecDeque::new(),
            gram: VecDeque::new(),
            last: None,
            best: (f64::INFINITY, Vec::new()),
        }
    }

    /// Replaces the potentials `g` by the next ones: `change` is the step that Sinkhorn's iteration would make, at
    /// whose start the error was `error`.
    pub(super) fn advance(&mut self, g: &mut [f64], change: Vec<f64>, weight: &[f64], error: f64) {
        /// The error, as a multiple of the least one, from which mixing starts anew.
        const WORSE: f64 = 3.0;
        if !self.enabled {
            g.iter_mut().zip(&change).for_each(|(g, r)| *g += r);
            return;
        }
        if error < self.best.0 {
            self.best.0 = error;
            self.best.1.clear();
            self.best.1.extend(g.iter().zip(&change).map(|(g, r)| g + r));
        } else if error.is_nan() || error > WORSE * self.best.0 {
            self.moves.clear();
            self.gram.clear();
            self.last = None;
            g.copy_from_slice(&self.best.1);
            return;
        }
        let before = g.to_vec();
        if let Some((last_g, last_r)) = self.last.take() {
            let residual: Vec<f64> = change.iter().zip(&last_r).map(|(r, l)| r - l).collect();
            let step = before.iter().zip(&last_g).zip(&residual);
            self.remember(step.map(|((g, l), d)| g - l + d).collect(), residual, weight);
        }
        g.iter_mut().zip(&change).for_each(|(g, r)| *g += r);
        for (gamma, (step, _)) in self.mixture(&change, weight).into_iter().zip(&self.moves) {
            g.iter_mut().zip(step).for_each(|(g, d)| *g -= gamma * d);
        }
        self.last = Some((before, change));
    }

    fn remember(&mut self, step: Vec<f64>, residual: Vec<f64>, weight: &[f64]) {
        if self.moves.len() == MEMORY {
            self.moves.pop_front();
            self.gram.pop_front();
            for row in &mut self.gram {
                row.pop_front();
            }
        }
        self.moves.push_back((step, residual));
        let Some((_, newest)) = self.moves.back() else { return };
        let products: VecDeque<f64> =
            self.moves.iter().map(|(_, other)| inner(newest, other, weight)).collect();
        for (row, product) in self.gram.iter_mut().zip(&products) {
            row.push_back(*product);
        }
        self.gram.push_back(products);
    }

    /// γ, by Cholesky's factors of the normal equations; none where they are singular.
    fn mixture(&self, change: &[f64], weight: &[f64]) -> Vec<f64> {
        /// Added to the diagonal, as a share of it.
        const RIDGE: f64 = 1e-10;
        let count = self.moves.len();
        let mut factor = vec![[0.0; MEMORY]; count];
        let mut gamma: Vec<f64> =
            self.moves.iter().map(|(_, residual)| inner(residual, change, weight)).collect();
        for i in 0..count {
            for j in 0..=i {
                let known: f64 = (0..j).map(|k| factor[i][k] * factor[j][k]).sum();
                let rest = self.gram[i][j] - known;
                factor[i][j] = if i == j {
                    let pivot = rest + RIDGE * self.gram[i][i];
                    if pivot.is_nan() || pivot <= 0.0 {
                        return Vec::new();
                    }
                    pivot.sqrt()
                } else {
                    rest / factor[j][j]
                };
            }
        }
        for i in 0..count {
            let known: f64 = (0..i).map(|k| factor[i][k] * gamma[k]).sum();
            gamma[i] = (gamma[i] - known) / factor[i][i];
        }
        for i in (0..count).rev() {
            let known: f64 = (i + 1..count).map(|k| factor[k][i] * gamma[k]).sum();
            gamma[i] = (gamma[i] - known) / factor[i][i];
        }
        gamma
    }
}

/// Σ_j w_j x_j y_j.
fn inner(x: &[f64], y: &[f64], weight: &[f64]) -> f64 {
    // Four sums: additions of one would wait for each other.
    let mut sums = [0.0; 4];
    let whole = x.len() / 4 * 4;
    for ((x, y), w) in x[..whole]
        .chunks_exact(4)
        .zip(y[..whole].chunks_exact(4))
        .zip(weight[..whole].chunks_exact(4))
    {
        for k in 0..4 {
            sums[k] += w[k] * x[k] * y[k];
        }
    }
    let rest: f64 = (whole..x.len()).map(|j| weight[j] * x[j] * y[j]).sum();
    sums.iter().sum::<f64>() + rest
}
