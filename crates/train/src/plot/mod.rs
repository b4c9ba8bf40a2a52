//! Pictures: line charts and planes as SVG, grids of images, heat maps and scatters as PNG.
//!
//! The SVG is written here rather than by a plotting crate: text needs no fonts at build or run time,
//! and colours are CSS variables, so that a chart follows the light or dark theme of the page that it
//! stands in (and of the browser, where it is opened by itself).

mod axis;
mod color;
mod grid;
mod lines;
mod plane;
mod raster;
mod svg;

pub use color::{VIRIDIS, viridis};
pub use grid::{Images, beside};
pub use lines::{LineChart, Series, Stroke};
pub use plane::{Panel, Plane};
pub use raster::{Heatmap, Scatter, png};
pub(crate) use svg::escape;
