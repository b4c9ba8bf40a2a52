//! The one crate of maxlik that knows LibTorch's raw edges.
//!
//! - [`Error`] with shape, dtype and device context, checks at public boundaries ([`check`]), and
//!   [`guard`], which turns panics of outermost calls into errors;
//! - devices as people write them ([`device`]) and named streams of seeds ([`Seeds`]);
//! - products with Jacobians and exact Jacobians ([`autograd`]), exact and estimated traces
//!   ([`trace`]);
//! - log-determinants of structured matrices ([`logdet`]), and functions that stay finite ([`safe`]);
//! - fused, differentiable ops with Rust kernels ([`custom`], [`spline`], [`vocabulary`]).
//!
//! ```
//! use maxlik_tensor::{autograd::{self, Graph}, logdet};
//! use tch::{Kind, Tensor};
//!
//! let x = Tensor::from_slice(&[0.3_f64, -1.2]).reshape([1, 2]);
//! let jacobian = autograd::jacobian(&|x| Ok(x.f_pow_tensor_scalar(3)?), &x, Graph::Free)?;
//! let log_det = logdet::dense(&jacobian)?;
//! let exact = (3.0 * 0.3_f64.powi(2)).ln() + (3.0 * 1.2_f64.powi(2)).ln();
//! assert!((log_det.double_value(&[0]) - exact).abs() < 1e-12);
//! # Ok::<(), maxlik_tensor::Error>(())
//! ```

pub mod adamw;
pub mod affine;
pub mod attention;
pub mod autocast;
pub mod autograd;
pub mod check;
pub mod columns;
pub mod custom;
pub mod device;
mod error;
pub mod gelu;
pub mod host;
mod kernels;
pub mod logdet;
pub mod masked;
pub mod mixture;
pub mod perceptron;
pub mod safe;
mod seed;
pub mod spline;
pub mod threads;
pub mod trace;
pub mod vocabulary;

pub use error::{Error, Result, guard};
pub use seed::{Seeds, with_seed};
