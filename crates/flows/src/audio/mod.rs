//! Layers on waveforms `[C, T]`, and FloWaveNet.

mod at_rate;
mod flowavenet;
mod half;
mod squeeze;

pub use at_rate::AtRate;
pub use flowavenet::{FloWaveNet, FloWaveNetConfig};
pub use squeeze::Squeeze1d;
