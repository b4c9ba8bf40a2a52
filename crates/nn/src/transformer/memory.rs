//! Another sequence that a decoder looks at.

use super::cache::KeysValues;
use maxlik_tensor::Result;
use tch::Tensor;

/// Keys and values of an encoded sequence for the cross-attention of each layer of a decoder: computed
/// once, whatever is written from it.
#[derive(Debug)]
pub struct Memory {
    pub(super) layers: Vec<KeysValues>,
    /// `[B, 1, 1, S]`: true for what is shown; all is, where there is none.
    pub(super) shown: Option<Tensor>,
}

impl Memory {
    /// Number of rows of the batch, where there is a layer.
    #[must_use]
    pub fn rows(&self) -> Option<i64> {
        self.layers.first().map(|layer| layer.keys.size()[0])
    }

    /// These rows of the batch, which may repeat: `rows` is `[B']` of indices.
    ///
    /// # Errors
    /// LibTorch's, for an index without a row.
    pub fn select(&self, rows: &Tensor) -> Result<Self> {
        let layers = self.layers.iter().map(|layer| layer.select(rows)).collect::<Result<_>>()?;
        let shown = self.shown.as_ref().map(|shown| shown.f_index_select(0, rows)).transpose()?;
        Ok(Self { layers, shown })
    }
}

impl Clone for Memory {
    /// The same tensors, with their graph.
    fn clone(&self) -> Self {
        let layer = |layer: &KeysValues| KeysValues {
            keys: layer.keys.shallow_clone(),
            values: layer.values.shallow_clone(),
        };
        Self {
            layers: self.layers.iter().map(layer).collect(),
            shown: self.shown.as_ref().map(Tensor::shallow_clone),
        }
    }
}
