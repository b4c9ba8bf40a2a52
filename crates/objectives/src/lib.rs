//! Training objectives.
//!
//! An objective is one way to train a model that has a given capability: `Objective<dyn Density>`
//! for likelihood, so that a pair which does not fit does not compile. Objectives see traits, never
//! layers.
//!
//! ```
//! use maxlik_flows::{FlowConfig, NetworkConfig};
//! use maxlik_model::{Batch, Density, Objective};
//! use maxlik_nn::Params;
//! use maxlik_objectives::density::MaximumLikelihood;
//! use tch::{Device, Kind, Tensor};
//!
//! let params = Params::new(7, Kind::Double, Device::Cpu);
//! let flow = FlowConfig::realnvp(2, &NetworkConfig::default()).build(&params.root(), 2, None, vec![])?;
//! let batch = Batch::new(Tensor::zeros([8, 2], (Kind::Double, Device::Cpu)));
//! let loss = MaximumLikelihood.loss(&flow as &dyn Density, &batch)?;
//! assert_eq!(loss.value.dim(), 0);
//! # Ok::<(), maxlik_tensor::Error>(())
//! ```

pub mod density;
pub mod diffusion;
pub mod reward;
pub mod score;
pub mod sequence;
pub mod transport;
