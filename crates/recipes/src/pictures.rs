//! Pictures of data and samples.

use crate::model::Model;
use crate::plane;
use crate::problem::{Problem, Subject};
use anyhow::Result;
use maxlik_data::toy::ToyDensity;
use maxlik_train::plot::{Heatmap, Images, Panel, Plane, Scatter, png};
use ndarray::Array2;

/// Images in a row of a grid.
const COLUMNS: usize = 10;
/// Screen pixels of an image's pixel.
const SCALE: u32 = 5;
/// Screen pixels between images.
const GAP: u32 = 5;

/// A grid of the first `most` rows as images, dark ink on white.
///
/// # Errors
/// Those of the plot.
pub fn grid(problem: &Problem, rows: &Array2<f64>, most: usize) -> Result<image::DynamicImage> {
    let side = match problem.subject {
        Subject::Images { side } => side,
        Subject::Plane { .. } | Subject::Table => [1, rows.ncols()],
    };
    let top = f64::from(problem.levels.unwrap_or(2).max(2) - 1);
    let shown = rows.slice(ndarray::s![..rows.nrows().min(most), ..]);
    let values = shown.iter().map(|v| v / top).collect();
    let images = Images { values, channels: 1, height: side[0], width: side[1] };
    Ok(images.inverted().grid(COLUMNS, SCALE, GAP)?)
}

/// The bytes of a PNG file of [`grid`].
///
/// # Errors
/// Those of the plot.
pub fn images(problem: &Problem, rows: &Array2<f64>, most: usize) -> Result<Vec<u8>> {
    Ok(png(&grid(problem, rows, most)?)?)
}

/// The learned density beside the true one, and samples beside data, as an SVG.
///
/// # Errors
/// Those of the model and the plot.
pub fn plane(
    problem: &Problem,
    model: &Model,
    truth: &dyn ToyDensity,
    samples: &Array2<f64>,
) -> Result<String> {
    let grid = plane::Plane::of(model, truth)?;
    let bounds = grid.bounds;
    let density = |title: &str, log: &Array2<f64>| Panel {
        title: title.to_owned(),
        density: Some(Heatmap {
            values: log.iter().map(|v| v.exp()).collect(),
            columns: log.ncols(),
        }),
        points: None,
    };
    let points = |title: &str, rows: ndarray::ArrayView2<'_, f64>| Panel {
        title: title.to_owned(),
        density: None,
        points: Some(Scatter::new(
            rows.rows().into_iter().take(SHOWN).map(|row| [row[0], row[1]]).collect(),
        )),
    };
    let plane = Plane {
        title: "Densities and samples".to_owned(),
        extent: [bounds.x[0], bounds.x[1], bounds.y[0], bounds.y[1]],
        labels: ["x".to_owned(), "y".to_owned()],
        panels: vec![
            density("true density", &grid.truth),
            density("learned density", &grid.model),
            points("test data", problem.parts.test.rows()),
            points("samples", samples.view()),
        ],
    };
    Ok(plane.svg()?)
}

/// Most points in a panel.
const SHOWN: usize = 3000;

/// Pairs of columns of test data beside samples, for the first columns of a table, as SVGs.
///
/// # Errors
/// Those of the plot.
pub fn pairs(problem: &Problem, samples: &Array2<f64>) -> Result<Vec<(String, String)>> {
    /// Pairs that are shown.
    const PAIRS: usize = 3;
    let test = problem.parts.test.rows();
    let columns = problem.parts.test.columns();
    let mut figures = Vec::new();
    for i in 0..PAIRS.min(columns.len().saturating_sub(1)) {
        let (a, b) = (i, i + 1);
        let range = |j: usize| -> [f64; 2] {
            let mut values: Vec<f64> = test.column(j).to_vec();
            values.sort_by(f64::total_cmp);
            let at = |part: f64| values[((values.len() - 1) as f64 * part).round() as usize];
            let (low, high) = (at(0.005), at(0.995));
            let margin = 0.1 * (high - low).max(1e-9);
            [low - margin, high + margin]
        };
        let points = |title: &str, rows: ndarray::ArrayView2<'_, f64>| Panel {
            title: title.to_owned(),
            density: None,
            points: Some(Scatter::new(
                rows.rows().into_iter().take(SHOWN).map(|row| [row[a], row[b]]).collect(),
            )),
        };
        let ([x0, x1], [y0, y1]) = (range(a), range(b));
        let plane = Plane {
            title: format!("{} and {}", columns[a], columns[b]),
            extent: [x0, x1, y0, y1],
            labels: [columns[a].clone(), columns[b].clone()],
            panels: vec![points("test data", test.view()), points("samples", samples.view())],
        };
        figures.push((plane.title.clone(), plane.svg()?));
    }
    Ok(figures)
}
