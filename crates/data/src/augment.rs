//! Random changes of images that leave them images of the same thing.

use crate::error::{Error, Result};
use crate::loader::Transform;
use crate::random::below;
use crate::scalar::Scalar;
use rand_chacha::ChaCha8Rng;

/// Moves an image by whole pixels: `dy` and `dx` are uniform in `-most..=most`; pixels that enter
/// get the value `fill`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomShift {
    shape: [usize; 3],
    most: usize,
    fill: f64,
}

impl RandomShift {
    /// For images of event shape `[channels, height, width]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for another event shape, [`Error::Config`] for a shift that could move the
    /// whole image out of sight.
    pub fn new(event_shape: &[usize], most: usize, fill: f64) -> Result<Self> {
        let &[channels, height, width] = event_shape else {
            let got = format!("{event_shape:?}");
            return Err(Error::shape("shift, event shape", "[channels, height, width]", got));
        };
        if most >= height.min(width) {
            let why = format!("expected less than {}, got {most}", height.min(width));
            return Err(Error::config("shift, pixels", why));
        }
        Ok(Self { shape: [channels, height, width], most, fill })
    }
}

impl<T: Scalar> Transform<T> for RandomShift {
    fn apply(&self, row: &mut [T], _index: usize, rng: &mut ChaCha8Rng) {
        let mut draw = || below(rng, 2 * self.most as u64 + 1) as isize - self.most as isize;
        let (dy, dx) = (draw(), draw());
        shift(row, self.shape, [dy, dx], T::from_f64(self.fill));
    }
}

/// Moves the content of an image, `[channels, height, width]` flattened, by `dy` pixels down and
/// `dx` to the right; pixels that enter get the value `fill`.
///
/// A row that does not hold such an image is left as it is.
pub fn shift<T: Copy>(row: &mut [T], shape: [usize; 3], [dy, dx]: [isize; 2], fill: T) {
    let [channels, height, width] = shape;
    if row.len() != channels * height * width {
        return;
    }
    let from = row.to_vec();
    let source = |place: usize, by: isize, size: usize| {
        let place = place.checked_add_signed(by.saturating_neg());
        place.filter(|&p| p < size)
    };
    for (i, pixel) in row.iter_mut().enumerate() {
        let (channel, y, x) = (i / (height * width), i / width % height, i % width);
        *pixel = match (source(y, dy, height), source(x, dx, width)) {
            (Some(y), Some(x)) => from[(channel * height + y) * width + x],
            _ => fill,
        };
    }
}
