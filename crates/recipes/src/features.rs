//! What networks of diffusion models see beside the noised data.

use maxlik_tensor::Result;
use std::f64::consts::PI;
use tch::Tensor;

/// Sine and cosine of `wave · clean`, `[B, D]` each, times `e^{−½ (wave · noise)²}` with the noise `[B, 1]` of the
/// clean data: with this factor, the mean of a wave over the noise, they fade where noise hides what they show.
///
/// # Errors
/// LibTorch's.
pub(crate) fn fading_wave(clean: &Tensor, noise: &Tensor, wave: f64) -> Result<[Tensor; 2]> {
    let fade = ((noise * wave).f_square()? * -0.5).f_exp()?;
    let angle = clean * wave;
    Ok([angle.f_sin()? * &fade, angle.f_cos()? * fade])
}

/// `t` `[B, 1]` and sines and cosines of it with the frequencies π/2, π, 2π, …: `[B, 1 + 2 frequencies]`.
///
/// # Errors
/// LibTorch's.
pub(crate) fn time(t: &Tensor, frequencies: i32) -> Result<Tensor> {
    let mut features = vec![t.shallow_clone()];
    for i in 0..frequencies {
        let angle = t * (PI * 2.0_f64.powi(i - 1));
        features.extend([angle.f_sin()?, angle.f_cos()?]);
    }
    Ok(Tensor::f_cat(&features, 1)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{fading_wave, time};
    use maxlik_tensor::host;
    use tch::Tensor;

    #[test]
    fn features_are_their_formulas() {
        let (clean, noise) =
            (Tensor::from_slice(&[0.3]).view([1, 1]), Tensor::from_slice(&[0.5]).view([1, 1]));
        let [sine, cosine] = fading_wave(&clean, &noise, 2.0).unwrap();
        let fade = (-0.5_f64).exp();
        assert!((host::scalar(&sine).unwrap() - 0.6_f64.sin() * fade).abs() < 1e-12);
        assert!((host::scalar(&cosine).unwrap() - 0.6_f64.cos() * fade).abs() < 1e-12);
        let found = host::to_vec(&time(&clean, 2).unwrap()).unwrap();
        let angles = [0.15, 0.3].map(|x: f64| x * std::f64::consts::PI);
        let expected = [0.3, angles[0].sin(), angles[0].cos(), angles[1].sin(), angles[1].cos()];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    }
}
