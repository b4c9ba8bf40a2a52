//! Restoring held-out digits, and what is measured of it.

use super::model::{Objective, Restorer, STEPS, fresh, process, train};
use super::normal::ratios;
use super::patches::Patches;
use super::rain::{PIXELS, images, streaked};
use crate::systems::Check;
use anyhow::Result;
use maxlik_data::digits;
use maxlik_ode::sde::ImageStep;
use maxlik_tensor::{Seeds, host};
use maxlik_train::plot::{Images, png};
use std::path::Path;
use tch::{Kind, Tensor};

/// `10 log₁₀ (1 / mean squared error)` over all pixels of all images, in dB.
fn psnr(found: &Tensor, clean: &Tensor) -> Result<f64> {
    let error = (found.f_clamp(0.0, 1.0)? - clean).f_square()?.f_mean(Kind::Double)?;
    Ok(-10.0 * host::scalar(&error)?.log10())
}

/// With the true noise of each state the posterior sampler ends at the clean image.
pub(super) fn oracle(seed: u64) -> Result<Check> {
    let sde = process()?;
    Seeds::new(seed).stream("oracle").seed_torch(0);
    let split = digits::split(digits::SPLIT_SEED)?;
    let clean = images(&split.test[..50])?;
    let mu = streaked(&clean)?.f_to_kind(Kind::Double)?;
    let clean = clean.f_to_kind(Kind::Double)?;
    let mut x = &mu + mu.f_randn_like()? * sde.std(STEPS);
    for k in (1..=STEPS).rev() {
        let noise = (&x - sde.mean(&clean, &mu, k)?) / sde.std(k);
        x = sde.step(&x, &mu, &noise, &mu.f_randn_like()?, (k, ImageStep::Posterior))?;
    }
    let error = host::scalar(&(x - clean).f_abs()?.f_max()?)?;
    Ok(Check::at_most(
        "posterior sampling with the true noise: largest error of a pixel",
        "at most 1e-9 (exact)",
        error,
        1e-9,
    ))
}

/// From `μ + λ n` back to an image.
fn restore(net: &Restorer, mu: &Tensor, step: ImageStep) -> Result<Tensor> {
    let sde = process()?;
    let rows = mu.size()[0];
    let mut x = mu + fresh(rows)? * sde.std(STEPS);
    for k in (1..=STEPS).rev() {
        let noise = net.noise(&x, mu, k)?;
        x = sde.step(&x, mu, &noise, &fresh(rows)?, (k, step))?;
    }
    Ok(x)
}

pub(super) fn checks(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let split = digits::split(digits::SPLIT_SEED)?;
    let (clean_train, clean) = (images(&split.train)?, images(&split.test)?);
    let likelihood = train(seed, &clean_train, Objective::Likelihood)?;
    let matching = train(seed, &clean_train, Objective::Noise)?;
    let regression = train(seed, &clean_train, Objective::Direct)?;

    let _no_grad = tch::no_grad_guard();
    Seeds::new(seed).stream("test").seed_torch(0);
    let mu = streaked(&clean)?;
    let degraded = psnr(&mu, &clean)?;
    let seeded = |net: &Restorer, step: ImageStep| {
        Seeds::new(seed).stream("sampler").seed_torch(0);
        restore(net, &mu, step)
    };
    let restored = seeded(&likelihood.net, ImageStep::Sde)?;
    let matched = seeded(&matching.net, ImageStep::Sde)?;
    let regressed = regression.net.direct(&mu)?;
    picture(&[&mu, &restored, &matched, &regressed, &clean], out)?;
    let truth = Patches::of(&clean)?;
    let (sampled, direct) = (Patches::of(&restored)?, Patches::of(&regressed)?);
    let exact = ratios(seed, &clean_train, clean.size()[0])?;
    let restored_psnr = psnr(&restored, &clean)?;
    let ode = psnr(&seeded(&likelihood.net, ImageStep::Ode)?, &clean)?;
    Ok(vec![
        Check::at_least(
            "digits under streaks, PSNR of the reverse ODE above the degraded image's, dB",
            "at least 4",
            ode - degraded,
            4.0,
        )
        .beside("PSNR of the degraded image", degraded),
        Check::at_least(
            "the reverse SDE: PSNR of the likelihood objective less that of noise matching, dB",
            "at least 0",
            restored_psnr - psnr(&matched, &clean)?,
            0.0,
        )
        .beside("PSNR of the likelihood objective", restored_psnr),
        Check::at_most(
            "spread of the losses of single steps over their mean, likelihood / noise matching",
            "at most 1",
            likelihood.unrest / matching.unrest,
            1.0,
        ),
        Check::at_least(
            "normal law, missing pixels: W₂ of 4×4 patches, exact posterior draws / posterior mean",
            "more than 1: this distance is for the mean",
            exact.wasserstein,
            1.0,
        )
        .beside("Fréchet distance of the patches, draws / mean", exact.frechet),
        Check::at_most(
            "W₂ of 4×4 patches from clean ones, reverse SDE / direct regression",
            "at most the exact draws' / mean",
            sampled.wasserstein(&truth)? / direct.wasserstein(&truth)?,
            exact.wasserstein,
        )
        .beside(
            "Fréchet distance (not accepted by), reverse SDE / direct regression",
            sampled.frechet(&truth)? / direct.frechet(&truth)?,
        ),
    ])
}

/// Rows of the picture: degraded, restored by the likelihood objective, by noise matching, by direct
/// regression, clean.
fn picture(rows: &[&Tensor], out: &Path) -> Result<()> {
    let shown = 20;
    let cut = rows.iter().map(|x| x.f_narrow(0, 0, shown)).collect::<Result<Vec<_>, _>>()?;
    let values = host::to_vec(&Tensor::f_cat(&cut, 0)?)?;
    let side = (PIXELS as f64).sqrt() as usize;
    let images = Images { values, channels: 1, height: side, width: side };
    let picture = images.inverted().grid(shown as usize, 5, 5)?;
    std::fs::write(out.join("restored.png"), png(&picture)?)?;
    Ok(())
}
