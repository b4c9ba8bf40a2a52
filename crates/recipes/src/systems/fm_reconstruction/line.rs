//! Two normals on the line: the density of what four Euler steps sample.

use super::train::{Budget, FULL, Pretrained, Tuning};
use crate::systems::Check;
use anyhow::Result;
use maxlik_model::{Batch, Energy, VectorField};
use maxlik_objectives::density::Target;
use maxlik_objectives::density::energy::NormalMixture;
use maxlik_tensor::{Seeds, host};
use maxlik_train::plot::{LineChart, Series, Stroke};
use std::f64::consts::TAU;
use std::path::Path;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

/// Cells of the line of latents, from −`WIDE` to `WIDE`.
const CELLS: i64 = 4000;
const WIDE: f64 = 9.0;

fn mixture() -> Result<NormalMixture> {
    let means = Tensor::f_from_slice(&[-1.5_f64, 1.0])?.f_reshape([2, 1])?;
    Ok(NormalMixture::new(&means, &Tensor::f_from_slice(&[0.4_f64, 0.6])?, 0.35 * 0.35)?)
}

/// The density of `φ(x₀)`, `x₀ ~ N(0, 1)`, for the map of the nodes of a grid: each cell spreads its mass
/// evenly over its image, wherever else images lie.
#[derive(Debug)]
struct Pushed {
    /// Ends of the images in order, and the logarithm of the density that a cell adds between them.
    cells: Vec<[f64; 3]>,
}

impl Pushed {
    fn new(map: &dyn Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let width = 2.0 * WIDE / CELLS as f64;
        let nodes = Tensor::f_arange(CELLS + 1, (Kind::Double, Device::Cpu))? * width - WIDE;
        let images = host::to_vec(&map(&nodes.f_to_kind(Kind::Float)?.f_unsqueeze(1)?)?)?;
        let cells = images.windows(2).enumerate().map(|(i, ends)| {
            let middle = (i as f64 + 0.5) * width - WIDE;
            let log_mass = -0.5 * (middle * middle + TAU.ln()) + width.ln();
            // Float32 maps may put two nodes on one point.
            let length = (ends[1] - ends[0]).abs().max(1e-9);
            [ends[0].min(ends[1]), ends[0].max(ends[1]), log_mass - length.ln()]
        });
        Ok(Self { cells: cells.collect() })
    }

    fn log_density(&self, x: f64) -> f64 {
        let over = self.cells.iter().filter(|[low, high, _]| (*low..*high).contains(&x));
        let sum: f64 = over.map(|[.., log]| log.exp()).sum();
        // Beyond the images: what the outermost cells hold is below this.
        sum.max(1e-18).ln()
    }

    /// Mean negative log-density of points, nats.
    fn nll(&self, points: &[f64]) -> f64 {
        -points.iter().map(|x| self.log_density(*x)).sum::<f64>() / points.len() as f64
    }
}

pub(super) fn checks(seed: u64, out: &Path) -> Result<Vec<Check>> {
    run(seed, FULL, out)
}

fn run(seed: u64, budget: Budget, out: &Path) -> Result<Vec<Check>> {
    let truth = mixture()?;
    let data = |rows| Ok(Batch::new(truth.sample(rows, FLOAT_CPU)?));
    let field = Pretrained::train(seed, [1, 0], budget, &data)?;
    let whole = field.tune(Tuning::Whole, &data)?;
    let continued = field.tune(Tuning::Continued, &data)?;
    let pushed = |v: &dyn VectorField| Pushed::new(&|x| field.sample(v, x, None));
    let before = pushed(&field.field()?.1)?;
    let (after, continued) = (pushed(whole.as_ref())?, pushed(continued.as_ref())?);
    Seeds::new(seed).stream("test").seed_torch(0);
    let x = truth.sample(2 * budget.test, (Kind::Double, Device::Cpu))?;
    let points = host::to_vec(&x)?;
    let entropy = host::scalar(&truth.energy(&x, None)?.f_mean(Kind::Double)?)?;
    chart(&[("four steps, before", &before), ("fine-tuned", &after)], &truth, out)?;
    Ok(vec![
        Check::at_most(
            "two normals on the line: NLL of the four-step sampler above the data's own, after / before",
            "less than 1",
            (after.nll(&points) - entropy) / (before.nll(&points) - entropy),
            1.0,
        )
        .beside(
            "after as many steps of flow matching / before",
            (continued.nll(&points) - entropy) / (before.nll(&points) - entropy),
        ),
    ])
}

fn chart(pushed: &[(&str, &Pushed)], truth: &NormalMixture, out: &Path) -> Result<()> {
    let nodes: Vec<f64> = (0..400).map(|i| -3.5 + f64::from(i) * 0.0175).collect();
    let line = |name: &str, values: Vec<f64>| Series {
        name: name.to_owned(),
        points: nodes.iter().copied().zip(values).collect(),
        stroke: Stroke::Line,
    };
    let at = Tensor::f_from_slice(&nodes)?.f_unsqueeze(1)?;
    let exact = host::to_vec(&(-truth.energy(&at, None)?).f_exp()?)?;
    let mut chart = LineChart::new("Densities of the data and of samplers", "x", "density")
        .series(line("data", exact));
    for (name, pushed) in pushed {
        let values = nodes.iter().map(|x| pushed.log_density(*x).exp()).collect();
        chart = chart.series(line(name, values));
    }
    Ok(std::fs::write(out.join("line.svg"), chart.svg())?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Budget, Pushed, run};

    /// `2x + 1` and `|x|`: a normal, and a folded one, up to its change within a cell.
    #[test]
    fn pushed_densities() {
        let log_normal = |x: f64| -0.5 * (x * x + std::f64::consts::TAU.ln());
        let wide = Pushed::new(&|x| Ok(x * 2.0 + 1.0)).unwrap();
        let folded = Pushed::new(&|x| Ok(x.abs())).unwrap();
        for x in [-3.0, 0.01, 0.4, 2.2_f64] {
            let exact = log_normal((x - 1.0) / 2.0) - 2.0_f64.ln();
            assert!((wide.log_density(x) - exact).abs() < 0.01, "{x}");
            if x > 0.0 {
                let exact = log_normal(x) + 2.0_f64.ln();
                assert!((folded.log_density(x) - exact).abs() < 0.01, "{x}");
            }
        }
        assert!(folded.log_density(-0.5) < -41.0);
    }

    #[test]
    fn a_few_steps_give_all_numbers() {
        let budget = Budget { steps: 3, tuning: 2, pairs: 64, test: 40 };
        let folder = tempfile::tempdir().unwrap();
        let checks = run(1, budget, folder.path()).unwrap();
        assert!(checks.iter().all(|check| check.result.is_finite()), "{checks:?}");
        assert!(folder.path().join("line.svg").exists());
    }
}
