//! Layers on images `[C, H, W]`.

mod centre;
mod glow;
mod patchify;
mod squeeze;

pub use centre::Centre;
pub use glow::GlowConfig;
pub use patchify::Patchify;
pub use squeeze::Squeeze2d;
