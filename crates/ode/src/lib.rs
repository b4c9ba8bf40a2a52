//! Batched solvers of ordinary and stochastic differential equations, and the densities on them.
//!
//! - [`Solver`]: a method ([`tableau`]) under a step control ([`Adaptive`], [`Grid`]), for batches
//!   in which each sample may have its own time, step and end.

mod cnf;
mod collect;
mod contracting;
mod control;
mod dense;
pub mod diffusion;
mod drive;
mod event;
mod explicit;
mod field;
mod flow_map;
mod flow_state;
mod gaussian;
mod gradient;
pub mod implicit;
mod initial;
mod lane;
pub mod manifold;
mod mlp;
mod multistep;
mod score;
pub mod sde;
mod solution;
mod solve;
mod stages;
mod stepper;
pub mod tableau;
mod time;
pub mod trace;
mod trial;

pub use cnf::{Cnf, Draws, Evaluated};
pub use contracting::{ContractingField, ContractingFieldConfig, ResidualField};
pub use control::{Adaptive, Batching, Bound, Control, Gains, Grid};
pub use event::{Crossing, Event, EventFunction};
pub use explicit::Explicit;
pub use field::{Field, FromFn, Rows, SharedField, Velocity};
pub use gaussian::Gaussian;
pub use gradient::Gradient;
pub use implicit::{Implicit, Rosenbrock23};
pub use mlp::{MlpField, MlpFieldConfig, TwoLayer};
pub use multistep::Abm;
pub use solution::{Counts, Occurrence, Solution, Status};
pub use solve::Solver;
pub use stepper::{Point, Query, Step, Stepper};
pub use time::Time;
pub use trace::{Autograd, Drift, Noise, ScoreRate, Trace, Traced};
