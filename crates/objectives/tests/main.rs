//! Tests of maxlik-objectives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;
mod energy_training;
mod free_form;
mod kl;
mod likelihood;
mod matching;
mod reconstruction;
mod score;
mod sequence;
