//! Eigenvalues and eigenvectors of a symmetric matrix.

use ndarray::{Array1, Array2};

use crate::error::{Error, Result};

/// A = Σ_k values_k · v_k v_kᵀ with v_k the rows of `vectors`.
#[derive(Debug)]
pub(crate) struct Eigen {
    pub(crate) values: Array1<f64>,
    pub(crate) vectors: Array2<f64>,
}

/// Decomposes a symmetric matrix: Householder's reduction to a tridiagonal one, then implicit QL
/// steps with Wilkinson's shift (Golub & Van Loan, *Matrix Computations*, 8.3).
///
/// # Errors
/// A matrix on which the steps do not converge (values that overflow).
pub(crate) fn symmetric(matrix: &Array2<f64>) -> Result<Eigen> {
    let n = matrix.nrows();
    let mut a = matrix.clone();
    let mut vectors = Array2::eye(n);
    for k in 0..n.saturating_sub(2) {
        reflect(&mut a, &mut vectors, k);
    }
    let mut values = a.diag().to_owned();
    let mut off: Vec<f64> = (1..n).map(|k| a[[k, k - 1]]).chain([0.0]).collect();
    for l in 0..n {
        settle(&mut values, &mut off, &mut vectors, l)?;
    }
    Ok(Eigen { values, vectors })
}

/// Clears column `k` below the subdiagonal by a reflection of the coordinates after `k`.
fn reflect(a: &mut Array2<f64>, vectors: &mut Array2<f64>, k: usize) {
    let n = a.nrows();
    let mut v: Vec<f64> = (k + 1..n).map(|i| a[[i, k]]).collect();
    let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    if v[1..].iter().all(|&x| x == 0.0) {
        return;
    }
    v[0] += norm.copysign(v[0]);
    let beta = 2.0 / v.iter().map(|x| x * x).sum::<f64>();
    // A ← H A H with H = 1 − β v vᵀ, as a symmetric update of rank two.
    let product = |row: usize| (0..v.len()).map(|j| a[[row, k + 1 + j]] * v[j]).sum::<f64>() * beta;
    let mut w: Vec<f64> = (k..n).map(product).collect();
    let half = 0.5 * beta * w[1..].iter().zip(&v).map(|(w, v)| w * v).sum::<f64>();
    w[1..].iter_mut().zip(&v).for_each(|(w, v)| *w -= half * v);
    for (i, &vi) in v.iter().enumerate() {
        for (j, &vj) in v.iter().enumerate() {
            a[[k + 1 + i, k + 1 + j]] -= vi * w[1 + j] + w[1 + i] * vj;
        }
        a[[k, k + 1 + i]] -= w[0] * vi;
        a[[k + 1 + i, k]] = a[[k, k + 1 + i]];
    }
    for column in 0..n {
        let dot =
            beta * v.iter().enumerate().map(|(i, v)| v * vectors[[k + 1 + i, column]]).sum::<f64>();
        for (i, v) in v.iter().enumerate() {
            vectors[[k + 1 + i, column]] -= dot * v;
        }
    }
}

/// QL steps until the off-diagonal entry after `l` is negligible.
fn settle(
    values: &mut Array1<f64>,
    off: &mut [f64],
    vectors: &mut Array2<f64>,
    l: usize,
) -> Result<()> {
    /// More than ever seen; a step roughly cubes the error.
    const STEPS: usize = 60;
    let n = values.len();
    for _ in 0..STEPS {
        let small =
            |m: usize| off[m].abs() <= f64::EPSILON * (values[m].abs() + values[m + 1].abs());
        let end = (l..n - 1).find(|&m| small(m)).unwrap_or(n - 1);
        if end == l {
            return Ok(());
        }
        let mut g = (values[l + 1] - values[l]) / (2.0 * off[l]);
        let r = g.hypot(1.0);
        g = values[end] - values[l] + off[l] / (g + r.copysign(g));
        let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
        let mut broken = false;
        for i in (l..end).rev() {
            let (f, b) = (sine * off[i], cosine * off[i]);
            let r = f.hypot(g);
            off[i + 1] = r;
            if r == 0.0 {
                values[i + 1] -= shift;
                off[end] = 0.0;
                broken = true;
                break;
            }
            (sine, cosine) = (f / r, g / r);
            let at = values[i + 1] - shift;
            let t = (values[i] - at) * sine + 2.0 * cosine * b;
            shift = sine * t;
            values[i + 1] = at + shift;
            g = cosine * t - b;
            for k in 0..n {
                let (upper, lower) = (vectors[[i, k]], vectors[[i + 1, k]]);
                vectors[[i + 1, k]] = sine * upper + cosine * lower;
                vectors[[i, k]] = cosine * upper - sine * lower;
            }
        }
        if !broken {
            values[l] -= shift;
            off[l] = g;
            off[end] = 0.0;
        }
    }
    Err(Error::parameter("matrix", "its eigenvalues cannot be computed in double precision"))
}

#[cfg(test)]
mod tests {
    use super::symmetric;
    use ndarray::{Array2, array};

    fn check(matrix: &Array2<f64>) {
        let eigen = symmetric(matrix).unwrap_or_else(|e| panic!("{e}"));
        let scale = matrix.iter().fold(1e-300, |most: f64, x| most.max(x.abs()));
        let n = matrix.nrows();
        for i in 0..n {
            for j in 0..n {
                let sum = (0..n)
                    .map(|k| eigen.values[k] * eigen.vectors[[k, i]] * eigen.vectors[[k, j]])
                    .sum::<f64>();
                assert!(
                    (sum - matrix[[i, j]]).abs() < 1e-13 * scale * n as f64,
                    "{sum} for {}",
                    matrix[[i, j]]
                );
                let dot = eigen.vectors.row(i).dot(&eigen.vectors.row(j));
                assert!((dot - f64::from(i == j)).abs() < 1e-13 * n as f64);
            }
        }
    }

    #[test]
    fn rebuilds_matrices() {
        check(&array![[3.0]]);
        check(&array![[2.0, 1.0], [1.0, 2.0]]);
        check(&Array2::zeros((4, 4)));
        check(&Array2::eye(5));
        check(&Array2::ones((6, 6)));
        for n in [3, 10, 40] {
            let mut x = 0.3_f64;
            let mut next = || {
                x = x * 3.99 * (1.0 - x);
                x - 0.5
            };
            let a = Array2::from_shape_simple_fn((n, n), &mut next);
            check(&(&a + &a.t()));
            check(&a.dot(&a.t()));
        }
    }
}
