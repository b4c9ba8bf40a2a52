//! The one error type of this crate.

use std::path::{Path, PathBuf};

/// Result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong: where, what was expected and what came.
///
/// Rows are data rows counted from 1 (a header is not a row); lines are lines of the file counted
/// from 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file whose content is not of the format that was expected.
    #[error("{}: {why}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        why: String,
    },
    /// A row with more or fewer cells than the table has columns, as in a truncated file.
    #[error(
        "{}: row {row} (line {line}): expected {expected} cells, got {got}",
        path.display()
    )]
    Ragged {
        /// The file.
        path: PathBuf,
        /// Data row, from 1.
        row: u64,
        /// Line of the file, from 1.
        line: u64,
        /// Number of columns of the table.
        expected: usize,
        /// Number of cells of this row.
        got: usize,
    },
    /// An empty cell or a marker of a missing value.
    #[error(
        "{}: row {row} (line {line}), column `{column}`: expected a number, got a missing value ({got:?})",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// Data row, from 1.
        row: u64,
        /// Line of the file, from 1.
        line: u64,
        /// Name of the column.
        column: String,
        /// The cell's text.
        got: String,
    },
    /// A cell that is no number.
    #[error(
        "{}: row {row} (line {line}), column `{column}`: expected a number, got {got:?}",
        path.display()
    )]
    NotNumeric {
        /// The file.
        path: PathBuf,
        /// Data row, from 1.
        row: u64,
        /// Line of the file, from 1.
        line: u64,
        /// Name of the column.
        column: String,
        /// The cell's text.
        got: String,
    },
    /// A column that holds text from its first row on.
    #[error(
        "{}: column `{column}` holds text (row {row}: {got:?}), expected numbers: drop it or encode it as numbers",
        path.display()
    )]
    Categorical {
        /// The file.
        path: PathBuf,
        /// Name of the column.
        column: String,
        /// The row that shows it, from 1.
        row: u64,
        /// That row's text.
        got: String,
    },
    /// NaN or infinity among the data.
    #[error("{of}: row {row}, column `{column}`: expected a finite number, got {got}")]
    NonFinite {
        /// The file or data set.
        of: String,
        /// Data row, from 1.
        row: u64,
        /// Name of the column.
        column: String,
        /// The value.
        got: String,
    },
    /// Columns that hold one value only, so that they have no density and no scale.
    #[error("{of}: constant column{} {}: no density exists there; drop {}",
        if columns.len() == 1 { "" } else { "s" },
        quoted(columns),
        if columns.len() == 1 { "it" } else { "them" })]
    Constant {
        /// The file or data set.
        of: String,
        /// Names of the constant columns.
        columns: Vec<String>,
    },
    /// A name that is none of the known ones.
    #[error("{what}: `{got}` is not known; known are {}", quoted(known))]
    Unknown {
        /// What the name should stand for.
        what: String,
        /// The name that came.
        got: String,
        /// The names that would have been right.
        known: Vec<String>,
    },
    /// An array of another shape than the function can use.
    #[error("{what}: expected {expected}, got {got}")]
    Shape {
        /// Name of the argument.
        what: String,
        /// What would have been right.
        expected: String,
        /// What came.
        got: String,
    },
    /// An argument outside its range.
    #[error("{field}: {why}")]
    Config {
        /// Name of the argument.
        field: String,
        /// What was expected and what came.
        why: String,
    },
    /// A transform of a loader panicked in its worker thread.
    #[error("loader, epoch {epoch}, step {step}: a transform panicked: {message}")]
    Worker {
        /// Epoch of the batch.
        epoch: u64,
        /// Step of the batch within its epoch.
        step: u64,
        /// First line of the panic's message.
        message: String,
    },
}

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn format(path: &Path, why: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), why: why.into() }
    }

    pub(crate) fn config(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Config { field: field.into(), why: why.into() }
    }

    pub(crate) fn shape(
        what: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Self {
        Self::Shape { what: what.into(), expected: expected.into(), got: got.into() }
    }
}

/// Names in back-quotes, separated by commas.
fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    names.join(", ")
}
