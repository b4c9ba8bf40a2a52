//! BSDS300: 8×8 patches of photographs.

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::random::{Stream, below, open_unit};
use crate::scalar::Scalar;
use crate::split::Partition;
use crate::table::Table;
use ndarray::{Array2, ArrayView2};
use std::path::Path;

/// Side of a patch.
const SIDE: usize = 8;
/// Pixels of a patch but the last.
const WIDTH: usize = SIDE * SIDE - 1;

/// BSDS300 from an NPZ file with the three arrays of the archive's HDF5 file:
///
/// ```python
/// f = h5py.File("BSDS300.hdf5")
/// numpy.savez("bsds300.npz", train=f["train"], validation=f["validation"], test=f["test"])
/// ```
///
/// The archive's rows are prepared already (see [`patches`]) and taken as they are, without
/// normalisation.
///
/// # Errors
/// As [`Table::read_npz`]; [`Error::Format`] unless rows have 63 numbers.
pub fn bsds300<T: Scalar>(path: impl AsRef<Path>) -> Result<Partition<T>> {
    let path = path.as_ref();
    let part = |name: &str| {
        let table = Table::read_npz(path, Some(name))?;
        if table.values().ncols() != WIDTH {
            let why = format!("{name}: expected {WIDTH} columns, got {}", table.values().ncols());
            return Err(Error::format(path, why));
        }
        Dataset::new("bsds300", table.values().mapv(T::from_f64))
    };
    Ok(Partition { train: part("train")?, validation: part("validation")?, test: part("test")? })
}

/// `count` rows by the set's own rules from grey photographs with levels 0 to 255: 8×8 patches from
/// uniform places of uniform images, uniform noise added, divided by 256, the patch's mean
/// subtracted, and the last pixel (which the others then determine) dropped: `[count, 63]`.
/// Draws are those of stream `patches` of `seed`.
///
/// Split by photograph before, never by patch.
///
/// # Errors
/// [`Error::Shape`] without images, or for one smaller than a patch.
pub fn patches(images: &[ArrayView2<'_, u8>], count: usize, seed: u64) -> Result<Array2<f64>> {
    let small = images.iter().find(|i| i.nrows() < SIDE || i.ncols() < SIDE);
    let bad = if images.is_empty() {
        Some("no image".to_owned())
    } else {
        small.map(|image| format!("{:?}", image.dim()))
    };
    if let Some(got) = bad {
        return Err(Error::shape("patches, images", "images of at least 8×8 pixels", got));
    }
    let stream = Stream::new(seed, "patches");
    let mut rows = Array2::zeros((count, WIDTH));
    for (number, mut row) in rows.rows_mut().into_iter().enumerate() {
        let mut rng = stream.rng(number as u64);
        let image = images[below(&mut rng, images.len() as u64) as usize];
        let top = below(&mut rng, (image.nrows() - SIDE + 1) as u64) as usize;
        let left = below(&mut rng, (image.ncols() - SIDE + 1) as u64) as usize;
        let mut pixels = [0.0; SIDE * SIDE];
        for (i, pixel) in pixels.iter_mut().enumerate() {
            let level = f64::from(image[[top + i / SIDE, left + i % SIDE]]);
            *pixel = (level + open_unit(&mut rng)) / 256.0;
        }
        let mean = pixels.iter().sum::<f64>() / pixels.len() as f64;
        for (value, pixel) in row.iter_mut().zip(pixels) {
            *value = pixel - mean;
        }
    }
    Ok(rows)
}
