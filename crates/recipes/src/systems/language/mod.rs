//! Systems that train language models, on languages whose probabilities are known.

pub(super) mod emo;
pub(super) mod feedback;
pub(super) mod gflownet;
pub(super) mod mbr;
pub(super) mod mixce;
pub(super) mod noisy_self_distillation;
pub(super) mod reference_contrastive;
mod salience;
pub(super) mod smile;
mod world;
