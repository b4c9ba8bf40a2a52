//! Objectives that regress a velocity field on paths from noise, or any source, to data.
//!
//! ```
//! use maxlik_model::{Batch, Objective, VectorField};
//! use maxlik_objectives::transport::FlowMatching;
//! use maxlik_tensor::Result;
//! use tch::{Device, Kind, Tensor};
//!
//! #[derive(Debug)]
//! struct Rest;
//!
//! impl VectorField for Rest {
//!     fn velocity(&self, _t: &Tensor, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
//!         Ok(x.f_zeros_like()?)
//!     }
//! }
//!
//! let batch = Batch::new(Tensor::f_randn([64, 2], (Kind::Float, Device::Cpu))?);
//! let (independent, optimal) = (FlowMatching::independent(0.0)?, FlowMatching::optimal(0.0)?);
//! let far = independent.loss(&Rest as &dyn VectorField, &batch)?.value.double_value(&[]);
//! let near = optimal.loss(&Rest as &dyn VectorField, &batch)?.value.double_value(&[]);
//! // A field at rest pays the mean squared length of the pairs.
//! assert!(near < far);
//! # Ok::<(), maxlik_tensor::Error>(())
//! ```

mod coupling;
mod flow_matching;
mod interpolant;
mod path;
mod prediction;
mod reconstruction;
mod reflow;
mod score_and_flow;
mod trajectory;

pub use coupling::Coupling;
pub use flow_matching::{Draws, FlowMatching, FlowMatchingConfig};
pub use interpolant::{Interpolant, Level};
pub use path::{Path, Point};
pub use prediction::{AsVelocity, Prediction, PredictionMatching};
pub use reconstruction::{Reconstruction, ReconstructionFitConfig};
pub use reflow::{Pairs, reflow};
pub use score_and_flow::{FlowAndScore, ScoreAndFlow, ScoreAndFlowConfig, SdeDrift, Terms};
pub use trajectory::{Trajectory, normalised_path_energy, trajectory};

use maxlik_tensor::{Error, Result, check};
use tch::{Kind, Tensor};

/// Squared Euclidean norm over the event, `[B, …] → [B]`.
pub(crate) fn square_norm(x: &Tensor) -> Result<Tensor> {
    let rows = x.size()[0];
    let count: i64 = x.size()[1..].iter().product();
    let flat = x.f_square()?.f_reshape([rows, count])?;
    Ok(flat.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?)
}

/// `t` `[B]` in the form that multiplies `x` `[B, …]`.
pub(crate) fn column(t: &Tensor, x: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; x.dim()];
    shape[0] = -1;
    Ok(t.f_reshape(shape.as_slice())?)
}

/// The mean of the losses of rows `[B]`, weighted where the batch has weights.
pub(crate) fn batch_mean(each: &Tensor, weight: Option<&Tensor>) -> Result<Tensor> {
    let Some(weight) = weight else { return Ok(each.f_mean(None::<Kind>)?) };
    check::shape("weight", weight, &each.size())?;
    let total = weight.f_sum(None::<Kind>)?;
    Ok(each.f_mul(weight)?.f_sum(None::<Kind>)?.f_div(&total)?)
}

/// The number of rows of a batch, at least one.
pub(crate) fn rows_of(data: &Tensor) -> Result<i64> {
    match data.size().first() {
        Some(&rows) if rows > 0 => Ok(rows),
        _ => Err(Error::shape("data", "a batch of at least one row", &data.size())),
    }
}

/// Times `(u + i/B) mod 1` for row `i` with one uniform `u`: each is uniform, and together they
/// cover the interval evenly (Kingma, Salimans, Poole and Ho 2021, arXiv:2107.00630, appendix I.1).
pub(crate) fn stratified(offset: f64, rows: i64) -> Vec<f64> {
    (0..rows).map(|i| (offset + i as f64 / rows as f64).fract()).collect()
}
