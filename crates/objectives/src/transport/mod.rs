//! Objectives that regress a velocity field on paths from noise to data.

mod flow_matching;
mod path;

pub use flow_matching::FlowMatching;
pub use path::{Path, Point};
