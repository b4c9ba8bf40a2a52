//! Autoregressive noise of second order with two classes, whose likelihood is known exactly.

use anyhow::Result;
use maxlik_tensor::host;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

/// `x_t = a₁ x_{t−1} + a₂ x_{t−2} + s n_t`, stationary, with poles `r e^{±iθ}`: `a₁ = 2 r cos θ`,
/// `a₂ = −r²`.
#[derive(Debug)]
pub(super) struct Resonance {
    angle: f64,
    innovation: f64,
}

/// `r` of both classes.
const RADIUS: f64 = 0.95;

impl Resonance {
    /// The two classes.
    pub(super) const ALL: [Self; 2] = [
        Self { angle: std::f64::consts::FRAC_PI_4, innovation: 0.1 },
        Self { angle: std::f64::consts::FRAC_PI_2, innovation: 0.3 },
    ];

    fn coefficients(&self) -> [f64; 2] {
        [2.0 * RADIUS * self.angle.cos(), -RADIUS * RADIUS]
    }

    /// Stationary variance.
    fn variance(&self) -> f64 {
        let [a, b] = self.coefficients();
        self.innovation.powi(2) * (1.0 - b) / ((1.0 + b) * ((1.0 - b).powi(2) - a * a))
    }

    /// Autocorrelations at lags 1 to `lags`.
    pub(super) fn autocorrelations(&self, lags: usize) -> Vec<f64> {
        let [a, b] = self.coefficients();
        let mut all = vec![1.0, a / (1.0 - b)];
        while all.len() <= lags {
            all.push(a * all[all.len() - 1] + b * all[all.len() - 2]);
        }
        all[1..=lags].to_vec()
    }

    /// Expected log-likelihood a sample, in nats, of white noise with the stationary variance.
    pub(super) fn white(&self) -> f64 {
        -0.5 * (std::f64::consts::TAU * std::f64::consts::E * self.variance()).ln()
    }

    /// Turns standard normal draws into the process, and returns the exact log-likelihood.
    fn filter(&self, draws: &mut [f64]) -> f64 {
        let [a, b] = self.coefficients();
        let (variance, first) = (self.variance(), a / (1.0 - b));
        let mut log_likelihood = 0.0;
        for t in 0..draws.len() {
            let (mean, std) = match t {
                0 => (0.0, variance.sqrt()),
                1 => (first * draws[0], (variance * (1.0 - first * first)).sqrt()),
                _ => (a * draws[t - 1] + b * draws[t - 2], self.innovation),
            };
            let n = draws[t];
            log_likelihood -= 0.5 * (n * n + std::f64::consts::TAU.ln()) + std.ln();
            draws[t] = mean + std * n;
        }
        log_likelihood
    }
}

/// Chunks of noise.
#[derive(Debug)]
pub(super) struct Chunks {
    /// `[B, 1, T]`.
    pub(super) waves: Tensor,
    /// The class at the rate of frames, one-hot, `[B, 2, T/hop]`.
    pub(super) context: Tensor,
    /// Mean exact log-likelihood of a chunk given its class, in nats.
    pub(super) exact: f64,
}

/// Chunks whose classes come in turns, from LibTorch's generator.
pub(super) fn batch(rows: i64, length: i64, hop: i64) -> Result<Chunks> {
    let mut values = host::to_vec(&Tensor::f_randn([rows, length], FLOAT_CPU)?)?;
    let mut exact = 0.0;
    for (row, wave) in values.chunks_mut(length as usize).enumerate() {
        exact += Resonance::ALL[row % 2].filter(wave);
    }
    let waves = Tensor::f_from_slice(&values)?.f_view([rows, 1, length])?;
    let class = Tensor::f_arange(rows, (Kind::Int64, Device::Cpu))?.f_remainder(2)?;
    let context = class.f_one_hot(2)?.f_to_kind(Kind::Float)?.f_unsqueeze(-1)?;
    let context = context.f_repeat([1, 1, length / hop])?;
    Ok(Chunks { waves: waves.f_to_kind(Kind::Float)?, context, exact: exact / rows as f64 })
}

/// The autocorrelation at a lag of waveforms `[B, 1, T]` of mean zero, over all of them.
pub(super) fn mean_autocorrelation(x: &Tensor, lag: i64) -> Result<f64> {
    let x = x.f_to_kind(Kind::Double)?;
    let length = x.size()[2];
    let (early, late) = (x.f_narrow(2, 0, length - lag)?, x.f_narrow(2, lag, length - lag)?);
    let product = host::scalar(&early.f_mul(&late)?.f_mean(Kind::Double)?)?;
    Ok(product / host::scalar(&x.f_square()?.f_mean(Kind::Double)?)?)
}
