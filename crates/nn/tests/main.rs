//! Tests of maxlik-nn.

mod networks;
mod params;
