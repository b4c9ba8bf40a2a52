//! Tests of maxlik-nn.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod encoder_decoder;
mod language;
mod made;
mod minimum_risk;
mod networks;
mod params;
mod transformer;
mod wavenet;
