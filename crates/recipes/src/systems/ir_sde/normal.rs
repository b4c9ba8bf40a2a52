//! What an exact sampler is worth in distances between patches, in a world where it is known.
//!
//! The world is normal with the digits' mean and covariance, and the pixels under streaks are missing. Then the
//! posterior of the missing pixels is normal too: its mean is what regression would learn, and a draw of it is
//! what a perfect sampler would give.

use super::patches::Patches;
use super::rain::{PIXELS, covered};
use anyhow::Result;
use maxlik_tensor::Seeds;
use tch::{Kind, Tensor, kind::DOUBLE_CPU};

/// Distances from the true images: those of posterior draws over those of posterior means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ratios {
    /// W₂ of the sets of patches.
    pub(super) wasserstein: f64,
    /// Fréchet distance of the patches.
    pub(super) frechet: f64,
}

/// Added to covariances, since some pixels are always dark.
const RIDGE: f64 = 1e-4;

/// As many images as `rows` from the normal law of `clean` `[N, 64]`.
pub(super) fn ratios(seed: u64, clean: &Tensor, rows: i64) -> Result<Ratios> {
    Seeds::new(seed).stream("normal").seed_torch(0);
    let clean = clean.f_to_kind(Kind::Double)?;
    let mean = clean.f_mean_dim([0_i64].as_slice(), false, None::<Kind>)?;
    let centred = &clean - &mean;
    let unit = Tensor::f_eye(PIXELS, DOUBLE_CPU)?;
    let covariance =
        centred.f_transpose(0, 1)?.f_matmul(&centred)? / clean.size()[0] as f64 + unit * RIDGE;
    let factor = covariance.f_linalg_cholesky(false)?;
    let truth =
        Tensor::f_randn([rows, PIXELS], DOUBLE_CPU)?.f_matmul(&factor.f_transpose(0, 1)?)?;
    let hidden = covered(rows)?;
    let (mut means, mut draws) = (Vec::new(), Vec::new());
    for (x, hidden) in truth.f_unbind(0)?.iter().zip(hidden.f_unbind(0)?) {
        let [at, known] = [&hidden, &hidden.f_logical_not()?]
            .map(|mask| Ok(mask.f_nonzero()?.f_squeeze_dim(1)?) as Result<Tensor>);
        let (at, known) = (at?, known?);
        let block = |rows: &Tensor, columns: &Tensor| {
            covariance.f_index_select(0, rows)?.f_index_select(1, columns)
        };
        // G = C_hk C_kk⁻¹, solved from the symmetric C_kk.
        let across = block(&known, &at)?;
        let gain = Tensor::f_linalg_solve(&block(&known, &known)?, &across, true)?;
        let gain = gain.f_transpose(0, 1)?;
        let guess = gain.f_mv(&x.f_index_select(0, &known)?)?;
        let rest = block(&at, &at)? - gain.f_matmul(&across)?;
        let rest = (&rest + rest.f_transpose(0, 1)?) * 0.5;
        let noise = Tensor::f_randn([at.size()[0]], DOUBLE_CPU)?;
        let drawn = &guess + rest.f_linalg_cholesky(false)?.f_mv(&noise)?;
        means.push(x.f_index_copy(0, &at, &guess)?);
        draws.push(x.f_index_copy(0, &at, &drawn)?);
    }
    let patches = |x: &Tensor| Patches::unclamped(&(x + &mean));
    let truth = patches(&truth)?;
    let [means, draws] = [means, draws].map(|x| patches(&Tensor::f_stack(&x, 0)?));
    let (means, draws) = (means?, draws?);
    Ok(Ratios {
        wasserstein: draws.wasserstein(&truth)? / means.wasserstein(&truth)?,
        frechet: draws.frechet(&truth)? / means.frechet(&truth)?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::ratios;
    use tch::{Kind, kind::DOUBLE_CPU};

    /// With independent pixels the posterior mean has no variance where pixels are missing, and draws have the
    /// data's: they win in the distance of moments.
    #[test]
    fn draws_have_the_moments() {
        tch::manual_seed(1);
        let clean = tch::Tensor::randn([400, super::PIXELS], DOUBLE_CPU);
        let found = ratios(1, &clean.to_kind(Kind::Float), 40).unwrap();
        assert!(found.frechet < 1.0 && found.wasserstein > found.frechet, "{found:?}");
    }
}
