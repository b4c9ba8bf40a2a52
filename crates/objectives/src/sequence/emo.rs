//! A bound on the earth mover distance between token distributions.

use super::{Predictions, with_nll};
use maxlik_model::{Batch, LanguageModel, Loss, Objective};
use maxlik_tensor::vocabulary::{Scores, log_prob_and_mean};
use maxlik_tensor::{Error, Result, check};
use tch::Tensor;

/// Which loss leads when both are mixed; `sg` stops gradients, so that both parts weigh alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EmoLead {
    /// `l = ½ (sg(mle/emo) emo + mle)`: its value is the likelihood's.
    Likelihood,
    /// `l = sg(emo/mle) mle + emo`: its value is `2 emo`. The factor grows without bound where the
    /// target becomes certain, so that the gradient would not vanish there: it is kept below `cap`.
    Transport {
        /// Largest factor of the likelihood.
        cap: f64,
    },
}

/// Where the vectors of tokens come from that costs are measured on; they get no gradient.
#[derive(Debug)]
pub enum Cost {
    /// The model's own, as they are in each step ([`LanguageModel::embedding`]).
    Adaptive,
    /// These, `[V, H]`, of any width.
    Fixed(Tensor),
}

/// EMO: likelihood beside an upper bound on the earth mover distance between the one-hot target and
/// the predicted distribution, with the cosine distance of token vectors as cost (Ren et al. 2024,
/// "EMO: earth mover distance optimization for auto-regressive language modeling", ICLR 2024,
/// arXiv:2310.04691, section 3).
///
/// With unit vectors `e`, the bound is `DEMO = Σ_j q_j (1 − e_j·e_y) = 1 − Σ_j q_j s_j`; for a one-hot
/// target it is the distance itself. The paper's code leaves out the target's own term under the stop
/// of the gradient: `emo = DEMO + q_y`, with DEMO's gradient `q_k (C_ky − DEMO)`. A wrong token near the
/// target costs less than one far away. Alone its optimum is a point mass, which is why likelihood
/// always takes part.
///
/// Costs of a token are one row of `E Eᵀ`, made for the different targets of a batch only: work and
/// memory are linear in `V`.
#[derive(Debug)]
pub struct Emo {
    lead: EmoLead,
    cost: Cost,
}

/// Keeps quotients finite, as the paper's code does.
const TINY: f64 = 1e-10;

impl Emo {
    /// EMO led by either loss.
    ///
    /// # Errors
    /// [`Error::Config`] for a cap that is not positive, [`Error::Shape`] for vectors that are not
    /// `[V, H]`.
    pub fn new(lead: EmoLead, cost: Cost) -> Result<Self> {
        if let EmoLead::Transport { cap } = lead
            && (cap.is_nan() || cap <= 0.0)
        {
            return Err(Error::config("cap", format!("expected a positive number, got {cap}")));
        }
        let cost = match cost {
            Cost::Fixed(vectors) if vectors.dim() != 2 => {
                return Err(Error::shape("cost vectors", "[V, H]", &vectors.size()));
            }
            Cost::Fixed(vectors) => {
                check::floating("cost vectors", &vectors)?;
                Cost::Fixed(vectors.f_detach()?)
            }
            Cost::Adaptive => Cost::Adaptive,
        };
        Ok(Self { lead, cost })
    }

    /// The loss of each token, `[B, T]`, with `vectors` `[V, H]` of tokens to measure costs on.
    ///
    /// # Errors
    /// [`Error::Shape`] for vectors of another vocabulary, and those of [`Predictions::log_prob`].
    pub fn each(&self, at: &Predictions, vectors: &Tensor) -> Result<Tensor> {
        let part = Transport::of(at, vectors)?;
        let (mle, emo) = (-&part.log_prob, &part.emo);
        let ratio = |a: &Tensor, b: &Tensor| -> Result<Tensor> {
            let _no_grad = tch::no_grad_guard();
            Ok(a.f_detach()?.f_div(&(b.f_detach()? + TINY))?)
        };
        Ok(match self.lead {
            EmoLead::Likelihood => (emo.f_mul(&ratio(&mle, emo)?)? + mle) * 0.5,
            EmoLead::Transport { cap } => {
                mle.f_mul(&ratio(emo, &mle)?.f_clamp_max(cap)?)?.f_add(emo)?
            }
        })
    }

    /// The token mean, with `vectors` `[V, H]` of tokens to measure costs on.
    ///
    /// # Errors
    /// As [`Emo::each`].
    pub fn loss_at(&self, at: &Predictions, vectors: &Tensor) -> Result<Tensor> {
        at.mean(&self.each(at, vectors)?)
    }
}

/// The bound for each token: `1 − Σ_j q_j (1 − e_j·e_y)` and what the paper's code makes of it.
struct Transport {
    log_prob: Tensor,
    emo: Tensor,
}

impl Transport {
    fn of(at: &Predictions, vectors: &Tensor) -> Result<Self> {
        let vocabulary = at.logits().size()[2];
        if vectors.dim() != 2 || vectors.size()[0] != vocabulary {
            return Err(Error::shape(
                "cost vectors",
                format!("[{vocabulary}, H]"),
                &vectors.size(),
            ));
        }
        let (different, rows, _) = at.targets().f_internal_unique2(true, true, false)?;
        let table = cosines(vectors, &different)?.f_to_kind(at.logits().kind())?;
        let scored =
            log_prob_and_mean(at.logits(), at.targets(), &Scores { table: &table, rows: &rows })?;
        at.remember(&scored.log_prob);
        // The target's own similarity is one, but for a row of zeros.
        let own = table.f_gather(1, &different.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?;
        let own = own.f_index_select(0, &rows.f_reshape([-1])?)?;
        let certain = scored.log_prob.f_detach()?.f_exp()?;
        let emo = (-scored.mean + 1.0) + certain.f_mul(&own.f_view_as(&certain)?)?;
        Ok(Self { log_prob: scored.log_prob, emo })
    }
}

/// Vectors whose products with the targets' are made at a time: what they need stays in the cache.
const CHUNK: i64 = 1024;

/// Cosines `[U, V]` between the rows `different` of `vectors` and all rows, without a graph; those with
/// a row of zeros are zero.
///
/// `V` is long and `U` short, and the product of a chunk's vectors with the few, turned round as it is
/// stored, is a quarter faster than the product of the few with all. Lengths divide the products of a
/// chunk, so that no copy of the vectors is made.
fn cosines(vectors: &Tensor, different: &Tensor) -> Result<Tensor> {
    check::floating("cost vectors", vectors)?;
    let _no_grad = tch::no_grad_guard();
    let vectors = vectors.f_detach()?;
    let inverse = |x: &Tensor| -> Result<Tensor> {
        let norm = x.f_norm_scalaropt_dim(2.0, [-1_i64].as_slice(), true)?;
        Ok(norm.f_clamp_min(1e-12)?.f_reciprocal()?)
    };
    let few = vectors.f_index_select(0, different)?;
    let few = few.f_mul(&inverse(&few)?)?.f_transpose(0, 1)?;
    let count = vectors.size()[0];
    let table = Tensor::f_empty([different.size()[0], count], (vectors.kind(), vectors.device()))?;
    let mut first = 0;
    while first < count {
        let length = CHUNK.min(count - first);
        let chunk = vectors.f_narrow(0, first, length)?;
        let mut products = chunk.f_matmul(&few)?;
        let products = products.f_mul_(&inverse(&chunk)?)?.f_transpose(0, 1)?;
        table.f_narrow(1, first, length)?.f_copy_(&products)?;
        first += length;
    }
    Ok(table)
}

impl Objective<dyn LanguageModel> for Emo {
    fn loss(&self, model: &(dyn LanguageModel + 'static), batch: &Batch) -> Result<Loss> {
        let at = Predictions::of(model, batch)?;
        let each = match &self.cost {
            Cost::Fixed(vectors) => self.each(&at, vectors)?,
            Cost::Adaptive => {
                let own = model.embedding();
                let own = own.ok_or_else(|| {
                    Error::unsupported("EMO's adaptive cost by a model without an embedding")
                })?;
                self.each(&at, &own)?
            }
        };
        with_nll(at.mean(&each)?, &at)
    }
}
