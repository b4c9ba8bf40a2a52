//! Eight Gaussians with a learned score, in few steps.

use crate::systems::Check;
use crate::systems::fit::fit;
use anyhow::Result;
use maxlik_data::Stream;
use maxlik_data::tensor::array_to_tensor;
use maxlik_data::toy::Toy;
use maxlik_model::Score;
use maxlik_nn::{Activation, Mlp, MlpConfig, Network, Params};
use maxlik_objectives::density::energy::NormalMixture;
use maxlik_ode::diffusion::TimeScore;
use maxlik_ode::sde::{DataVariance, VoiceSde, VoiceStep};
use maxlik_tensor::{Seeds, host};
use maxlik_train::plot::{Scatter, beside, png};
use maxlik_train::{OptimConfig, Schedule};
use maxlik_transport::wasserstein_2;
use ndarray::Array2;
use std::f64::consts::{FRAC_PI_4, PI, SQRT_2};
use std::path::Path;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

/// Steps back in time.
const STEPS: usize = 10;
/// Samples that are compared: enough for two draws of the data to be near each other.
const COUNT: i64 = 4000;
/// Rows that estimate the variance of the data given the state.
const ROWS: i64 = 20_000;
/// Rows of a training step, all of them fresh.
const BATCH: i64 = 1024;
/// Frequencies of the time's features.
const FREQUENCIES: i32 = 4;

/// A network that predicts the noise from the state and the time.
#[derive(Debug)]
struct Noise {
    net: Mlp,
    sde: VoiceSde,
    center: Tensor,
}

impl Noise {
    fn new(params: &Params, center: &Tensor) -> Result<Self> {
        let config =
            MlpConfig { hidden: vec![128, 128, 128], activation: Activation::Silu, dropout: 0.0 };
        let net = Mlp::new(&params.root(), 2, 1 + 2 * i64::from(FREQUENCIES), 2, &config)?;
        Ok(Self { net, sde: VoiceSde::default(), center: center.shallow_clone() })
    }

    /// `ε(X_t, t)`; `t` is `[B]`.
    fn predict(&self, t: &Tensor, x: &Tensor) -> maxlik_tensor::Result<Tensor> {
        let t = t.f_unsqueeze(1)?.f_to_kind(x.kind())?;
        let mut features = vec![t.shallow_clone()];
        for i in 0..FREQUENCIES {
            let angle = t.f_mul_scalar(PI * 2.0_f64.powi(i))?;
            features.extend([angle.f_sin()?, angle.f_cos()?]);
        }
        self.net.forward(&x.f_sub(&self.center)?, Some(&Tensor::f_cat(&features, 1)?))
    }

    /// `X_t` from data and noise at the times `t` `[B]`, and `√(1 − γ²)` `[B, 1]`.
    fn noised(&self, x: &Tensor, noise: &Tensor, t: &Tensor) -> Result<(Tensor, Tensor)> {
        let (low, span) = (self.sde.beta_min, self.sde.beta_max - self.sde.beta_min);
        let log = (t * low + t.f_square()? * (0.5 * span)).f_unsqueeze(1)? * -0.5;
        let std = (-(&log * 2.0).f_expm1()?).f_sqrt()?;
        Ok((&self.center + (x - &self.center) * log.f_exp()? + &std * noise, std))
    }

    /// `(1/n) E |X₀ − X̂₀|²` at `t`, with Tweedie's estimate: what the samples would not spread over.
    fn unknown(&self, t: f64, x: &Tensor, noise: &Tensor) -> Result<f64> {
        let times = Tensor::f_full([x.size()[0]], t, FLOAT_CPU)?;
        let (state, std) = self.noised(x, noise, &times)?;
        let kept = self.sde.log_decay(0.0, t).exp();
        let error = std * (self.predict(&times, &state)? - noise) / kept;
        Ok(host::scalar(&error.f_square()?.f_mean(Kind::Double)?)?)
    }
}

impl TimeScore for Noise {
    fn score(
        &self,
        t: &Tensor,
        x: &Tensor,
        _context: Option<&Tensor>,
    ) -> maxlik_tensor::Result<Tensor> {
        // One time for the batch: that of the sampler.
        let std = self.sde.marginal(t.f_double_value(&[0])?)[2];
        self.predict(t, x)?.f_mul_scalar(-1.0 / std).map_err(Into::into)
    }
}

/// The score of the noised data in closed form: what a perfect network would give.
#[derive(Debug)]
struct Exact(VoiceSde);

impl Exact {
    /// The law of the state at time `t`, with `X̄ = 0`.
    fn law(&self, t: f64) -> maxlik_tensor::Result<NormalMixture> {
        let [kept, _, noise] = self.0.marginal(t);
        let angle = Tensor::f_arange(8, FLOAT_CPU)? * FRAC_PI_4;
        let means = Tensor::f_stack(&[angle.f_cos()?, angle.f_sin()?], 1)?;
        let weights = Tensor::f_ones([8], FLOAT_CPU)?;
        let variance = (kept * STD).powi(2) + noise * noise;
        NormalMixture::new(&(means * (kept * RADIUS)), &weights, variance)
    }
}

impl TimeScore for Exact {
    fn score(
        &self,
        t: &Tensor,
        x: &Tensor,
        _context: Option<&Tensor>,
    ) -> maxlik_tensor::Result<Tensor> {
        self.law(t.f_double_value(&[0])?)?.score(x, None)
    }
}

/// Draws of the data, others for each index.
fn data((stream, index): (&str, u64), seed: u64, count: i64) -> Result<Tensor> {
    let rows = Toy::EightGaussians
        .density()
        .sample(usize::try_from(count)?, &mut Stream::new(seed, stream).rng(index));
    // Radius 2.8 and deviation 0.35 in their own units: about one here.
    Ok((array_to_tensor(rows.view(), &[2], Device::Cpu)? / SCALE).f_to_kind(Kind::Float)?)
}

/// Units of the data; in these, the means' distance from the origin and the deviation about them.
const SCALE: f64 = 2.0;
const RADIUS: f64 = 2.0 * SQRT_2 / SCALE;
const STD: f64 = SQRT_2 / 4.0 / SCALE;

fn array(x: &Tensor) -> Result<Array2<f64>> {
    let values = host::to_vec(x)?;
    Ok(Array2::from_shape_vec((values.len() / 2, 2), values)?)
}

pub(super) fn checks(seed: u64, out: &Path) -> Result<Vec<Check>> {
    let center = Tensor::f_zeros([1, 2], FLOAT_CPU)?;
    let params = Params::new(seed, Kind::Float, Device::Cpu);
    let model = Noise::new(&params, &center)?;
    let optim = OptimConfig {
        steps: 6000,
        lr: 3e-3,
        clip: 1.0,
        ema: 0.995,
        schedule: Schedule::Cosine { warmup: 100, last: 0.01 },
        ..OptimConfig::default()
    };
    fit(&params, &optim, seed, |step| {
        let x = data(("train", step), seed, BATCH)?;
        // One uniform offset for the batch spreads the times evenly.
        let even = Tensor::f_arange(BATCH, FLOAT_CPU)? / BATCH as f64;
        let t = (even + Tensor::f_rand([1], FLOAT_CPU)?).f_frac()?.f_clamp(1e-5, 1.0 - 1e-5)?;
        let noise = x.f_randn_like()?;
        let (state, _) = model.noised(&x, &noise, &t)?;
        Ok((model.predict(&t, &state)? - noise).f_square()?.f_mean(Kind::Float)?)
    })?;

    let _no_grad = tch::no_grad_guard();
    let rows = data(("variance", 0), seed, ROWS)?;
    Seeds::new(seed).stream("variance").seed_torch(0);
    let noise = rows.f_randn_like()?;
    let unknown = (1..=STEPS)
        .map(|i| model.unknown(i as f64 / STEPS as f64, &rows, &noise))
        .collect::<Result<Vec<f64>>>()?;
    let known = |t: f64| {
        let index = (t * STEPS as f64).round() as usize;
        unknown[index.clamp(1, STEPS) - 1]
    };
    let truth = array(&data(("test", 0), seed, COUNT)?)?;
    let other = array(&data(("other", 0), seed, COUNT)?)?;
    Seeds::new(seed).stream("start").seed_torch(0);
    let start = Tensor::f_randn([COUNT, 2], FLOAT_CPU)?;
    let mean = center.f_expand([COUNT, 2], false)?;
    let modes = [
        VoiceStep::EulerMaruyama,
        VoiceStep::ProbabilityFlow,
        VoiceStep::MaximumLikelihood(DataVariance::Ignored),
        VoiceStep::MaximumLikelihood(DataVariance::Known(&known)),
    ];
    let draw = |score: &dyn TimeScore, mode| -> Result<Array2<f64>> {
        array(&model.sde.sample(score, &start, &mean, (STEPS, seed), mode)?)
    };
    let distance = |x: &Array2<f64>| wasserstein_2(x.view(), truth.view());
    let (mut found, mut best) = (Vec::new(), Vec::new());
    let mut clouds = vec![truth.clone()];
    for mode in modes {
        let samples = draw(&model, mode)?;
        found.push(distance(&samples)?);
        best.push(distance(&draw(&Exact(VoiceSde::default()), mode)?)?);
        clouds.push(samples);
    }
    tracing::info!("  W₂ of Euler–Maruyama, flow, ML, ML with variance: {found:.4?}");
    tracing::info!("  with the exact score: {best:.4?}");
    pictures(&clouds, out)?;
    let floor = distance(&other)?;
    tracing::info!("  of two draws of the data: {floor:.4}");
    Ok(vec![
        Check::at_most(
            "eight Gaussians, 10 steps: W₂ of ML / W₂ of Euler–Maruyama",
            "at most 0.7",
            found[2] / found[0],
            0.7,
        )
        .beside("with the exact score", best[2] / best[0]),
        Check::at_most(
            "the same with the data's variance in the noise",
            "at most 0.7",
            found[3] / found[0],
            0.7,
        )
        .beside("with the exact score", best[3] / best[0]),
        Check::at_least(
            "W₂ of Euler–Maruyama / W₂ of two draws of the data: there is something to win",
            "at least 1.5",
            found[0] / floor,
            1.5,
        )
        .beside("probability flow / two draws", found[1] / floor),
    ])
}

/// Data, then the samples of the four steps, side by side.
fn pictures(clouds: &[Array2<f64>], out: &Path) -> Result<()> {
    let extent = [-3.2, 3.2, -3.2, 3.2];
    let images: Vec<image::DynamicImage> = clouds
        .iter()
        .map(|cloud| {
            let points = cloud.rows().into_iter().map(|row| [row[0], row[1]]).collect();
            Scatter::new(points).image(extent, 220).into()
        })
        .collect();
    std::fs::write(out.join("samples.png"), png(&beside(&images, 8)?)?)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Exact, SCALE, VoiceSde};
    use maxlik_data::toy::Toy;
    use maxlik_model::Energy;
    use tch::Tensor;

    /// At time zero the law is the data's.
    #[test]
    fn the_exact_law_is_that_of_the_data() {
        let law = Exact(VoiceSde::default()).law(0.0).unwrap();
        for [x, y] in [[0.3, -0.2], [1.4, 0.1], [-1.0, 1.1], [2.0, 2.0]] {
            let at = Tensor::from_slice(&[x as f32, y as f32]).reshape([1, 2]);
            let found = -law.energy(&at, None).unwrap().double_value(&[0]);
            let exact = Toy::EightGaussians.density().log_density_at([x * SCALE, y * SCALE]);
            assert!((found - exact - 2.0 * SCALE.ln()).abs() < 1e-4, "{found} {exact}");
        }
    }
}
