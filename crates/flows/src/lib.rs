//! Normalizing flows: layers, bases and stacks of them.
//!
//! `forward` goes from data to latent, so that a [`Flow`] evaluates a log-density in one forward
//! pass, and samples by the inverse.
//!
//! ```
//! use maxlik_flows::{FlowConfig, NetworkConfig};
//! use maxlik_model::Density;
//! use maxlik_nn::Params;
//! use tch::{Device, Kind};
//!
//! let params = Params::new(7, Kind::Double, Device::Cpu);
//! let flow = FlowConfig::realnvp(4, &NetworkConfig::default()).build(&params.root(), 2, None, vec![])?;
//! let x = flow.sample(5, None)?;
//! assert_eq!(flow.log_prob(&x, None)?.size(), [5]);
//! # Ok::<(), maxlik_tensor::Error>(())
//! ```

mod actnorm;
pub mod audio;
mod autoregressive;
pub mod base;
mod compose;
pub mod config;
mod coupling;
mod denoise;
pub mod elementwise;
mod field_coupling;
mod flow;
pub mod image;
mod injective;
mod inverse;
pub mod linear;
mod logit;
mod lu_linear;
mod multiscale;
mod parameters;
mod permutation;
mod reshape;
pub mod residual;
mod score;
mod standardize;
pub mod tarflow;
pub mod univariate;

pub use actnorm::ActNorm;
pub use autoregressive::{Autoregressive, BlockAutoregressive, Order, Solve};
pub use base::BaseConfig;
pub use compose::Compose;
pub use config::{FlowConfig, LayerConfig, NetworkConfig, SplineConfig};
pub use coupling::{Conditioner, Coupling, Mask, Split};
pub use denoise::{GaussianNoise, LabelDropout};
pub use elementwise::{Elementwise, UnivariateConfig};
pub use field_coupling::{FieldConditioner, FieldCoupling, FieldMask};
pub use flow::Flow;
pub use injective::{Injective, InjectiveConfig};
pub use inverse::Inverse;
pub use logit::Logit;
pub use lu_linear::LuLinear;
pub use multiscale::{Level, Multiscale};
pub use parameters::Parameters;
pub use permutation::Permutation;
pub use reshape::Reshape;
pub use standardize::Standardize;
pub use tarflow::{TarBlock, TarStack, TarflowConfig};
