//! What the marginals of an entropic plan must be, as a rule for the potentials.

/// Constraint on the marginals of a plan P with masses a and b.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Marginals {
    /// P 1 = a and Pᵀ 1 = b.
    #[default]
    Balanced,
    /// Penalties ρ_source KL(P 1 | a) + ρ_target KL(Pᵀ 1 | b) in place of the constraints
    /// (Chizat et al. 2018); infinity is the constraint itself. Masses need not agree.
    Unbalanced {
        /// ρ_source > 0, in units of cost.
        source: f64,
        /// ρ_target > 0, in units of cost.
        target: f64,
    },
    /// P 1 ≤ a, Pᵀ 1 ≤ b, and total mass as given: the cheapest part is transported.
    Partial {
        /// Mass to transport, at most the smaller total.
        mass: f64,
    },
}

/// A side of the problem.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Source,
    Target,
}

impl Marginals {
    /// The best potential of a point where `softmin` = −ε ln Σ (mass · exp((other potential − cost)/ε))
    /// over the other side; for a partial plan the shift τ is part of the other potential.
    pub(super) fn potential(self, side: Side, softmin: f64, epsilon: f64) -> f64 {
        match (self, side) {
            (Self::Balanced, _) => softmin,
            (Self::Unbalanced { source: rho, .. }, Side::Source)
            | (Self::Unbalanced { target: rho, .. }, Side::Target) => {
                if rho.is_finite() {
                    softmin * rho / (rho + epsilon)
                } else {
                    softmin
                }
            }
            (Self::Partial { .. }, _) => softmin.min(0.0),
        }
    }
}

/// Potentials: P_ij = a_i b_j exp((f_i + g_j + τ − c_ij) / ε).
#[derive(Clone, Debug)]
pub(super) struct Duals {
    pub(super) source: Vec<f64>,
    pub(super) target: Vec<f64>,
    /// τ, not zero for partial plans only.
    pub(super) shift: f64,
}
