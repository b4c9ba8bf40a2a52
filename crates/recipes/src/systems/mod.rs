//! The published systems, each with the experiment that decides whether it is reproduced.
//!
//! A system is a function of a seed and an output folder that trains, measures, writes its pictures,
//! and returns its [`Check`]s: what is claimed, the baseline beside it, what came out, and whether
//! that is accepted. `maxlik reproduce` runs them over several seeds.

mod dae_score;
mod data_to_rewards;
mod ebflow;
mod field;
pub mod fit;
mod flowavenet;
mod fm_reconstruction;
mod i_dode;
mod injective_flow;
mod ir_sde;
mod language;
mod ml_sde;
mod ot_cfm;
mod path_gradients;
mod starflow;
mod wave;

use anyhow::Result;
use std::path::Path;

/// One acceptance of a system.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What is measured, with its unit: the same text for every seed.
    pub what: &'static str,
    /// What must come out, such as `at most 2.25`.
    pub claim: &'static str,
    /// Its baseline, or the exact value where one is known.
    pub baseline: Option<Baseline>,
    /// What came out.
    pub result: f64,
    /// Whether that is accepted.
    pub pass: bool,
}

/// A number beside a result.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// What it is.
    pub name: &'static str,
    /// Its value, in the unit of the result.
    pub value: f64,
}

impl Check {
    /// A result that must be at least `bound`; `claim` says so in words.
    #[must_use]
    pub fn at_least(what: &'static str, claim: &'static str, result: f64, bound: f64) -> Self {
        Self { what, claim, baseline: None, result, pass: result >= bound }
    }

    /// A result that must be at most `bound`; `claim` says so in words.
    #[must_use]
    pub fn at_most(what: &'static str, claim: &'static str, result: f64, bound: f64) -> Self {
        Self { what, claim, baseline: None, result, pass: result <= bound }
    }

    /// The same beside a baseline.
    #[must_use]
    pub fn beside(self, name: &'static str, value: f64) -> Self {
        Self { baseline: Some(Baseline { name, value }), ..self }
    }
}

/// A published system.
#[derive(Debug, Clone, Copy)]
pub struct System {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, with its source.
    pub about: &'static str,
    /// What the paper claims, and what is tested of it here.
    pub claim: &'static str,
    /// The experiment: a seed, and the folder for its pictures.
    pub run: fn(u64, &Path) -> Result<Vec<Check>>,
}

/// All systems.
pub const SYSTEMS: &[System] = &[
    starflow::SYSTEM,
    flowavenet::SYSTEM,
    language::mixce::SYSTEM,
    language::emo::SYSTEM,
    language::smile::SYSTEM,
    language::gflownet::SYSTEM,
    language::feedback::SYSTEM,
    language::mbr::SYSTEM,
    data_to_rewards::SYSTEM,
    language::noisy_self_distillation::SYSTEM,
    language::reference_contrastive::SYSTEM,
    ot_cfm::SYSTEM,
    path_gradients::SYSTEM,
    ebflow::SYSTEM,
    injective_flow::SYSTEM,
    dae_score::SYSTEM,
    fm_reconstruction::SYSTEM,
    i_dode::SYSTEM,
    ml_sde::SYSTEM,
    ir_sde::SYSTEM,
];
