//! Paths on the plane.

use super::experiment::{Measured, Variant};
use anyhow::Result;
use image::{DynamicImage, RgbaImage};
use maxlik_tensor::host;
use maxlik_train::plot::{Scatter, beside, png};
use std::path::Path;
use tch::Tensor;

/// Paths in a picture, and points between two states of a path.
const PATHS: i64 = 400;
const FINE: i64 = 6;
const EXTENT: [f64; 4] = [-7.5, 7.5, -7.5, 7.5];
const SIDE: u32 = 360;

fn points(x: &Tensor) -> Result<Vec<[f64; 2]>> {
    let values = host::to_vec(x)?;
    let (pairs, _) = values.as_chunks::<2>();
    Ok(pairs.to_vec())
}

/// Grey paths from black points of the source to blue points where they end.
fn panel(measured: &Measured) -> Result<DynamicImage> {
    let states = measured.paths.states.f_narrow(1, 0, PATHS)?;
    let last = states.size()[0] - 1;
    let (from, to) = (states.f_narrow(0, 0, last)?, states.f_narrow(0, 1, last)?);
    let mut lines = Vec::new();
    for k in 0..FINE {
        let part = k as f64 / FINE as f64;
        lines.extend(points(&(&from * (1.0 - part) + &to * part))?);
    }
    let layer = |points, color, radius, opacity| {
        Scatter { points, color, radius, opacity }.image(EXTENT, SIDE)
    };
    let mut canvas = RgbaImage::from_pixel(SIDE, SIDE, image::Rgba([255; 4]));
    for above in [
        layer(lines, [0x9a, 0x9a, 0x9a], 0.5, 0.12),
        layer(points(&states.f_select(0, 0)?)?, [0x20, 0x20, 0x20], 1.6, 0.7),
        layer(points(&states.f_select(0, last)?)?, [0x2a, 0x6a, 0xe0], 1.9, 0.8),
    ] {
        image::imageops::overlay(&mut canvas, &above, 0, 0);
    }
    Ok(DynamicImage::ImageRgba8(canvas))
}

/// One row for a pair: a panel for each variant, in their order.
pub(super) fn write(results: &[(Variant, Measured)], name: &str, out: &Path) -> Result<()> {
    let panels = results.iter().map(|(_, measured)| panel(measured)).collect::<Result<Vec<_>>>()?;
    let file = format!("{}.png", name.to_lowercase().replace(' ', "-"));
    std::fs::write(out.join(file), png(&beside(&panels, 6)?)?)?;
    Ok(())
}
