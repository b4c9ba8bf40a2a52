//! What a person sees of a run: a bar on a terminal, lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Time between two looks at the speed.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The state of a run as it is shown.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    /// Names of the training loss and of what is validated.
    names: [String; 2],
    steps: u64,
    per_epoch: u64,
    step: u64,
    train: Option<f64>,
    validation: Option<f64>,
    samples: u64,
    speed: Option<f64>,
    looked: Instant,
    last_line: Instant,
}

impl Progress {
    pub(super) fn new(names: [&str; 2], step: u64, steps: u64, per_epoch: u64) -> Self {
        // Hidden by itself where standard error is no terminal.
        let bar = ProgressBar::new(steps).with_position(step);
        // The bar takes what the numbers leave: little of 80 columns.
        let style = "{prefix} {wide_bar:.cyan/blue.dim} {pos}/{len} {msg} ETA {eta}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.reset_eta();
        let now = Instant::now();
        Self {
            bar,
            names: names.map(str::to_owned),
            steps,
            per_epoch: per_epoch.max(1),
            step,
            train: None,
            validation: None,
            samples: 0,
            speed: None,
            looked: now,
            last_line: now,
        }
    }

    /// A step was made, with this loss, on so many samples.
    pub(super) fn step(&mut self, step: u64, loss: f64, samples: u64) {
        self.step = step;
        self.samples += samples;
        // A short memory: single batches jump too much to be read.
        self.train = Some(self.train.map_or(loss, |train| train + 0.05 * (loss - train)));
        let elapsed = self.looked.elapsed();
        if elapsed < LOOK_EVERY && step < self.steps {
            return;
        }
        let speed = self.samples as f64 / elapsed.as_secs_f64().max(1e-9);
        self.speed = Some(self.speed.map_or(speed, |old| 0.7 * old + 0.3 * speed));
        self.restart_clock();
        self.draw();
        if self.last_line.elapsed() >= LINE_EVERY {
            self.line();
        }
    }

    /// A validation came to this value.
    pub(super) fn validated(&mut self, value: f64) {
        self.validation = Some(value);
        self.draw();
        self.line();
    }

    /// Time that goes by until now is not training: it must not count as slowness.
    pub(super) fn restart_clock(&mut self) {
        self.samples = 0;
        self.looked = Instant::now();
    }

    /// Samples per second, over the last seconds.
    pub(super) fn speed(&self) -> Option<f64> {
        self.speed
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn draw(&self) {
        self.bar.set_position(self.step);
        self.bar.set_prefix(self.epoch());
        self.bar.set_message(self.numbers());
    }

    /// A line for logs, where there is no bar.
    fn line(&mut self) {
        self.last_line = Instant::now();
        if self.bar.is_hidden() {
            let (epoch, numbers) = (self.epoch(), self.numbers());
            tracing::info!("{epoch}, step {}/{}: {numbers}", self.step, self.steps);
        }
    }

    fn epoch(&self) -> String {
        let of = self.steps.div_ceil(self.per_epoch);
        format!("epoch {}/{of}", (self.step.saturating_sub(1)) / self.per_epoch + 1)
    }

    fn numbers(&self) -> String {
        let shown =
            |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.3}"));
        let (train, validation) = (shown(self.train), shown(self.validation));
        let [loss, quantity] = &self.names;
        let mut text = if loss == quantity {
            format!("{loss} train {train} val {validation}")
        } else {
            format!("{loss} train {train}, {quantity} val {validation}")
        };
        if let Some(speed) = self.speed {
            text.push_str(&format!(" {} samples/s", rounded(speed)));
        }
        text
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // Also when training ends with an error: the line of the error must stand alone.
        self.bar.finish_and_clear();
    }
}

/// Three significant digits: `842`, `12.3k`, `1.25M`.
fn rounded(x: f64) -> String {
    match x {
        x if x >= 1e6 => format!("{:.2}M", x / 1e6),
        x if x >= 1e4 => format!("{:.1}k", x / 1e3),
        x if x >= 1e3 => format!("{:.2}k", x / 1e3),
        x => format!("{x:.0}"),
    }
}
