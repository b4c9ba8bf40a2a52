//! Networks that condition or define maxlik's models, and the parameter store that they share.
//!
//! ```
//! use maxlik_nn::{Mlp, MlpConfig, Network, Params};
//! use tch::{Device, Kind, Tensor};
//!
//! let params = Params::new(7, Kind::Double, Device::Cpu);
//! let config = MlpConfig { hidden: vec![16], ..MlpConfig::default() };
//! let net = Mlp::new(&params.root().sub("net"), 3, 0, 2, &config)?;
//! let y = net.forward(&Tensor::zeros([5, 3], (Kind::Double, Device::Cpu)), None)?;
//! assert_eq!(y.size(), [5, 2]);
//! let names: Vec<String> = params.named().into_iter().map(|(name, _)| name).collect();
//! assert_eq!(names, ["net.0.bias", "net.0.weight", "net.1.bias", "net.1.weight"]);
//! # Ok::<(), maxlik_tensor::Error>(())
//! ```

mod activation;
mod conv;
mod conv_net;
pub mod decode;
mod dropout;
mod language;
mod linear;
mod made;
mod mlp;
mod network;
mod norm;
mod params;
mod residual;
mod transformer;
mod upsample;
mod wavenet;

pub use activation::Activation;
pub use conv::{Conv, ConvShape, Reach};
pub use conv_net::{ConvNet, ConvNetConfig};
pub use dropout::Dropout;
pub use language::{
    Autocast, BigramTable, EncoderDecoder, EncoderDecoderConfig, Given, TransformerLanguageModel,
    TransformerLanguageModelConfig, gpt2,
};
pub use linear::Linear;
pub use made::{MaskedLinear, MaskedMlp, MaskedNetwork, MaskedResidualNet, MaskedShape, Steps};
pub use mlp::{Mlp, MlpConfig};
pub use network::Network;
pub use norm::{Norm, NormKind};
pub use params::{Init, Mode, Params, Scope};
pub use residual::{ResidualConfig, ResidualNet};
pub use transformer::{
    AttentionKernel, Cache, CausalTransformer, Decoder, Encoder, FeedForward, Memory, Positions,
    TransformerConfig,
};
pub use upsample::Upsample;
pub use wavenet::{WaveNet, WaveNetConfig};
