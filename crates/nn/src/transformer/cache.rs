//! Keys and values of the tokens that a sequence has so far.

use maxlik_tensor::Result;
use tch::Tensor;

/// Keys and values of all layers, so that a further token costs its own work only.
///
/// Without a graph, tokens are written into room for the whole sequence that is allocated once; with
/// one (differentiable samples), each step concatenates.
#[derive(Debug)]
pub struct Cache {
    slots: Vec<Option<KeysValues>>,
    length: i64,
    capacity: i64,
    temperature: f64,
}

/// Keys and values `[B, H, t, w]` that attention looks at.
#[derive(Debug)]
pub(super) struct KeysValues {
    pub(super) keys: Tensor,
    pub(super) values: Tensor,
}

impl Cache {
    pub(super) fn new(layers: usize, capacity: i64) -> Self {
        let slots = (0..layers).map(|_| None).collect();
        Self { slots, length: 0, capacity, temperature: 1.0 }
    }

    /// The same with attention logits divided by `temperature`, which blurs (above one) or sharpens
    /// attention.
    #[must_use]
    pub fn at_temperature(self, temperature: f64) -> Self {
        Self { temperature, ..self }
    }

    /// Number of tokens in the cache.
    #[must_use]
    pub fn len(&self) -> i64 {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Forgets all tokens but the first `length`.
    pub fn truncate(&mut self, length: i64) {
        self.length = self.length.min(length.max(0));
    }

    /// Goes on with these rows of the batch, which may repeat: `rows` is `[B']` of indices.
    ///
    /// # Errors
    /// LibTorch's, for an index without a row.
    pub fn select(&mut self, rows: &Tensor) -> Result<()> {
        for slot in self.slots.iter_mut().flatten() {
            *slot = slot.select(rows)?;
        }
        Ok(())
    }

    pub(super) fn temperature(&self) -> f64 {
        self.temperature
    }

    pub(super) fn advance(&mut self, tokens: i64) {
        self.length += tokens;
    }

    /// Puts `new` behind the tokens of layer `number`, and returns all of them.
    pub(super) fn append(&mut self, number: usize, new: KeysValues) -> Result<KeysValues> {
        let (start, tokens) = (self.length, new.keys.size()[2]);
        let slot = &mut self.slots[number];
        let before = slot.take();
        if new.keys.requires_grad() || before.as_ref().is_some_and(|b| b.keys.requires_grad()) {
            let joined = match before {
                Some(before) => KeysValues {
                    keys: Tensor::f_cat(&[before.keys.f_narrow(2, 0, start)?, new.keys], 2)?,
                    values: Tensor::f_cat(&[before.values.f_narrow(2, 0, start)?, new.values], 2)?,
                },
                None => new,
            };
            *slot = Some(joined.narrow(start + tokens)?);
            return joined.narrow(start + tokens);
        }
        let room = match before {
            Some(before) => before.with_room(start, start + tokens, self.capacity)?,
            None => new.room(self.capacity)?,
        };
        room.keys.f_narrow(2, start, tokens)?.f_copy_(&new.keys)?;
        room.values.f_narrow(2, start, tokens)?.f_copy_(&new.values)?;
        let all = room.narrow(start + tokens)?;
        *slot = Some(room);
        Ok(all)
    }
}

impl KeysValues {
    /// These rows of the batch.
    pub(super) fn select(&self, rows: &Tensor) -> Result<Self> {
        Ok(Self {
            keys: self.keys.f_index_select(0, rows)?,
            values: self.values.f_index_select(0, rows)?,
        })
    }

    fn narrow(&self, length: i64) -> Result<Self> {
        Ok(Self {
            keys: self.keys.f_narrow(2, 0, length)?,
            values: self.values.f_narrow(2, 0, length)?,
        })
    }

    /// Room for `capacity` tokens of this kind.
    fn room(&self, capacity: i64) -> Result<Self> {
        let empty = |like: &Tensor| {
            let mut size = like.size();
            size[2] = capacity;
            Tensor::f_empty(size.as_slice(), (like.kind(), like.device()))
        };
        Ok(Self { keys: empty(&self.keys)?, values: empty(&self.values)? })
    }

    /// Itself where `needed` tokens fit, else the first `kept` of them in room for `capacity`.
    fn with_room(self, kept: i64, needed: i64, capacity: i64) -> Result<Self> {
        if self.keys.size()[2] >= needed {
            return Ok(self);
        }
        let room = self.room(capacity)?;
        let old = self.narrow(kept)?;
        room.keys.f_narrow(2, 0, kept)?.f_copy_(&old.keys)?;
        room.values.f_narrow(2, 0, kept)?.f_copy_(&old.values)?;
        Ok(room)
    }
}
