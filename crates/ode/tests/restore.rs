//! The maximum-likelihood solver of voice conversion, and the mean-reverting SDE of images.

use crate::problems::ones;
use crate::{distance, normal, slope};
use maxlik_ode::diffusion::TimeScore;
use maxlik_ode::sde::{DataVariance, ImageStep, MeanReverting, VoiceSde, VoiceStep, posterior};
use maxlik_tensor::Result;
use proptest::prelude::*;
use tch::Tensor;

const SDE: VoiceSde = VoiceSde { beta_min: 0.05, beta_max: 20.0 };

/// `γ(0, t)²`.
fn kept(t: f64) -> f64 {
    (2.0 * SDE.log_decay(0.0, t)).exp()
}

/// Variance at the end for data `N(X̄, d2)` with the exact score, from variance 1, by one step of the
/// solver on a state and on noise alone.
fn terminal_variance(
    steps: usize,
    d2: f64,
    step: &dyn Fn(f64) -> VoiceStep<'static>,
    unknown: bool,
) -> f64 {
    let h = 1.0 / steps as f64;
    let zero = ones(1, 1) * 0.0;
    (0..steps).fold(1.0, |variance, i| {
        let t = 1.0 - i as f64 * h;
        let total = kept(t) * d2 + 1.0 - kept(t);
        let rest = move |t: f64| d2 * (1.0 - kept(t)) / (kept(t) * d2 + 1.0 - kept(t));
        let mode = if unknown {
            VoiceStep::MaximumLikelihood(DataVariance::Known(&rest))
        } else {
            step(t)
        };
        let run = |x: &Tensor, noise: &Tensor| {
            let end = SDE.step(x, &zero, &(-x / total), noise, (t, h, mode)).unwrap();
            end.double_value(&[0, 0])
        };
        let (factor, spread) = (run(&ones(1, 1), &zero), run(&zero, &ones(1, 1)));
        factor * factor * variance + spread * spread
    })
}

/// The table of the specification, computed there in another language.
#[test]
fn terminal_variances_match_the_table() {
    let table = [
        (2, [91.957_85, 0.703_41, 0.005_24]),
        (6, [0.562_58, 0.238_92, 0.076_42]),
        (10, [0.323_00, 0.234_36, 0.111_68]),
        (30, [0.263_96, 0.242_65, 0.174_95]),
        (100, [0.253_56, 0.247_57, 0.219_37]),
        (1000, [0.250_33, 0.249_75, 0.246_19]),
    ];
    let modes: [&dyn Fn(f64) -> VoiceStep<'static>; 3] =
        [&|_| VoiceStep::EulerMaruyama, &|_| VoiceStep::ProbabilityFlow, &|_| {
            VoiceStep::MaximumLikelihood(DataVariance::Ignored)
        }];
    for (steps, wanted) in table {
        for (mode, wanted) in modes.iter().zip(wanted) {
            let found = terminal_variance(steps, 0.25, mode, false);
            assert!((found - wanted).abs() < 1e-5, "{steps} steps: {found}, not {wanted}");
        }
        // With the variance of the data the step is exact, however large.
        let exact = terminal_variance(steps, 0.25, modes[0], true);
        assert!((exact - 0.25).abs() < 1e-9, "{steps} steps: {exact}");
    }
    let ten = modes.map(|mode| terminal_variance(10, 0.04, mode, false));
    for (found, wanted) in ten.iter().zip([0.272_40, 0.023_71, 0.008_93]) {
        assert!((found - wanted).abs() < 1e-5, "{found}, not {wanted}");
    }
    assert!((terminal_variance(10, 0.04, modes[0], true) - 0.04).abs() < 1e-9);
}

#[test]
fn steps_converge_at_order_one() {
    let steps = [200, 400, 800];
    for mode in [VoiceStep::EulerMaruyama, VoiceStep::ProbabilityFlow] {
        let errors = steps.map(|n| (terminal_variance(n, 0.25, &|_| mode, false) - 0.25).abs());
        let found = slope(&steps, &errors);
        assert!((found - 1.0).abs() < 0.15, "{mode:?}: {found}");
    }
}

#[test]
fn voice_coefficients_match_golden_values() {
    let (t, h) = (0.5, 0.1);
    let exact = posterior(SDE.log_decay(0.0, t), SDE.log_decay(0.0, t - h));
    assert!((exact.state - 0.554_940_7).abs() < 1e-6);
    assert!((exact.data - 0.288_239_1).abs() < 1e-6);
    assert!((exact.std - 0.719_832_1).abs() < 1e-6);
    let found = SDE.coefficients(t, h, VoiceStep::MaximumLikelihood(DataVariance::Ignored));
    assert!((found.kappa + 0.068_610_4).abs() < 1e-6, "{found:?}");
    assert!((found.omega - 0.069_047_5).abs() < 1e-6, "{found:?}");
    // Small steps are those of Euler and Maruyama.
    let steps = [100, 200, 400];
    for part in 0..3 {
        let errors = steps.map(|n| {
            let h = 0.1 / n as f64;
            let c = SDE.coefficients(t, h, VoiceStep::MaximumLikelihood(DataVariance::Ignored));
            [c.kappa, c.omega, c.spread * c.spread / (SDE.beta(t) * h) - 1.0][part].abs()
        });
        assert!((slope(&steps, &errors) - 1.0).abs() < 0.1, "{part}: {errors:?}");
    }
    // The last step reaches the data without noise, also where rounding leaves t − h below 0.
    let last =
        SDE.coefficients(0.1, 0.1 + 1e-17, VoiceStep::MaximumLikelihood(DataVariance::Ignored));
    assert_eq!(last.spread, 0.0);
}

/// The exact score of data `N(X̄, d2)`.
#[derive(Debug)]
struct NormalScore(f64);

impl TimeScore for NormalScore {
    fn score(&self, t: &Tensor, x: &Tensor, mean: Option<&Tensor>) -> Result<Tensor> {
        let kept = kept(t.double_value(&[0]));
        Ok((mean.unwrap() - x) / (kept * self.0 + 1.0 - kept))
    }
}

#[test]
fn voice_samples_have_the_data_s_law() {
    let mean = ones(4000, 1) * 3.0;
    let start = normal(1, &[4000, 1]) + &mean;
    let rest = |t: f64| 0.25 * (1.0 - kept(t)) / (kept(t) * 0.25 + 1.0 - kept(t));
    let step = VoiceStep::MaximumLikelihood(DataVariance::Known(&rest));
    let end = SDE.sample(&NormalScore(0.25), &start, &mean, (6, 5), step).unwrap();
    let (average, std) =
        (end.mean(tch::Kind::Double).double_value(&[]), end.std(false).double_value(&[]));
    assert!((average - 3.0).abs() < 0.03 && (std - 0.5).abs() < 0.02, "{average}, {std}");
    assert_eq!(end, SDE.sample(&NormalScore(0.25), &start, &mean, (6, 5), step).unwrap());
    assert!(SDE.sample(&NormalScore(0.25), &start, &mean, (0, 5), step).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn posteriors_keep_the_marginals(b in -6.0_f64..-1e-6, part in 0.0_f64..1.0) {
        let c = b * part;
        let found = posterior(b, c);
        // μ γ(0,t) + ν = γ(0,s), and μ² (1 − γ²(0,t)) + σ² = 1 − γ²(0,s).
        prop_assert!((found.state * b.exp() + found.data - c.exp()).abs() < 1e-9);
        let variance = found.state * found.state * -(2.0 * b).exp_m1() + found.std * found.std;
        prop_assert!((variance + (2.0 * c).exp_m1()).abs() < 1e-9);
    }
}

fn images() -> MeanReverting {
    MeanReverting::cosine(100, 10.0 / 255.0, 0.005).unwrap()
}

#[test]
fn image_schedule_matches_golden_values() {
    let sde = images();
    let close =
        |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-6, "{found}, not {wanted}");
    close(sde.dt(), 0.104_093_8);
    close(-0.005_f64.ln() / sde.dt(), 50.899_448_1);
    for (k, theta) in [(1, 0.001_694_6), (50, 0.506_156_4), (100, 0.999_766_6)] {
        close(sde.theta(k), theta);
    }
    for (k, weight, std, optimal) in [
        (1, 0.999_823_6, 0.000_736_52, 0.0),
        (10, 0.985_364_9, 0.006_684_63, 0.002_818_75),
        (50, 0.360_821_6, 0.036_573_9, 0.012_298_3),
        (100, 0.005, 0.039_215_2, 0.016_999_2),
    ] {
        close(sde.weight(k), weight);
        close(sde.std(k), std);
        close(sde.optimal_std(k), optimal);
    }
    let (one, zero) = (ones(1, 1), ones(1, 1) * 0.0);
    for (k, state, data) in [
        (1, 0.0, 1.0),
        (10, 0.773_452_5, 0.226_528_5),
        (50, 0.932_896_4, 0.043_733_1),
        (100, 0.901_157_4, 0.001_042_6),
    ] {
        close(sde.optimal(&one, &zero, &zero, k).unwrap().double_value(&[0, 0]), state);
        close(sde.optimal(&zero, &one, &zero, k).unwrap().double_value(&[0, 0]), data);
    }
}

#[test]
fn knowing_the_image_leads_back_to_it() {
    let sde = images();
    let (x0, mu) = (normal(1, &[5, 3]), normal(2, &[5, 3]));
    // By optimal steps from anywhere.
    let mut x = normal(3, &[5, 3]) + &mu;
    for k in (1..=100).rev() {
        x = sde.optimal(&x, &x0, &mu, k).unwrap();
    }
    assert!(distance(&x, &x0) < 1e-12);
    // By posterior steps with the true noise, and the marginal is kept on the way.
    let mut x = &mu + normal(4, &[5, 3]) * sde.std(100) + (&x0 - &mu) * sde.weight(100);
    for k in (1..=100).rev() {
        let noise = (&x - sde.mean(&x0, &mu, k).unwrap()) / sde.std(k);
        assert!(distance(&sde.data(&x, &mu, &noise, k).unwrap(), &x0) < 1e-9);
        x = sde
            .step(&x, &mu, &noise, &normal(k as u64, &[5, 3]), (k, ImageStep::Posterior))
            .unwrap();
    }
    assert!(distance(&x, &x0) < 1e-9);
    assert!(sde.mean(&x0, &mu, 0).is_err() && sde.mean(&x0, &mu, 101).is_err());
    assert!(
        MeanReverting::cosine(0, 1.0, 0.1).is_err() && MeanReverting::cosine(5, 1.0, 1.0).is_err()
    );
}

/// With the exact noise the mean of the reverse step is the optimal one up to `O(dt²)`.
#[test]
fn reverse_steps_come_close_to_the_optimal_ones() {
    let steps = [50, 100, 200];
    let errors = steps.map(|n| {
        let sde = MeanReverting::cosine(n, 0.1, 0.005).unwrap();
        let (x0, mu, noise) = (normal(1, &[4, 2]), normal(2, &[4, 2]), normal(3, &[4, 2]));
        let k = n / 2;
        let x = sde.mean(&x0, &mu, k).unwrap() + &noise * sde.std(k);
        let optimal = sde.optimal(&x, &x0, &mu, k).unwrap();
        distance(&sde.reverse_mean(&x, &mu, &noise, k).unwrap(), &optimal)
    });
    let found = slope(&steps, &errors);
    assert!((found - 2.0).abs() < 0.15, "{found}: {errors:?}");
}

/// With the exact score of `N(m, s²)` around `μ`, every kind of step returns to the data's law.
#[test]
fn image_steps_return_to_the_data_s_law() {
    let sde = MeanReverting::cosine(200, 0.5, 0.005).unwrap();
    let s2 = 0.3_f64.powi(2);
    let mu = ones(4000, 1);
    for step in [ImageStep::Sde, ImageStep::Ode, ImageStep::Posterior] {
        let mut x = &mu + normal(9, &[4000, 1]) * 0.5;
        for k in (1..=200).rev() {
            // x_k ~ N(μ, w² s² + v): ε = √v (x − μ)/(w² s² + v).
            let (w, v) = (sde.weight(k), sde.std(k).powi(2));
            let noise = (&x - &mu) * (sde.std(k) / (w * w * s2 + v));
            x = sde.step(&x, &mu, &noise, &normal(1000 + k as u64, &[4000, 1]), (k, step)).unwrap();
        }
        let std = x.std(false).double_value(&[]);
        let limit = match step {
            // The estimate of the image in place of the image leaves out its spread.
            ImageStep::Posterior => 0.25,
            _ => 0.03,
        };
        assert!((std - 0.3).abs() < limit, "{step:?}: {std}");
        assert!((x.mean(tch::Kind::Double).double_value(&[]) - 1.0).abs() < 0.03);
    }
}
