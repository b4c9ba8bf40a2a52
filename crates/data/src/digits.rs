//! Handwritten digits: UCI's optical digits, as scikit-learn ships them.
//!
//! 1,797 images of 8×8 pixels with 17 levels (0 to 16: how many of 4×4 binary pixels are set), and
//! a label 0 to 9 each. Licence and source stand in `assets/digits/README.md`.

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::scalar::Scalar;
use crate::split::Split;
use flate2::read::GzDecoder;
use ndarray::{Array1, Array2};
use ndarray_npy::NpzWriter;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Images in the set.
pub const COUNT: usize = 1797;
/// Pixels of an image.
pub const PIXELS: usize = 64;
/// Height and width of an image.
pub const SIDE: usize = 8;
/// Levels of a pixel: 0 to 16.
pub const LEVELS: u32 = 17;
/// Classes of labels.
pub const CLASSES: usize = 10;
/// Images of the canonical validation part, and of the test part.
pub const HELD_OUT: usize = 180;
/// Seed of the canonical split.
pub const SPLIT_SEED: u64 = 0;

/// Gzip of 1,797 × 64 pixel bytes in file order, then 1,797 label bytes.
static PACKED: &[u8] = include_bytes!("../assets/digits/digits.gz");

/// The images, `[1797, 64]`, rows of pixels from the top, each 0 to 16, in scikit-learn's order.
///
/// # Errors
/// [`Error::Format`] if the crate was built with damaged data.
pub fn images() -> Result<Array2<u8>> {
    let mut bytes = unpack()?;
    bytes.truncate(COUNT * PIXELS);
    Array2::from_shape_vec((COUNT, PIXELS), bytes).map_err(|e| damaged(e.to_string()))
}

/// The labels, 1,797 numbers of 0 to 9, in the order of [`images`].
///
/// # Errors
/// [`Error::Format`] if the crate was built with damaged data.
pub fn labels() -> Result<Vec<i64>> {
    let bytes = unpack()?;
    Ok(bytes[COUNT * PIXELS..].iter().map(|&b| i64::from(b)).collect())
}

/// The whole set: levels 0 to 16 as numbers, labels, event shape `[1, 8, 8]`.
///
/// # Errors
/// [`Error::Format`] if the crate was built with damaged data.
pub fn dataset<T: Scalar>() -> Result<Dataset<T>> {
    let rows = images()?.mapv(|v| T::from_f64(f64::from(v)));
    let columns = (0..PIXELS).map(|i| format!("r{}c{}", i / SIDE, i % SIDE));
    Dataset::new("digits", rows)?
        .with_columns(columns.collect())?
        .with_event_shape(&[1, SIDE, SIDE])?
        .with_labels(labels()?)?
        .with_levels(LEVELS)
}

/// The split into 1,437 training, 180 validation and 180 test images by [`Split::counts`]; the
/// canonical one, that results are stated on, is that of [`SPLIT_SEED`].
///
/// # Errors
/// None in practice: the counts fit.
pub fn split(seed: u64) -> Result<Split> {
    Split::counts(COUNT, HELD_OUT, HELD_OUT, seed)
}

/// Writes images, labels and a split to an NPZ file, so that another program can use exactly the
/// same parts: `images` (uint8 `[1797, 64]`), `labels` (int64), and the row indices `train`,
/// `validation`, `test` (int64).
///
/// ```python
/// z = numpy.load("digits.npz"); x_test = z["images"][z["test"]]
/// ```
///
/// # Errors
/// [`Error::Io`] or [`Error::Format`] if the file cannot be written.
pub fn export_npz(path: &Path, split: &Split) -> Result<()> {
    let file = File::create(path).map_err(|e| Error::io(path, e))?;
    let fail = |e: ndarray_npy::WriteNpzError| Error::format(path, e.to_string());
    let mut npz = NpzWriter::new_compressed(file);
    npz.add_array("images", &images()?).map_err(fail)?;
    npz.add_array("labels", &Array1::from(labels()?)).map_err(fail)?;
    let parts = [("train", &split.train), ("validation", &split.validation), ("test", &split.test)];
    for (name, part) in parts {
        let indices: Array1<i64> = part.iter().map(|&i| i as i64).collect();
        npz.add_array(name, &indices).map_err(fail)?;
    }
    npz.finish().map_err(fail)?;
    Ok(())
}

fn unpack() -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(COUNT * (PIXELS + 1));
    GzDecoder::new(PACKED).read_to_end(&mut bytes).map_err(|e| damaged(e.to_string()))?;
    if bytes.len() != COUNT * (PIXELS + 1) {
        let why = format!("expected {} bytes, got {}", COUNT * (PIXELS + 1), bytes.len());
        return Err(damaged(why));
    }
    Ok(bytes)
}

fn damaged(why: String) -> Error {
    Error::format(Path::new("digits (built in)"), why)
}
