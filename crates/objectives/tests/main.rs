//! Tests of maxlik-objectives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod likelihood;
mod matching;
mod score;
