//! Progress bars that also leave a line behind, and where output is no terminal print only that line.

use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// A bar that counts bytes.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    title: String,
    start: Instant,
}

impl Bar {
    /// A bar for `total` bytes, or a spinner while that is unknown.
    #[must_use]
    pub fn bytes(title: &str, total: Option<u64>) -> Self {
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let this = Self { bar, title: title.to_owned(), start: Instant::now() };
        this.style(total.is_some());
        this.bar.set_message(this.title.clone());
        this.bar.enable_steady_tick(Duration::from_millis(200));
        this
    }

    fn style(&self, total_known: bool) {
        let template = if total_known {
            "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}"
        } else {
            "{msg} {spinner} {bytes} {elapsed}"
        };
        // The templates above are constants that indicatif accepts; the default is what remains otherwise.
        self.bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
    }

    /// The total became known, or known better.
    pub fn set_total(&self, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
            self.style(true);
        }
    }

    /// `bytes` more are done.
    pub fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// `bytes` are done in all.
    pub fn set(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    /// Takes the bar away and leaves `title: bytes in seconds`.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
        let bytes = HumanBytes(self.bar.position());
        let seconds = self.start.elapsed().as_secs_f64();
        say!("{}: {bytes} in {seconds:.1} s", self.title);
    }

    /// Takes the bar away and leaves nothing.
    pub fn abandon(&self) {
        self.bar.finish_and_clear();
    }
}
