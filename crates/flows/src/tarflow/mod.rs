//! Transformer flows: TARFlow (Zhai et al. 2024, "Normalizing flows are capable generative models",
//! arXiv:2412.06329) and STARFlow (Gu et al. 2025, arXiv:2506.06276).
//!
//! A block is a masked autoregressive affine map of tokens whose conditioner is a causal transformer
//! ([`TarBlock`]); a stack alternates the order of the tokens ([`TarStack`]). TARFlow's blocks are
//! equally deep; STARFlow has a deep block next to the prior and shallow ones next to the data
//! ([`TarflowConfig::deep_shallow`]). [`Guidance`] sharpens conditional samples.

mod block;
mod config;
mod gaussian;
mod guidance;
mod inverse;
mod stack;

pub use block::{TarBlock, TarBlockShape};
pub use config::{
    Conditioned, Inversion, Ordering, Start, TarBlockConfig, TarflowConfig, TokenScale,
};
pub use gaussian::TokenGaussian;
pub use guidance::{Guidance, GuidanceRule, Reference};
pub use stack::TarStack;
