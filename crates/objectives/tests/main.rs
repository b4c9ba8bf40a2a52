//! Tests of maxlik-objectives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod any_flow;
mod common;
mod conditional;
mod config;
mod continuous;
mod coupling;
mod decoding;
mod diffusion;
mod energy_training;
mod fields;
mod free_form;
mod golden;
mod golden_path;
mod kl;
mod likelihood;
mod matching;
mod prediction;
mod reconstruction;
mod replay;
mod reward;
mod schedules;
mod score;
mod score_config;
mod sequence;
mod sequence_judged;
