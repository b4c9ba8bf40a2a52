//! Mixed precision: LibTorch's own choice of the ops that `bfloat16` is good enough for.

use crate::Result;
use crate::custom::set_autocast;
use tch::Device;

/// Ends the region it began, also where the work fails or panics.
struct Region(Device, bool);

impl Drop for Region {
    fn drop(&mut self) {
        set_autocast(self.0, self.1);
    }
}

/// Runs `body` with matrix products, convolutions and attention on `device` in `bfloat16`; ops that need
/// more digits, sums of many numbers above all, run in `f32`. Fused ops run as compositions of tensor
/// ops there, so that they take part.
///
/// Only the forward pass belongs inside: gradients follow the kinds of numbers that were used.
///
/// # Errors
/// Those of `body`.
pub fn bfloat16<T>(device: Device, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let _region = Region(device, set_autocast(device, true));
    body()
}
