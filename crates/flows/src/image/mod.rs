//! Layers on images `[C, H, W]`.

mod patchify;

pub use patchify::Patchify;
