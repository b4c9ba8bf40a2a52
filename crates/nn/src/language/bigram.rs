//! A table of bigrams.

use super::check_vocabulary;
use crate::{Init, Scope};
use maxlik_model::{LanguageModel, Session, check_tokens};
use maxlik_tensor::Result;
use tch::Tensor;

/// `p(x_t | x_<t) = softmax(W[x_{t−1}])` with a free table `W` `[V, V]`: every bigram language, and the
/// model in which objectives have closed forms.
#[derive(Debug)]
pub struct BigramTable {
    table: Tensor,
}

impl BigramTable {
    /// A table over this many tokens; rows start uniform.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Config`] for an empty vocabulary.
    pub fn new(scope: &Scope<'_>, vocabulary: i64) -> Result<Self> {
        check_vocabulary(vocabulary)?;
        let table = scope.param("table", &[vocabulary, vocabulary], Init::Constant(0.0))?;
        Ok(Self { table })
    }

    /// The table of logits `[V, V]`: a row for each token before, a column for each next one.
    pub fn table(&self) -> &Tensor {
        &self.table
    }
}

impl LanguageModel for BigramTable {
    fn vocabulary(&self) -> i64 {
        self.table.size()[0]
    }

    fn length(&self) -> Option<i64> {
        None
    }

    fn predict(&self, tokens: &Tensor) -> Result<Tensor> {
        Ok(Tensor::f_embedding(&self.table, tokens, -1, false, false)?)
    }

    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(Memoryless(self))
    }
}

/// The last token is all that counts, and it is given.
#[derive(Debug)]
struct Memoryless<'a>(&'a BigramTable);

impl Session for Memoryless<'_> {
    fn extend(&mut self, tokens: &Tensor) -> Result<Tensor> {
        check_tokens(tokens, None)?;
        self.0.predict(tokens)
    }

    fn select(&mut self, _rows: &Tensor) -> Result<()> {
        Ok(())
    }
}
