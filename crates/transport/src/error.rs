//! The error type of this crate.

/// Result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, with what was expected, what came, and of which argument.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A cloud, a weight vector or a matrix without entries.
    #[error("{what}: expected at least one entry, got none")]
    Empty {
        /// Name of the argument.
        what: &'static str,
    },
    /// An array of another shape than its partners ask for.
    #[error("{what}: expected {expected}, got {got}")]
    Shape {
        /// Name of the argument.
        what: &'static str,
        /// What would have been right.
        expected: String,
        /// What came.
        got: String,
    },
    /// NaN or infinity where a finite number is needed, or a number whose square overflows.
    #[error("{what}: expected finite values, got {got}")]
    NonFinite {
        /// Name of the argument.
        what: &'static str,
        /// The first value that is not finite.
        got: f64,
    },
    /// Negative mass.
    #[error("{what}: expected masses of zero or more, got {got}")]
    NegativeMass {
        /// Name of the argument.
        what: &'static str,
        /// The first negative value.
        got: f64,
    },
    /// Masses that cannot be transported onto each other.
    #[error(
        "masses: expected equal positive totals, got {source_mass} at the source and {target_mass} at the target"
    )]
    Unbalanced {
        /// Total mass of the source.
        source_mass: f64,
        /// Total mass of the target.
        target_mass: f64,
    },
    /// A parameter outside its range.
    #[error("{what}: {why}")]
    Parameter {
        /// Name of the parameter.
        what: &'static str,
        /// What is wrong with it, and what would be right.
        why: String,
    },
}

impl Error {
    pub(crate) fn shape(
        what: &'static str,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self::Shape { what, expected: expected.into(), got: got.into() }
    }

    pub(crate) fn parameter(what: &'static str, why: impl Into<String>) -> Self {
        Self::Parameter { what, why: why.into() }
    }
}
