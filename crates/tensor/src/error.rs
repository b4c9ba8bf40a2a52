//! The one error type of the library crates.

use std::path::PathBuf;

/// Result of every fallible function of the library crates.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, always with what was expected, what came, and of which argument.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor of another shape than the function can use.
    #[error("{what}: expected shape {expected}, got {got}")]
    Shape {
        /// Name of the argument.
        what: String,
        /// The shape that would have been right, `B` standing for any batch size.
        expected: String,
        /// The shape that came.
        got: String,
    },
    /// A tensor of another dtype than its partners.
    #[error("{what}: expected dtype {expected}, got {got}")]
    Kind {
        /// Name of the argument.
        what: String,
        /// The dtype that would have been right.
        expected: String,
        /// The dtype that came.
        got: String,
    },
    /// A tensor on another device than its partners, or a device that is not there.
    #[error("{what}: expected device {expected}, got {got}")]
    Device {
        /// Name of the argument.
        what: String,
        /// The device that would have been right.
        expected: String,
        /// The device that came.
        got: String,
    },
    /// A value of a configuration that cannot be used.
    #[error("{field}: {why}")]
    Config {
        /// Dotted path of the value, as in the configuration file.
        field: String,
        /// What is wrong with it, and what would be right.
        why: String,
    },
    /// NaN or infinity where a finite number is needed.
    #[error("{what} is not finite")]
    NonFinite {
        /// The first tensor or quantity that is not finite.
        what: String,
    },
    /// An iteration that did not reach its tolerance.
    #[error("{what} did not converge in {steps} steps")]
    NotConverged {
        /// The iteration.
        what: String,
        /// Steps that were made.
        steps: usize,
    },
    /// A map or matrix without an inverse.
    #[error("{what} is not invertible")]
    NotInvertible {
        /// The map or matrix.
        what: String,
    },
    /// Something that this model, layer or device cannot do.
    #[error("{what} is not supported here")]
    Unsupported {
        /// What was asked for.
        what: String,
    },
    /// A parameter name that is taken already.
    #[error("parameter {name} exists already")]
    DuplicateName {
        /// The full, dotted name.
        name: String,
    },
    /// LibTorch refused an operation.
    #[error("LibTorch: {}", first_line(.0))]
    Torch(#[from] tch::TchError),
    /// A panic that [`crate::guard`] caught.
    #[error("{op} failed: {message}")]
    Panicked {
        /// The outermost operation.
        op: String,
        /// First line of the panic's message.
        message: String,
    },
    /// A file that could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file whose content is not what its name or checksum promises.
    #[error("{}: {why}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    /// A [`Error::Config`] for `field`.
    pub fn config(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Config { field: field.into(), why: why.into() }
    }

    /// A [`Error::Shape`] for `what`, whose shape is `got`.
    pub fn shape(what: impl Into<String>, expected: impl Into<String>, got: &[i64]) -> Self {
        Self::Shape { what: what.into(), expected: expected.into(), got: format!("{got:?}") }
    }

    /// A [`Error::Unsupported`].
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into() }
    }

    /// Whether the run may go on: a bad draw can be skipped and counted, all else is final.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        matches!(self, Self::NonFinite { .. } | Self::NotConverged { .. })
    }
}

/// LibTorch appends a C++ stack trace to its messages; a person wants the first line.
fn first_line(error: &tch::TchError) -> String {
    let text = match error {
        tch::TchError::Torch(message) => message.clone(),
        other => other.to_string(),
    };
    text.lines().next().unwrap_or_default().to_owned()
}

/// Runs an outermost operation, turning a panic inside it (out of memory, an operator between
/// tensors that do not fit) into [`Error::Panicked`].
///
/// # Errors
/// Whatever `body` returns, or [`Error::Panicked`].
pub fn guard<T>(op: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    outcome.unwrap_or_else(|payload| {
        let message = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without a message");
        let message = message.lines().next().unwrap_or_default().to_owned();
        Err(Error::Panicked { op: op.to_owned(), message })
    })
}
