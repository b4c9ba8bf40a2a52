//! Measures of text, beside the peers' numbers and their exact properties.

mod diversity;
mod frontier;
mod golden;
mod properties;
