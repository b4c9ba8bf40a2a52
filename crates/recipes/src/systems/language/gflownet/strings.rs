//! Strings of up to four of five words, and a judge of their sum.

use super::super::super::Check;
use super::super::world::World;
use super::policy::{MARK, Policy, Tuning, log_prob, sample};
use anyhow::Result;
use maxlik_objectives::sequence::Walk;
use maxlik_tensor::{Seeds, host};
use maxlik_train::plot::{Panel, Plane, Scatter};
use rand::Rng;
use std::path::Path;
use tch::{Kind, Tensor};

const WORDS: i64 = 5;
const LONGEST: i64 = 4;
/// How often the judge says yes: to sums that are multiples of three, and to others.
const YES: [f64; 2] = [0.9, 0.05];
const STEPS: u64 = 1200;
/// Samples that estimate the probability of a yes.
const SAMPLES: i64 = 1000;

/// A random bigram language over the words and the mark. Few strings are empty: that string fits, and
/// would have most of some posteriors.
fn language(seed: u64) -> Result<World> {
    let mut rng = Seeds::new(seed).stream("language").rng(0);
    let mut row = |before: i64| {
        let mut weights: Vec<f64> =
            (0..=WORDS).map(|_| (3.0 * rng.random::<f64>()).exp()).collect();
        if before == MARK {
            weights[MARK as usize] *= 0.2;
        }
        let total: f64 = weights.iter().sum();
        weights.into_iter().map(|w| w / total).collect::<Vec<f64>>()
    };
    World::new(&(0..=WORDS).map(&mut row).collect::<Vec<_>>())
}

/// All strings, `[781, 1 + 4]`, with a mark before and marks behind them.
fn all() -> Result<Tensor> {
    let mut rows: Vec<Vec<i64>> = vec![Vec::new()];
    let mut last = rows.clone();
    for _ in 0..LONGEST {
        let longer = |row: &Vec<i64>| {
            let row = row.clone();
            (1..=WORDS).map(move |word| [row.as_slice(), &[word]].concat())
        };
        last = last.iter().flat_map(longer).collect();
        rows.extend(last.iter().cloned());
    }
    let width = (LONGEST + 1) as usize;
    let padded = rows.iter().flat_map(|row| {
        let words = std::iter::once(MARK).chain(row.iter().copied());
        words.chain(std::iter::repeat(MARK)).take(width)
    });
    let tokens: Vec<i64> = padded.collect();
    Ok(Tensor::f_from_slice(&tokens)?.f_view([rows.len() as i64, width as i64])?)
}

/// `ln P(yes | z_{≤k})` of each prefix, `[B, n + 1]`.
fn judge(strings: &Tensor) -> Result<Tensor> {
    let fits = strings.f_cumsum(1, Kind::Int64)?.f_remainder(3)?.f_eq(0)?;
    let fits = fits.f_to_kind(Kind::Double)?;
    Ok(&fits * YES[0].ln() + (1.0 - &fits) * YES[1].ln())
}

/// The joint log-probability of each prefix as a finished string and of a yes.
fn reward(prior: &World, strings: &Tensor) -> Result<Tensor> {
    let walk = Walk::of(prior.model(), strings, 1, MARK)?;
    Ok((walk.log_prob()? + judge(strings)?).f_to_kind(Kind::Float)?)
}

/// All strings with what is known of them.
struct Truth {
    strings: Tensor,
    /// `ln p(z)` and `ln p(z, yes)`, each `[781]`.
    prior: Tensor,
    joint: Tensor,
}

impl Truth {
    fn new(prior: &World) -> Result<Self> {
        let strings = all()?;
        let walk = Walk::of(prior.model(), &strings, 1, MARK)?;
        let log_prior = walk.at_end(&walk.log_prob()?)?;
        let joint = &log_prior + walk.at_end(&judge(&strings)?)?;
        Ok(Self { strings, prior: log_prior, joint })
    }

    /// `ln p(yes)`.
    fn evidence(&self) -> Result<f64> {
        Ok(host::scalar(&self.joint.f_logsumexp([0_i64].as_slice(), false)?)?)
    }

    /// `p(z | yes)` at a temperature, `∝ p(z, yes)^{1/T}`.
    fn posterior(&self, temperature: f64) -> Result<Tensor> {
        Ok((&self.joint / temperature).f_softmax(0, Kind::Double)?)
    }
}

fn total_variation(p: &Tensor, q: &Tensor) -> Result<f64> {
    Ok(host::scalar(&(p - q).f_abs()?.f_sum(Kind::Double)?)? / 2.0)
}

fn entropy(p: &Tensor) -> Result<f64> {
    Ok(-host::scalar(&p.f_mul(&p.f_clamp_min(1e-300)?.f_log()?)?.f_sum(Kind::Double)?)?)
}

/// `ln (1/N) Σ_i p(z_i, yes)/q(z_i)`: what the logarithms of the ratios say of `ln p(yes)`.
fn importance(log_ratio: &Tensor) -> Result<f64> {
    let sum = host::scalar(&log_ratio.f_logsumexp([0_i64].as_slice(), false)?)?;
    Ok(sum - (log_ratio.size()[0] as f64).ln())
}

pub(super) fn run(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let prior = language(seed)?;
    let truth = Truth::new(&prior)?;
    let reward = |strings: &Tensor| reward(&prior, strings);
    let start = Policy::new(seed, WORDS, LONGEST)?;
    Seeds::new(seed).stream("data").seed_torch(0);
    start.imitate(seed, 300, &sample(prior.model(), 10_000, LONGEST, 1.0)?)?;
    let tuned = |temperature: f64| -> Result<Policy> {
        let policy = start.copy()?;
        policy.balance(seed, Tuning { steps: STEPS, temperature }, &reward)?;
        Ok(policy)
    };
    let (warm, cold, greedy) = (tuned(1.0)?, tuned(0.5)?, start.copy()?);
    greedy.maximise(seed, 600, &reward)?;
    let of = |policy: &Policy| -> Result<Tensor> { Ok(policy.log_prob(&truth.strings)?.f_exp()?) };
    let (posterior, sharp) = (truth.posterior(1.0)?, truth.posterior(0.5)?);
    let (q_start, q_greedy) = (of(&start)?, of(&greedy)?);

    Seeds::new(seed).stream("test").seed_torch(0);
    let drawn = warm.sample(SAMPLES, 1.0)?;
    let joint = (log_prob(prior.model(), &drawn)?, judge_at_end(&prior, &drawn)?);
    let by_policy = importance(&(joint.0 + joint.1 - warm.log_prob(&drawn)?))?;
    let drawn = sample(prior.model(), SAMPLES, LONGEST, 1.0)?;
    let by_prior = importance(&judge_at_end(&prior, &drawn)?)?;
    let exact = truth.evidence()?;

    let logs = [warm.log_prob(&truth.strings)?, greedy.log_prob(&truth.strings)?, truth.prior];
    picture(out, &posterior.f_log()?, &logs)?;
    Ok(vec![
        Check::at_most(
            "total variation, policy by balance and posterior",
            "at most 0.05",
            total_variation(&of(&warm)?, &posterior)?,
            0.05,
        )
        .beside("language model it started from", total_variation(&q_start, &posterior)?),
        Check::at_most(
            "total variation, policy by balance and posterior, both at temperature 0.5",
            "at most 0.05",
            total_variation(&of(&cold)?, &sharp)?,
            0.05,
        )
        .beside("posterior at temperature one", total_variation(&posterior, &sharp)?),
        Check::at_least(
            "total variation, policy by the largest reward and posterior",
            "at least 0.3",
            total_variation(&q_greedy, &posterior)?,
            0.3,
        ),
        Check::at_most(
            "entropy of the policy by the largest reward / of the posterior",
            "at most 0.3",
            entropy(&q_greedy)? / entropy(&posterior)?,
            0.3,
        )
        .beside("by balance / of the posterior", entropy(&of(&warm)?)? / entropy(&posterior)?),
        Check::at_most(
            "error of ln p(yes) by 1,000 samples of the policy, nats",
            "at most 0.05",
            (by_policy - exact).abs(),
            0.05,
        )
        .beside("by 1,000 samples of the prior", (by_prior - exact).abs()),
    ])
}

/// `ln P(yes | z)` of finished strings, `[N]`.
fn judge_at_end(prior: &World, strings: &Tensor) -> Result<Tensor> {
    Ok(Walk::of(prior.model(), strings, 1, MARK)?.at_end(&judge(strings)?)?)
}

/// Log-probabilities of all strings against the posterior's.
fn picture(out: &Path, posterior: &Tensor, found: &[Tensor; 3]) -> Result<()> {
    let x = host::to_vec(posterior)?;
    let names = ["policy by balance", "policy by the largest reward", "prior"];
    let mut panels = Vec::new();
    for (name, q) in names.into_iter().zip(found) {
        let points = x.iter().copied().zip(host::to_vec(q)?).map(|(x, y)| [x, y.max(-24.9)]);
        let points = Some(Scatter::new(points.collect()));
        panels.push(Panel { title: name.to_owned(), density: None, points });
    }
    let plane = Plane {
        title: "Log-probabilities of all strings".to_owned(),
        extent: [-16.0, 0.5, -25.0, 0.5],
        labels: ["ln p(string | yes)".to_owned(), "ln q(string)".to_owned()],
        panels,
    };
    Ok(std::fs::write(out.join("posterior.svg"), plane.svg()?)?)
}

#[cfg(test)]
mod tests {
    use super::super::policy::{Policy, Tuning, log_prob, sample};
    use super::{LONGEST, Truth, WORDS, importance, judge, language, reward, total_variation};
    use maxlik_tensor::with_seed;
    use tch::Kind;

    /// The prior over all strings sums to one, samples of it come as often, and the evidence is the share
    /// of a yes among them.
    #[test]
    fn the_posterior_is_exact() -> anyhow::Result<()> {
        let prior = language(3)?;
        let truth = Truth::new(&prior)?;
        assert_eq!(truth.strings.size(), [781, 5]);
        let sum = truth.prior.exp().sum(Kind::Double).double_value(&[]);
        assert!((sum - 1.0).abs() < 1e-12);
        let drawn = with_seed(1, || sample(prior.model(), 20_000, LONGEST, 1.0))?;
        let yes = importance(&super::judge_at_end(&prior, &drawn)?)?;
        assert!((yes - truth.evidence()?).abs() < 5.0 * 0.01);
        // "1 2" is one that fits, "1" is not: its rewards have the judge in them.
        let string = tch::Tensor::from_slice(&[0_i64, 1, 2, 0, 0]).unsqueeze(0);
        let said = judge(&string)?.exp();
        for (k, expected) in [(0, 0.9), (1, 0.05), (2, 0.9)] {
            assert!((said.double_value(&[0, k]) - expected).abs() < 1e-12);
        }
        let joint = log_prob(prior.model(), &string)?.double_value(&[0]) + 0.9_f64.ln();
        let found = reward(&prior, &string)?.double_value(&[0, 2]);
        assert!((found - joint).abs() < 1e-5, "{found} {joint}");
        Ok(())
    }

    /// A few steps of balance come nearer to the posterior, and of the two others' starts both are left
    /// where they were.
    #[test]
    fn balance_comes_nearer() -> anyhow::Result<()> {
        let prior = language(3)?;
        let truth = Truth::new(&prior)?;
        let (start, posterior) = (Policy::new(1, WORDS, LONGEST)?, truth.posterior(1.0)?);
        let policy = start.copy()?;
        policy.balance(1, Tuning { steps: 60, temperature: 1.0 }, &|s| reward(&prior, s))?;
        let off = |policy: &Policy| -> anyhow::Result<f64> {
            total_variation(&policy.log_prob(&truth.strings)?.exp(), &posterior)
        };
        let (before, after) = (off(&start)?, off(&policy)?);
        assert!(after < 0.8 * before, "{before} {after}");
        Ok(())
    }
}
