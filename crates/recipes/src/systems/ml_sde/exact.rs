//! Terminal variances for Gaussian data with the exact score, by their recursion.

use crate::systems::Check;
use maxlik_ode::sde::{DataVariance, VoiceSde, VoiceStep};

/// Variances at the end by Euler–Maruyama, probability flow and ML with its code's noise, for data of
/// variance 0.25, at so many steps.
const TABLE: [(usize, [f64; 3]); 6] = [
    (2, [91.957_85, 0.703_41, 0.005_24]),
    (6, [0.562_58, 0.238_92, 0.076_42]),
    (10, [0.323_00, 0.234_36, 0.111_68]),
    (30, [0.263_96, 0.242_65, 0.174_95]),
    (100, [0.253_56, 0.247_57, 0.219_37]),
    (1000, [0.250_33, 0.249_75, 0.246_19]),
];
/// Variance of the data of the table.
const DATA: f64 = 0.25;

/// Variance of the data given the state at `t`, for data of variance `data`.
fn posterior_variance(sde: &VoiceSde, data: f64, t: f64) -> f64 {
    let [kept, _, noise] = sde.marginal(t);
    data * noise * noise / (kept * kept * data + noise * noise)
}

/// Variance after `steps` steps from variance 1 at time 1: a step with the score
/// `−(X − X̄)/(γ² d + 1 − γ²)` multiplies `X − X̄` by a number and adds noise.
fn terminal(data: f64, steps: usize, step: VoiceStep<'_>) -> f64 {
    let sde = VoiceSde::default();
    let h = 1.0 / steps as f64;
    (0..steps).fold(1.0, |variance, i| {
        let t = 1.0 - i as f64 * h;
        let [kept, _, noise] = sde.marginal(t);
        let found = sde.coefficients(t, h, step);
        let rate = sde.beta(t) * h;
        let score = -1.0 / (kept * kept * data + noise * noise);
        let factor = 1.0 + rate * (0.5 + found.omega + (1.0 + found.kappa) * score);
        factor * factor * variance + found.spread * found.spread
    })
}

pub(super) fn checks() -> Vec<Check> {
    let sde = VoiceSde::default();
    let steps = [
        VoiceStep::EulerMaruyama,
        VoiceStep::ProbabilityFlow,
        VoiceStep::MaximumLikelihood(DataVariance::Ignored),
    ];
    let worst = |rows: &[(usize, [f64; 3])], data: f64| {
        rows.iter()
            .flat_map(|(count, wanted)| {
                steps
                    .iter()
                    .zip(wanted)
                    .map(|(&step, wanted)| (terminal(data, *count, step) - wanted).abs())
            })
            .fold(0.0, f64::max)
    };
    let optimal = |data: f64, count: usize| {
        let known = |t: f64| posterior_variance(&sde, data, t);
        terminal(data, count, VoiceStep::MaximumLikelihood(DataVariance::Known(&known)))
    };
    let optimal_worst = [DATA, 0.04]
        .into_iter()
        .flat_map(|data| TABLE.iter().map(move |(count, _)| (data, *count)))
        .map(|(data, count)| (optimal(data, count) - data).abs())
        .fold(0.0, f64::max);
    let narrow = [(10, [0.272_40, 0.023_71, 0.008_93])];
    vec![
        Check::at_most(
            "terminal variances of three steps at 2 to 1000 steps, largest distance from the table",
            "at most 1e-5",
            worst(&TABLE, DATA).max(worst(&narrow, 0.04)),
            1e-5,
        ),
        Check::at_most(
            "the ML step with the data's variance, 2 to 1000 steps, error of the variance",
            "at most 1e-9 (exact)",
            optimal_worst,
            1e-9,
        )
        .beside("Euler–Maruyama at 10 steps", terminal(DATA, 10, steps[0]) - DATA),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_holds() {
        for check in super::checks() {
            assert!(check.pass, "{check:?}");
        }
    }
}
