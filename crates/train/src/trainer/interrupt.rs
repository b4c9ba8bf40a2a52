//! Ctrl-C and termination as a wish that training grants after the step under way.

use maxlik_tensor::{Error, Result};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code of a program that was interrupted, by convention of shells (128 + SIGINT).
pub const EXIT_CODE: i32 = 130;

static WISH: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<()> = OnceLock::new();

/// Catches Ctrl-C and SIGTERM from now on, and returns the flag that they set. The second one ends
/// the process at once.
///
/// # Errors
/// [`Error::Unsupported`] where another handler is there already.
pub fn on_signal() -> Result<&'static AtomicBool> {
    if INSTALLED.get().is_none() {
        ctrlc::set_handler(|| {
            if WISH.swap(true, Ordering::SeqCst) {
                std::process::exit(EXIT_CODE);
            }
            tracing::warn!("interrupted: finishing this step (again to end at once)");
        })
        .map_err(|e| Error::unsupported(format!("a handler for Ctrl-C ({e})")))?;
        let _first = INSTALLED.set(());
    }
    Ok(&WISH)
}
