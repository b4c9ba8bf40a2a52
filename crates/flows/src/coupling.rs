//! Coupling layers.

use crate::score::{Slopes, recorded_input};
use crate::univariate::Univariate;
use maxlik_model::{Bijection, Mapped, PropagateScore, Propagated};
use maxlik_nn::Network;
use maxlik_tensor::autograd::{Graph, gradient, recorded};
use maxlik_tensor::columns::Columns;
use maxlik_tensor::{Error, Result};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Which coordinates a coupling layer changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// The odd ones.
    Odd,
    /// The even ones.
    Even,
    /// The second half (the larger one where the number is odd).
    Upper,
    /// The first half.
    Lower,
    /// Those marked `true`.
    Custom(Vec<bool>),
}

impl Mask {
    /// The masks of a stack that alternates between odd and even coordinates.
    #[must_use]
    pub fn alternating(layer: usize) -> Self {
        if layer.is_multiple_of(2) { Self::Odd } else { Self::Even }
    }

    /// The two sets of coordinates.
    ///
    /// # Errors
    /// [`Error::Config`] where one of them is empty, or a custom mask has another length.
    pub fn split(&self, dims: i64) -> Result<Split> {
        let changed = |i: i64| match self {
            Self::Odd => i % 2 == 1,
            Self::Even => i % 2 == 0,
            Self::Upper => i >= dims / 2,
            Self::Lower => i < dims / 2,
            Self::Custom(marks) => marks.get(i as usize).copied().unwrap_or_default(),
        };
        if let Self::Custom(marks) = self
            && marks.len() as i64 != dims
        {
            let why =
                format!("expected one mark for each of {dims} coordinates, got {}", marks.len());
            return Err(Error::config("mask", why));
        }
        let (changed, kept): (Vec<i64>, Vec<i64>) = (0..dims).partition(|&i| changed(i));
        if changed.is_empty() || kept.is_empty() {
            let why = format!(
                "{self:?} leaves nothing to change or nothing to keep of {dims} coordinates"
            );
            return Err(Error::config("mask", why));
        }
        Ok(Split { kept, changed })
    }
}

/// The coordinates that a coupling layer keeps and those that it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Kept as they are; the network sees them.
    pub kept: Vec<i64>,
    /// Changed by the elementwise map.
    pub changed: Vec<i64>,
}

/// Keeps one part of the coordinates and maps each of the others by an elementwise map whose
/// parameters a network computes from the kept part and the context (Dinh et al. 2017,
/// arXiv:1605.08803, eqs. 4–8; Durkan et al. 2019, arXiv:1906.04032, section 2.2).
///
/// The Jacobian is triangular, so that the log-determinant is the sum of the elementwise ones.
#[derive(Debug)]
pub struct Coupling<U> {
    univariate: U,
    network: Box<dyn Network>,
    shape: [i64; 1],
    context: Option<[i64; 1]>,
    /// The kept and the changed coordinates.
    columns: Columns,
    count: i64,
}

impl<U: Univariate> Coupling<U> {
    /// A coupling layer on `[D]`. The network maps `[B, kept]` (and the context) to
    /// `[B, changed · P]`, the `P` parameters of a coordinate side by side.
    ///
    /// # Errors
    /// [`Error::Config`] for a mask that does not split the coordinates.
    pub fn new(
        dims: i64,
        mask: &Mask,
        univariate: U,
        context: Option<i64>,
        network: impl FnOnce(Conditioner) -> Result<Box<dyn Network>>,
    ) -> Result<Self> {
        let Split { kept, changed } = mask.split(dims)?;
        let count = changed.len() as i64;
        let network = network(Conditioner {
            inputs: kept.len() as i64,
            context: context.unwrap_or(0),
            outputs: count * univariate.parameters(),
        })?;
        Ok(Self {
            univariate,
            network,
            shape: [dims],
            context: context.map(|c| [c]),
            columns: Columns::new(&[&kept, &changed])?,
            count,
        })
    }

    fn apply(&self, x: &Tensor, context: Option<&Tensor>, forward: bool) -> Result<Mapped> {
        let [kept, changed] = self.split(x)?;
        let Mapped { value, log_det } = self.change(&kept, &changed, context, forward)?;
        Ok(Mapped { value: self.columns.join(&[&kept, &value])?, log_det })
    }

    /// The kept and the changed part.
    fn split(&self, x: &Tensor) -> Result<[Tensor; 2]> {
        let parts = self.columns.split(x)?;
        parts.try_into().map_err(|_| Error::unsupported("a coupling of other than two parts"))
    }

    /// The changed part.
    fn change(
        &self,
        kept: &Tensor,
        changed: &Tensor,
        context: Option<&Tensor>,
        forward: bool,
    ) -> Result<Mapped> {
        let params = self.network.forward(kept, context)?;
        let each = self.univariate.parameters();
        let params = params.f_view([kept.size()[0], self.count, each])?;
        if forward {
            self.univariate.forward(changed, &params)
        } else {
            self.univariate.inverse(changed, &params)
        }
    }

    /// With `c` the kept part and `t` the changed one: `δ_t' = (δ_t − ∂_t ld)/a` and
    /// `δ_c' = δ_c − ∂_c ld − (∂t'/∂c)ᵀ δ_t'` (Vaitl et al. 2024, arXiv:2403.15881, section 3): one
    /// gradient of the network, on the graph that the map builds anyway, and no inverse.
    fn apply_score(
        &self,
        x: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
        forward: bool,
    ) -> Result<Propagated> {
        recorded(|| {
            let [kept, changed] = self.split(x)?;
            let (kept, changed) = (recorded_input(&kept)?, recorded_input(&changed)?);
            let [score_kept, score_changed] = self.split(score)?;
            let mapped = self.change(&kept, &changed, context, forward)?;
            let slopes = Slopes::of(&mapped, &changed)?;
            let on_changed = slopes.carry(&score_changed)?;
            let shared = (&mapped.value * &on_changed).f_sum(None::<Kind>)?;
            let shared = shared.f_add(&mapped.log_det.f_sum(None::<Kind>)?)?;
            let pulled = gradient(&shared, None, &kept, Graph::Keep)?.f_detach()?;
            let on_kept = score_kept.f_sub(&pulled)?;
            let value = self.columns.join(&[&kept, &mapped.value])?;
            let mapped = Mapped { value, log_det: mapped.log_det };
            let score = self.columns.join(&[&on_kept, &on_changed])?.f_detach()?;
            Ok(Propagated { mapped, score })
        })
    }
}

/// What the network of a coupling layer must take and give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditioner {
    /// Number of kept coordinates.
    pub inputs: i64,
    /// Size of the context, zero where there is none.
    pub context: i64,
    /// Number of parameters of all changed coordinates.
    pub outputs: i64,
}

impl<U: Univariate> Bijection for Coupling<U> {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.context.as_ref().map(<[i64; 1]>::as_slice)
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.apply(x, context, true)
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        self.apply(z, context, false)
    }

    fn propagation(&self) -> Option<&dyn PropagateScore> {
        Some(self)
    }
}

impl<U: Univariate> PropagateScore for Coupling<U> {
    fn map_score(
        &self,
        x: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        self.apply_score(x, score, context, true)
    }

    fn unmap_score(
        &self,
        z: &Tensor,
        score: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Propagated> {
        self.apply_score(z, score, context, false)
    }
}
