//! Shakespeare's sonnets: a text small enough to come with the crate.

use crate::error::{Error, Result};
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::Path;

static PACKED: &[u8] = include_bytes!("../../assets/text/sonnets.gz");

/// The 154 sonnets of Shakespeare in Project Gutenberg's text, 96 kB of ASCII, in the public domain.
/// Source and checksum stand in `assets/text/README.md`.
///
/// # Errors
/// [`Error::Format`] if the crate was built with damaged data.
pub fn sonnets() -> Result<String> {
    let mut text = String::new();
    GzDecoder::new(PACKED)
        .read_to_string(&mut text)
        .map_err(|e| Error::format(Path::new("sonnets.gz"), e.to_string()))?;
    Ok(text)
}
