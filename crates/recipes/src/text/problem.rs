//! Text ready for a model: a vocabulary, and rows of tokens.

use crate::config::{DataConfig, ModelConfig, Recipe, Tokens};
use anyhow::{Context, Result, bail};
use maxlik_data::text::{
    Bytes, Characters, Parts, Sequences, Tokenizer, divide, pack, read, sonnets,
};
use maxlik_model::Batch;
use maxlik_tensor::Error;
use tch::{Device, Tensor};

/// A text in three parts, packed into rows.
#[derive(Debug)]
pub struct TextProblem {
    /// What turns text into tokens.
    pub tokenizer: Box<dyn Tokenizer>,
    /// Training rows.
    pub train: Sequences,
    /// Validation rows.
    pub validation: Sequences,
    /// Test rows.
    pub test: Sequences,
    /// The test text, for counts of its bytes and words, and for prompts.
    pub test_text: Vec<String>,
}

impl TextProblem {
    /// Reads, divides and packs the text of a recipe.
    ///
    /// # Errors
    /// For files that cannot be read, and a recipe that is not about text.
    pub fn load(recipe: &Recipe) -> Result<Self> {
        let DataConfig::Text { path, field, tokens, validation, test } = &recipe.data else {
            bail!("data.kind: expected text");
        };
        let ModelConfig::Transformer(model) = &recipe.model else {
            bail!("model.kind: expected transformer, the model of text");
        };
        let documents =
            if path.as_os_str().is_empty() { vec![sonnets()?] } else { read(path, field)? };
        let tokenizer: Box<dyn Tokenizer> = match tokens {
            Tokens::Characters => Box::new(Characters::of(&documents)),
            Tokens::Bytes => Box::new(Bytes),
        };
        let parts: Parts = divide(&documents, *validation, *test).context("data")?;
        let length = usize::try_from(model.length).unwrap_or(0);
        let rows = |part: &[String]| -> Result<Sequences> {
            let each: maxlik_data::Result<Vec<Vec<i64>>> =
                part.iter().map(|document| tokenizer.encode(document)).collect();
            pack(&each?, length, tokenizer.boundary()).context("model.length")
        };
        Ok(Self {
            train: rows(&parts.train)?,
            validation: rows(&parts.validation)?,
            test: rows(&parts.test)?,
            test_text: parts.test,
            tokenizer,
        })
    }

    /// Rows of a part as a batch on a device.
    ///
    /// # Errors
    /// [`Error::Torch`] where the device refuses.
    pub fn batch(part: &Sequences, rows: &[usize], device: Device) -> maxlik_tensor::Result<Batch> {
        let width = part.tokens.ncols();
        let shape = [rows.len() as i64, width as i64];
        let tokens: Vec<i64> = rows
            .iter()
            .flat_map(|&r| part.tokens.row(r).iter().copied().collect::<Vec<_>>())
            .collect();
        let weight: Vec<f32> = rows
            .iter()
            .flat_map(|&r| part.weight.row(r).iter().copied().collect::<Vec<_>>())
            .collect();
        let to = |x: Tensor| -> Result<Tensor, Error> { Ok(x.f_view(shape)?.f_to_device(device)?) };
        Ok(Batch {
            data: to(Tensor::f_from_slice(&tokens)?)?,
            context: None,
            weight: Some(to(Tensor::f_from_slice(&weight)?)?),
        })
    }
}
