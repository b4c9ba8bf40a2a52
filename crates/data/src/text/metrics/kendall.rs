//! Agreement of two rankings.

use crate::error::{Error, Result};

/// Kendall's rank correlation with ties, τ_b (Kendall 1945):
///
/// `(concordant − discordant) / √((n₀ − ties in x) (n₀ − ties in y))`, `n₀ = n (n − 1) / 2` pairs
///
/// One where both rank alike, minus one where one is the other reversed; not a number where one of them
/// is constant or has fewer than two values, as nothing is ranked then.
///
/// # Errors
/// [`Error::Shape`] for different numbers of values, [`Error::Config`] for a value that is not a number.
pub fn kendall_tau(x: &[f64], y: &[f64]) -> Result<f64> {
    if x.len() != y.len() {
        return Err(Error::shape("y", format!("{} values", x.len()), y.len().to_string()));
    }
    if x.iter().chain(y).any(|value| value.is_nan()) {
        return Err(Error::config("x and y", "expected numbers, got NaN"));
    }
    let (mut agreement, mut in_x, mut in_y) = (0_i64, 0_i64, 0_i64);
    for i in 0..x.len() {
        for j in 0..i {
            let (a, b) = (order(x[i], x[j]), order(y[i], y[j]));
            agreement += a * b;
            in_x += a.abs();
            in_y += b.abs();
        }
    }
    Ok(agreement as f64 / (in_x as f64 * in_y as f64).sqrt())
}

fn order(a: f64, b: f64) -> i64 {
    i64::from(a > b) - i64::from(a < b)
}
