//! `ln |det|` of structured matrices: one file for each structure, each stating its cost in `D`.
//!
//! | structure | function | cost |
//! |---|---|---|
//! | dense | [`dense`], [`LuFactors`] | `D³` |
//! | triangular, diagonal | [`triangular`], [`diagonal`] | `D` |
//! | diagonal plus rank `R` | [`low_rank`] | `D R²` |
//! | symmetric positive definite | [`positive_definite`] | `D³`, half of LU's |
//! | `K` Householder factors; orthogonal ones have zero | [`householder`] | `K D` |
//! | Kronecker product | [`kronecker`] | `N³ + M³` |
//! | block triangular, blocks | [`block_triangular`], [`block`] | those of the blocks |
//! | 1×1 convolution | [`pointwise_convolution`] | `C³` |
//! | periodic convolution on `P` places | [`circular_convolution`] | `P C³ + C² P log P` |
//! | zero-padded convolution | [`padded_convolution`] | `(C P)³` |
//! | matrix exponential | [`exponential`] | `D` |
//! | residual map | [`power_series`], [`Roulette`] | one product with the Jacobian a term |

mod block;
mod circular;
mod dense;
mod diagonal;
mod exponential;
mod householder;
mod kronecker;
mod low_rank;
mod lu;
mod padded;
mod power_series;
mod spd;
mod triangular;

pub use block::{Blocks, block, block_triangular};
pub use circular::{circular_convolution, pointwise_convolution};
pub use dense::dense;
pub use diagonal::diagonal;
pub use exponential::exponential;
pub use householder::householder;
pub use kronecker::kronecker;
pub use low_rank::low_rank;
pub use lu::LuFactors;
pub use padded::{padded_convolution, toeplitz};
pub use power_series::{Roulette, neumann_surrogate, power_series};
pub use spd::positive_definite;
pub use triangular::triangular;

use std::cell::Cell;

thread_local! {
    static FACTORED: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has factored a matrix (or a batch of them) for a log-determinant: calls of
/// LU and Cholesky made by this module. Shows that training which needs no determinant computes none.
#[must_use]
pub fn factorizations() -> u64 {
    FACTORED.get()
}

fn count_factorization() {
    FACTORED.set(FACTORED.get() + 1);
}
