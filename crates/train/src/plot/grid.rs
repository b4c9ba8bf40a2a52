//! Grids of images.

use image::{DynamicImage, GenericImage as _, Rgba, RgbaImage};
use maxlik_tensor::{Error, Result};

/// Images of one size, `[count, channels, height, width]` in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Images {
    /// Levels from 0 to 1; others are clamped.
    pub values: Vec<f64>,
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
}

impl Images {
    /// Number of images.
    #[must_use]
    pub fn count(&self) -> usize {
        self.values.len() / self.area().max(1)
    }

    /// Level 0 becomes 1 and the other way round: dark ink on white paper from data in which ink is
    /// high.
    #[must_use]
    pub fn inverted(mut self) -> Self {
        self.values.iter_mut().for_each(|v| *v = 1.0 - *v);
        self
    }

    /// All images in rows of `columns`, each pixel a square of `scale` pixels, with transparent gaps
    /// of `gap` pixels between images.
    ///
    /// # Errors
    /// [`Error::Shape`] for values that do not fill whole images, [`Error::Config`] for another
    /// number of channels, or no columns or scale.
    pub fn grid(&self, columns: usize, scale: u32, gap: u32) -> Result<DynamicImage> {
        if !matches!(self.channels, 1 | 3) {
            let why = format!("expected 1 or 3, got {}", self.channels);
            return Err(Error::config("channels", why));
        }
        if columns == 0 || scale == 0 {
            return Err(Error::config("columns and scale", "expected at least 1"));
        }
        let count = self.count();
        if count == 0 || count * self.area() != self.values.len() {
            return Err(Error::Shape {
                what: "values".to_owned(),
                expected: format!(
                    "[N, {}, {}, {}], N at least 1",
                    self.channels, self.height, self.width
                ),
                got: format!("{} values", self.values.len()),
            });
        }
        let columns = columns.min(count);
        let rows = count.div_ceil(columns);
        let [w, h] = [self.width as u32 * scale, self.height as u32 * scale];
        let span = |cell: u32, n: usize| n as u32 * cell + (n as u32 - 1) * gap;
        let mut grid = RgbaImage::new(span(w, columns), span(h, rows));
        for index in 0..count {
            let left = (index % columns) as u32 * (w + gap);
            let top = (index / columns) as u32 * (h + gap);
            for y in 0..h {
                for x in 0..w {
                    let pixel = self.pixel(index, (y / scale) as usize, (x / scale) as usize);
                    grid.put_pixel(left + x, top + y, pixel);
                }
            }
        }
        Ok(DynamicImage::ImageRgba8(grid))
    }

    fn pixel(&self, index: usize, y: usize, x: usize) -> Rgba<u8> {
        let level = |channel: usize| {
            let plane = index * self.channels + channel;
            let value = self.values[(plane * self.height + y) * self.width + x];
            // The cast takes NaN to 0.
            (255.0 * value.clamp(0.0, 1.0)).round() as u8
        };
        let [r, g, b] = if self.channels == 1 { [level(0); 3] } else { std::array::from_fn(level) };
        Rgba([r, g, b, 255])
    }

    fn area(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// Images side by side, with transparent gaps, aligned at the top.
///
/// # Errors
/// [`Error::Unsupported`] for an image that does not fit, which does not happen to those of this crate.
pub fn beside(images: &[DynamicImage], gap: u32) -> Result<DynamicImage> {
    let width: u32 = images.iter().map(DynamicImage::width).sum();
    let width = width + gap * (images.len().max(1) as u32 - 1);
    let height = images.iter().map(DynamicImage::height).max().unwrap_or_default();
    let mut whole = RgbaImage::new(width, height);
    let mut left = 0;
    for image in images {
        whole
            .copy_from(&image.to_rgba8(), left, 0)
            .map_err(|e| Error::unsupported(format!("a row of these images ({e})")))?;
        left += image.width() + gap;
    }
    Ok(DynamicImage::ImageRgba8(whole))
}
