//! Heat maps and scatters as pixels, and PNG bytes.

use super::color::viridis;
use image::{DynamicImage, ImageFormat, RgbImage, RgbaImage};
use maxlik_tensor::{Error, Result};
use std::io::Cursor;

/// The bytes of a PNG file.
///
/// # Errors
/// [`Error::Unsupported`] for an image without pixels.
pub fn png(image: &DynamicImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    image
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .map_err(|e| Error::unsupported(format!("a PNG of this image ({e})")))?;
    Ok(bytes)
}

/// Values on a regular grid over a rectangle.
#[derive(Debug, Clone, PartialEq)]
pub struct Heatmap {
    /// Row after row, from the lowest y; within a row from the lowest x.
    pub values: Vec<f64>,
    /// Values in a row.
    pub columns: usize,
}

impl Heatmap {
    /// The largest value, to give several maps one scale.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max)
    }

    /// A pixel for each value, in viridis from 0 to `max`, with y upward.
    ///
    /// # Errors
    /// [`Error::Shape`] where the values do not fill whole rows.
    pub fn image(&self, max: f64) -> Result<RgbImage> {
        let rows = self.values.len() / self.columns.max(1);
        if rows == 0 || rows * self.columns != self.values.len() {
            return Err(Error::Shape {
                what: "values".to_owned(),
                expected: format!("whole rows of {}", self.columns),
                got: format!("{} values", self.values.len()),
            });
        }
        let scale = if max > 0.0 { max } else { 1.0 };
        Ok(RgbImage::from_fn(self.columns as u32, rows as u32, |x, y| {
            let row = rows - 1 - y as usize;
            image::Rgb(viridis(self.values[row * self.columns + x as usize] / scale))
        }))
    }
}

/// Points of the plane.
#[derive(Debug, Clone, PartialEq)]
pub struct Scatter {
    /// `[x, y]` of each.
    pub points: Vec<[f64; 2]>,
    /// Red, green and blue of the dots.
    pub color: [u8; 3],
    /// Radius of the dots in pixels.
    pub radius: f64,
    /// Opacity of a dot: where many lie, they add up.
    pub opacity: f64,
}

impl Scatter {
    /// Dots in the charts' blue, lighter the more there are.
    #[must_use]
    pub fn new(points: Vec<[f64; 2]>) -> Self {
        let opacity = (40.0 / (points.len().max(1) as f64).sqrt()).clamp(0.25, 0.9);
        Self { points, color: [0x4a, 0x86, 0xea], radius: 1.8, opacity }
    }

    /// The points inside the rectangle `[x0, x1, y0, y1]`, on `size × size` pixels with y upward;
    /// transparent between the dots, whose edges are smooth.
    #[must_use]
    pub fn image(&self, extent: [f64; 4], size: u32) -> RgbaImage {
        let [x0, x1, y0, y1] = extent;
        let mut cover = vec![0.0_f64; (size * size) as usize];
        let reach = self.radius + 0.5;
        for [x, y] in &self.points {
            let px = (x - x0) / (x1 - x0) * f64::from(size) - 0.5;
            let py = (y1 - y) / (y1 - y0) * f64::from(size) - 0.5;
            let inside = |p: f64| p > -reach && p < f64::from(size) + reach;
            if !inside(px) || !inside(py) {
                continue;
            }
            let span = |p: f64| {
                let low = (p - reach).ceil().max(0.0) as u32;
                let high = ((p + reach).floor().min(f64::from(size) - 1.0)).max(-1.0) as i64;
                low..(high + 1) as u32
            };
            for row in span(py) {
                for column in span(px) {
                    let distance = (f64::from(column) - px).hypot(f64::from(row) - py);
                    let part = self.opacity * (reach - distance).clamp(0.0, 1.0);
                    let old = &mut cover[(row * size + column) as usize];
                    *old += (1.0 - *old) * part;
                }
            }
        }
        let [r, g, b] = self.color;
        RgbaImage::from_fn(size, size, |x, y| {
            image::Rgba([r, g, b, (255.0 * cover[(y * size + x) as usize]).round() as u8])
        })
    }
}
