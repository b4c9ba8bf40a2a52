//! Tests of maxlik-nn.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod encoder_decoder;
mod gpt2;
mod language;
mod made;
mod minimum_risk;
mod mixed_precision;
mod networks;
mod params;
mod transformer;
mod wavenet;
