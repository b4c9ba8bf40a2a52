//! Models of token sequences.

use maxlik_tensor::{Error, Result};
use std::fmt::Debug;
use tch::{Kind, Tensor};

/// An autoregressive model `p(x) = Π_t p(x_t | x_<t)` of sequences of tokens `0, 1, …, V − 1`.
///
/// The first token of a sequence is given (a beginning mark, or a prompt); what a sequence is
/// conditioned on stands before it, in the same sequence.
pub trait LanguageModel: Debug + Send {
    /// Number `V` of different tokens.
    fn vocabulary(&self) -> i64;

    /// The longest sequence, where there is a limit.
    fn length(&self) -> Option<i64>;

    /// As [`LanguageModel::logits`], unchecked: what an implementer writes.
    ///
    /// # Errors
    /// What the mathematics meets.
    fn predict(&self, tokens: &Tensor) -> Result<Tensor>;

    /// An empty sequence for each row of a batch, to be extended token by token.
    fn session(&self) -> Box<dyn Session + '_>;

    /// A vector for each token, `[V, H]`, with its graph: the rows of the last linear map, where
    /// there is one. Costs between tokens are measured on it.
    fn embedding(&self) -> Option<Tensor> {
        None
    }

    /// Tokens `[B, T]` (64-bit integers) to logits `[B, T, V]`: the softmax of entry `t` is the
    /// distribution of token `t + 1`, given the tokens up to `t`. Log-probabilities are in nats.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Kind`] for tokens that are not `[B, T]` of 64-bit integers with at
    /// least one token and no more than the model takes.
    fn logits(&self, tokens: &Tensor) -> Result<Tensor> {
        check_tokens(tokens, self.length())?;
        self.predict(tokens)
    }
}

/// Sequences under construction, one in each row of a batch, with what the model remembers of them.
pub trait Session: Debug {
    /// Appends the next tokens `[B, t]`, and returns the logits after each of them, `[B, t, V]`.
    ///
    /// # Errors
    /// Where the sequences would be too long, and what the mathematics meets.
    fn extend(&mut self, tokens: &Tensor) -> Result<Tensor>;

    /// Goes on with these rows of the batch, which may repeat: `rows` is `[B']` of indices. Called
    /// after the first tokens only.
    ///
    /// # Errors
    /// LibTorch's, for an index without a row.
    fn select(&mut self, rows: &Tensor) -> Result<()>;
}

/// Checks that tokens are `[B, T]` of 64-bit integers with `T` between one and `length`.
///
/// # Errors
/// [`Error::Shape`] or [`Error::Kind`] naming the tokens.
pub fn check_tokens(tokens: &Tensor, length: Option<i64>) -> Result<()> {
    let size = tokens.size();
    let fits = match size.as_slice() {
        &[_, t] => t >= 1 && length.is_none_or(|most| t <= most),
        _ => false,
    };
    if !fits {
        let most = length.map_or_else(String::new, |most| format!(" and T up to {most}"));
        return Err(Error::shape("tokens", format!("[B, T] with T at least 1{most}"), &size));
    }
    if tokens.kind() != Kind::Int64 {
        return Err(Error::Kind {
            what: "tokens".to_owned(),
            expected: "Int64".to_owned(),
            got: format!("{:?}", tokens.kind()),
        });
    }
    Ok(())
}
