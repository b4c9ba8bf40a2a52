//! `ln |det|` of structured matrices: one file for each structure, each stating its cost in `D`.

mod dense;
mod diagonal;
mod triangular;

pub use dense::dense;
pub use diagonal::diagonal;
pub use triangular::triangular;
