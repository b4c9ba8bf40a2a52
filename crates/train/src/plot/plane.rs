//! Panels of the plane side by side: densities and points over common axes.

use super::axis::Axis;
use super::color::VIRIDIS;
use super::raster::{Heatmap, Scatter, png};
use super::svg::{Anchor, Svg, short, width_of};
use base64::Engine as _;
use image::DynamicImage;
use maxlik_tensor::Result;

/// What a panel shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Its title.
    pub title: String,
    /// A density on a grid over the whole panel.
    pub density: Option<Heatmap>,
    /// Points, over the density.
    pub points: Option<Scatter>,
}

/// Panels over the rectangle `[x0, x1, y0, y1]`, all densities on one scale of colours.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    /// Read to those who cannot see it.
    pub title: String,
    /// The rectangle `[x0, x1, y0, y1]`.
    pub extent: [f64; 4],
    /// Names of the axes.
    pub labels: [String; 2],
    /// From left to right.
    pub panels: Vec<Panel>,
}

const SIDE: f64 = 260.0;
const GAP: f64 = 30.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 44.0;
/// Pixels of a scatter along a side: twice those of the panel, for screens of high density.
const FINE: u32 = 2 * SIDE as u32;

impl Plane {
    /// The panels as a self-contained SVG.
    ///
    /// # Errors
    /// [`maxlik_tensor::Error::Shape`] for a density whose values do not fill whole rows.
    pub fn svg(&self) -> Result<String> {
        let [x0, x1, y0, y1] = self.extent;
        let y = Axis::new([y0, y1], [TOP + SIDE, TOP], 5);
        let x = Axis::new([x0, x1], [0.0, SIDE], 5);
        let widest = y.ticks().iter().map(|(_, label)| width_of(label)).fold(0.0, f64::max);
        let left = 36.0 + widest;
        let max = self.panels.iter().filter_map(|p| p.density.as_ref()).map(Heatmap::max);
        let max = max.fold(0.0, f64::max);
        let bar = if max > 0.0 { 64.0 } else { 14.0 };
        let count = self.panels.len().max(1) as f64;
        let width = left + count * SIDE + (count - 1.0) * GAP + bar;
        let mut svg = Svg::new(width, TOP + SIDE + BOTTOM, &self.title);
        for (at, label) in y.ticks() {
            svg.text([left - 8.0, at + 4.0], Anchor::End, "", &label);
        }
        svg.upward([16.0, TOP + 0.5 * SIDE], &self.labels[1]);
        let mut begin = left;
        for panel in &self.panels {
            self.panel(&mut svg, panel, &x.on([begin, begin + SIDE]), begin, max)?;
            for (at, _) in y.ticks() {
                svg.line([begin - 4.0, at], [begin, at], "var(--frame)", 1.0);
            }
            begin += SIDE + GAP;
        }
        if max > 0.0 {
            color_bar(&mut svg, begin - GAP + 14.0, max);
        }
        Ok(svg.finish())
    }

    fn panel(&self, svg: &mut Svg, panel: &Panel, x: &Axis, left: f64, max: f64) -> Result<()> {
        let bottom = TOP + SIDE;
        if let Some(density) = &panel.density {
            picture(svg, &DynamicImage::ImageRgb8(density.image(max)?), left)?;
        }
        if let Some(points) = &panel.points {
            // Dots in pixels of the panel, drawn on the finer grid.
            let fine = Scatter { radius: 2.0 * points.radius, ..points.clone() };
            picture(svg, &DynamicImage::ImageRgba8(fine.image(self.extent, FINE)), left)?;
        }
        svg.raw(&format!(
            "<rect x='{}' y='{TOP}' width='{SIDE}' height='{SIDE}' fill='none' \
             style='stroke:var(--frame)'/>",
            short(left)
        ));
        for (at, label) in x.ticks() {
            svg.line([at, bottom], [at, bottom + 4.0], "var(--frame)", 1.0);
            svg.text([at, bottom + 17.0], Anchor::Middle, "", &label);
        }
        svg.text([left + 0.5 * SIDE, bottom + 36.0], Anchor::Middle, "", &self.labels[0]);
        svg.text([left + 0.5 * SIDE, TOP - 12.0], Anchor::Middle, "ink title", &panel.title);
        Ok(())
    }
}

/// An image that fills the panel whose left edge is given.
fn picture(svg: &mut Svg, image: &DynamicImage, left: f64) -> Result<()> {
    let data = base64::engine::general_purpose::STANDARD.encode(png(image)?);
    svg.raw(&format!(
        "<image x='{}' y='{TOP}' width='{SIDE}' height='{SIDE}' preserveAspectRatio='none' \
         href='data:image/png;base64,{data}'/>",
        short(left)
    ));
    Ok(())
}

/// The scale of colours from 0 to `max`, right of the panels.
fn color_bar(svg: &mut Svg, left: f64, max: f64) {
    let axis = Axis::new([0.0, max], [TOP + SIDE, TOP], 4);
    let stops: Vec<String> = VIRIDIS
        .iter()
        .enumerate()
        .map(|(i, [r, g, b])| {
            let offset = short(i as f64 / (VIRIDIS.len() - 1) as f64);
            format!("<stop offset='{offset}' stop-color='#{r:02x}{g:02x}{b:02x}'/>")
        })
        .collect();
    svg.raw(&format!(
        "<linearGradient id='viridis' x1='0' x2='0' y1='1' y2='0'>{}</linearGradient>\
         <rect x='{}' y='{TOP}' width='10' height='{SIDE}' fill='url(#viridis)'/>",
        stops.concat(),
        short(left)
    ));
    for (at, label) in axis.ticks() {
        svg.text([left + 15.0, at + 4.0], Anchor::Start, "", &label);
    }
}
