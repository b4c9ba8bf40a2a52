//! Axes: round ticks, their labels, and places in pixels.

/// A linear map from values to pixels, with ticks at round numbers.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    begin: f64,
    end: f64,
    ticks: Vec<f64>,
    step: f64,
}

impl Axis {
    /// Values `low..high` on pixels `begin..end`, with about `count` ticks.
    pub(super) fn new(range: [f64; 2], pixels: [f64; 2], count: usize) -> Self {
        let [low, high] = proper(range);
        let step = round_step((high - low) / count.max(1) as f64);
        let first = (low / step).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        let ticks = (first..=last).map(|i| i as f64 * step).collect();
        Self { low, high, begin: pixels[0], end: pixels[1], ticks, step }
    }

    /// The same axis on other pixels.
    pub(super) fn on(&self, pixels: [f64; 2]) -> Self {
        Self { begin: pixels[0], end: pixels[1], ..self.clone() }
    }

    /// The pixel of a value.
    pub(super) fn place(&self, value: f64) -> f64 {
        self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)
    }

    /// Pixels and labels of the ticks.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        self.ticks.iter().map(|&t| (self.place(t), self.label(t))).collect()
    }

    fn label(&self, value: f64) -> String {
        let largest = self.low.abs().max(self.high.abs());
        if largest >= 1e7 || self.step < 1e-5 {
            return if value == 0.0 { "0".to_owned() } else { format!("{value:.1e}") };
        }
        if self.step >= 1000.0 {
            let decimals = usize::from(self.step % 1000.0 != 0.0);
            let text = format!("{:.decimals$}k", value / 1000.0);
            return if value == 0.0 { "0".to_owned() } else { text };
        }
        let decimals = (-self.step.log10() + 1e-9).ceil().max(0.0) as usize;
        // A true minus sign, as wide as the digits.
        format!("{value:.decimals$}").replace('-', "−")
    }
}

/// A range with a positive length.
fn proper([low, high]: [f64; 2]) -> [f64; 2] {
    match (low.is_finite() && high.is_finite(), high > low) {
        (true, true) => [low, high],
        (true, false) => [low - 0.5, low + 0.5],
        (false, _) => [0.0, 1.0],
    }
}

/// The one of 1, 2, 5 times a power of ten that is nearest to `wanted`, by ratio.
fn round_step(wanted: f64) -> f64 {
    let power = 10_f64.powf(wanted.log10().floor());
    let distance = |step: f64| (step / wanted).ln().abs();
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    steps.into_iter().min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap_or(power)
}
