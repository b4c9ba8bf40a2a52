//! Language models: a trunk between an embedding and a head, a model from sequence to sequence, and a table.

mod autocast;
mod bigram;
mod encoder_decoder;
mod gpt2;
mod transformer;

pub use autocast::Autocast;
pub use bigram::BigramTable;
pub use encoder_decoder::{EncoderDecoder, EncoderDecoderConfig, Given};
pub use gpt2::gpt2;
pub use transformer::{TransformerLanguageModel, TransformerLanguageModelConfig};

use maxlik_tensor::{Error, Result};

fn check_vocabulary(vocabulary: i64) -> Result<()> {
    if vocabulary < 1 {
        let why = format!("expected at least 1 token, got {vocabulary}");
        return Err(Error::config("vocabulary", why));
    }
    Ok(())
}
