//! A density on the plane on a grid: for pictures, and for the integral.

use crate::model::Model;
use anyhow::Result;
use maxlik_data::toy::{Bounds, ToyDensity};
use maxlik_tensor::host;
use ndarray::Array2;
use tch::{Kind, Tensor, kind::DOUBLE_CPU};

/// Nodes of the grid in each direction.
const NODES: usize = 400;

/// `ln p` of the model and of the truth at the nodes of a grid over the plot's box, which is
/// widened so that the model's tails are inside.
#[derive(Debug)]
pub struct Plane {
    /// The box.
    pub bounds: Bounds,
    /// The model's log-density; the first row is the lowest.
    pub model: Array2<f64>,
    /// The true log-density.
    pub truth: Array2<f64>,
}

impl Plane {
    /// Evaluates both densities.
    ///
    /// # Errors
    /// Those of the model.
    pub fn of(model: &Model, truth: &dyn ToyDensity) -> Result<Self> {
        let bounds = truth.bounds();
        let [x0, x1] = bounds.x;
        let [y0, y1] = bounds.y;
        let axis = |low: f64, high: f64| -> Vec<f64> {
            (0..NODES).map(|i| low + (i as f64 + 0.5) * (high - low) / NODES as f64).collect()
        };
        let (xs, ys) = (axis(x0, x1), axis(y0, y1));
        let nodes = Array2::from_shape_fn((NODES * NODES, 2), |(i, j)| {
            if j == 0 { xs[i % NODES] } else { ys[i / NODES] }
        });
        let exact = truth.log_density(nodes.view())?;
        let _no_grad = tch::no_grad_guard();
        let flat: Vec<f64> = nodes.iter().copied().collect();
        let x = Tensor::f_from_slice(&flat)?.f_reshape([-1, 2])?;
        let x = x.f_to_kind(model.kind())?.f_to_device(model.device())?;
        let mut values = Vec::with_capacity(NODES * NODES);
        for part in x.f_split(1 << 14, 0)? {
            values.extend(host::to_vec(&model.density.log_prob(&part, None)?)?);
        }
        let shape = (NODES, NODES);
        Ok(Self {
            bounds,
            model: Array2::from_shape_vec(shape, values)?,
            truth: Array2::from_shape_vec(shape, exact.to_vec())?,
        })
    }

    /// `∫ p(x) dx` of a density over the whole plane: the midpoint rule in `x = c + s·sinh t`, with
    /// the box's centre `c` and a quarter of its side `s`, so that tails far outside count too.
    ///
    /// # Errors
    /// Those of the density.
    pub fn integral(model: &Model, bounds: &Bounds) -> Result<f64> {
        let _no_grad = tch::no_grad_guard();
        let nodes = 800;
        let reach = 200.0_f64.asinh();
        let step = 2.0 * reach / f64::from(nodes);
        let t = (Tensor::f_arange(i64::from(nodes), DOUBLE_CPU)? + 0.5) * step - reach;
        let line = |[low, high]: [f64; 2]| -> Result<(Tensor, Tensor)> {
            let (centre, scale) = (0.5 * (low + high), 0.25 * (high - low));
            Ok((t.f_sinh()? * scale + centre, t.f_cosh()? * (scale * step)))
        };
        let ((x, wx), (y, wy)) = (line(bounds.x)?, line(bounds.y)?);
        let grid = Tensor::f_cartesian_prod(&[&x, &y])?;
        let weights = wx.f_outer(&wy)?.f_reshape([-1])?;
        let mut mass = 0.0;
        for (x, w) in grid.f_split(1 << 14, 0)?.iter().zip(weights.f_split(1 << 14, 0)?) {
            let x = x.f_to_kind(model.kind())?.f_to_device(model.device())?;
            let p = model.density.log_prob(&x, None)?.f_to_kind(Kind::Double)?.f_exp()?;
            mass += host::scalar(&(p.f_to_device(tch::Device::Cpu)? * w).f_sum(Kind::Double)?)?;
        }
        Ok(mass)
    }
}
