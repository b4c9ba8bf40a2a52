//! Numbers that a skewed model should say uniformly.

use super::super::super::Check;
use super::policy::{MARK, Policy, Tuning};
use anyhow::Result;
use maxlik_tensor::{Seeds, host};
use rand::Rng;
use tch::{Kind, Tensor};

/// Numbers `0, …, 31`, written in digits.
const NUMBERS: i64 = 32;
/// Digits of the longest string that can be written.
const LONGEST: i64 = 3;

/// The token of a digit.
fn token(digit: i64) -> i64 {
    digit + 1
}

/// A number with its mark, padded with marks.
fn row(number: i64) -> [i64; 1 + LONGEST as usize] {
    let digits =
        if number < 10 { [token(number), MARK] } else { [number / 10, number % 10].map(token) };
    [MARK, digits[0], digits[1], MARK]
}

fn rows(numbers: impl Iterator<Item = i64>) -> Result<Tensor> {
    let tokens: Vec<i64> = numbers.flat_map(row).collect();
    Ok(Tensor::f_from_slice(&tokens)?.f_view([-1, 1 + LONGEST])?)
}

/// The paper's rewards: 8 for a number, −8 for each token of anything else.
fn reward(strings: &Tensor) -> Result<Tensor> {
    let width = strings.size()[1] as usize;
    let mut rewards = Vec::new();
    for row in host::values::<i64>(strings)?.chunks_exact(width) {
        for length in 0..width {
            let digits = &row[1..=length];
            let plain = digits.first() != Some(&token(0)) || length == 1;
            let value = digits.iter().fold(0, |value, digit| 10 * value + digit - 1);
            let valid = length > 0 && plain && !digits.contains(&MARK) && value < NUMBERS;
            rewards.push(if valid { 8.0 } else { -8.0 * length.max(1) as f32 });
        }
    }
    Ok(Tensor::f_from_slice(&rewards)?.f_view(strings.size().as_slice())?)
}

/// `KL(uniform ‖ q)` over the numbers, in nats.
fn divergence(policy: &Policy) -> Result<f64> {
    let log_q = policy.log_prob(&rows(0..NUMBERS)?)?;
    Ok(-host::scalar(&log_q.f_mean(Kind::Double)?)? - (NUMBERS as f64).ln())
}

pub(super) fn run(seed: u64) -> Result<Vec<Check>> {
    let mut rng = Seeds::new(seed).stream("numbers").rng(0);
    // Small numbers are said far more often: p(n) ∝ 1/(n + 1)².
    let weights: Vec<f64> = (0..NUMBERS).map(|n| ((n + 1) as f64).powi(-2)).collect();
    let total: f64 = weights.iter().sum();
    let mut skewed = || {
        let mut left = rng.random::<f64>() * total;
        let found = weights.iter().position(|w| {
            left -= w;
            left < 0.0
        });
        found.map_or(NUMBERS - 1, |n| n as i64)
    };
    let said: Vec<i64> = (0..10_000).map(|_| skewed()).collect();
    let start = Policy::new(seed, 10, LONGEST)?;
    start.imitate(seed, 300, &rows(said.into_iter())?)?;
    let tuned = start.copy()?;
    tuned.balance(seed, Tuning { steps: 900, temperature: 1.0 }, &reward)?;
    let shown: Vec<i64> = (0..32).map(|_| rng.random_range(0..NUMBERS)).collect();
    let supervised = start.copy()?;
    supervised.imitate(seed, 100, &rows(shown.into_iter())?)?;
    Ok(vec![
        Check::at_least(
            "numbers, KL(uniform | model) before, nats",
            "at least 1",
            divergence(&start)?,
            1.0,
        ),
        Check::at_most(
            "numbers, KL(uniform | policy by balance), nats",
            "at most 0.02",
            divergence(&tuned)?,
            0.02,
        )
        .beside("by likelihood of 32 uniform samples", divergence(&supervised)?),
    ])
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, reward, rows, token};
    use tch::Tensor;

    #[test]
    fn rewards_are_for_numbers() -> anyhow::Result<()> {
        let found = reward(&rows(0..32)?)?;
        assert_eq!(found.size(), [32, 1 + LONGEST]);
        for n in 0..32 {
            assert_eq!(found.double_value(&[n, 0]), -8.0);
            assert_eq!(found.double_value(&[n, if n < 10 { 1 } else { 2 }]), 8.0);
        }
        // "3", "32" and "325"; "0", "07".
        let wrong = Tensor::from_slice(&[0, token(3), token(2), token(5)]).unsqueeze(0);
        let zero = Tensor::from_slice(&[0, token(0), token(7), 0]).unsqueeze(0);
        let each = |x: &Tensor| -> anyhow::Result<Vec<f64>> {
            (0..4).map(|k| reward(x).map(|r| r.double_value(&[0, k]))).collect()
        };
        assert_eq!(each(&wrong)?, [-8.0, 8.0, -16.0, -24.0]);
        assert_eq!(each(&zero)?, [-8.0, 8.0, -16.0, -24.0]);
        Ok(())
    }
}
