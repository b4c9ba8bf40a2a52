//! Eight Gaussians in four Euler steps.

use super::train::{Budget, FULL, Pretrained, Tuning};
use crate::systems::Check;
use anyhow::Result;
use maxlik_data::Stream;
use maxlik_data::tensor::array_to_tensor;
use maxlik_data::toy::Toy;
use maxlik_model::{Batch, VectorField};
use maxlik_tensor::{Seeds, host};
use maxlik_train::plot::{Scatter, beside, png};
use maxlik_transport::wasserstein_2;
use ndarray::Array2;
use std::cell::Cell;
use std::path::Path;
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU};

/// Units of the data: their radius is 2 then.
const SCALE: f64 = 2.0;

/// Fresh points at each call.
struct Data {
    stream: Stream,
    calls: Cell<u64>,
}

impl Data {
    fn new(seed: u64, name: &str) -> Self {
        Self { stream: Stream::new(seed, name), calls: Cell::new(0) }
    }

    fn draw(&self, rows: i64) -> Result<Batch> {
        let call = self.calls.replace(self.calls.get() + 1);
        let density = Toy::EightGaussians.density();
        let rows = density.sample(usize::try_from(rows)?, &mut self.stream.rng(call));
        let x = array_to_tensor(rows.view(), &[2], Device::Cpu)? / SCALE;
        Ok(Batch::new(x.f_to_kind(Kind::Float)?))
    }
}

/// What is measured of a field.
#[derive(Debug)]
struct Measured {
    /// Mean squared distance of held-out data from their reconstructions.
    error: f64,
    /// W₂ of samples from held-out data.
    distance: f64,
    cloud: Array2<f64>,
}

struct Trial {
    field: Pretrained,
    test: Batch,
    start: Tensor,
}

impl Trial {
    fn measure(&self, field: &dyn VectorField) -> Result<Measured> {
        let cloud = array(&self.field.sample(field, &self.start, None)?)?;
        Ok(Measured {
            error: self.field.error(field, &self.test)?,
            distance: wasserstein_2(cloud.view(), array(&self.test.data)?.view())?,
            cloud,
        })
    }
}

fn array(x: &Tensor) -> Result<Array2<f64>> {
    let values = host::to_vec(x)?;
    Ok(Array2::from_shape_vec((values.len() / 2, 2), values)?)
}

pub(super) fn checks(seed: u64, out: &Path) -> Result<Vec<Check>> {
    run(seed, FULL, out)
}

fn run(seed: u64, budget: Budget, out: &Path) -> Result<Vec<Check>> {
    let train = Data::new(seed, "train");
    let data = |rows| train.draw(rows);
    let field = Pretrained::train(seed, [2, 0], budget, &data)?;
    let test = Data::new(seed, "test").draw(budget.test)?;
    Seeds::new(seed).stream("start").seed_torch(0);
    let start = Tensor::f_randn([budget.test, 2], FLOAT_CPU)?;
    let trial = Trial { field, test, start };

    let before = trial.measure(&trial.field.field()?.1)?;
    let tuned = |tuning| -> Result<Measured> {
        let measured = trial.measure(trial.field.tune(tuning, &data)?.as_ref())?;
        let Measured { error, distance, .. } = measured;
        tracing::info!("  {tuning:?}: error {error:.4}, W2 {distance:.4}");
        Ok(measured)
    };
    let continued = tuned(Tuning::Continued)?;
    let whole = tuned(Tuning::Whole)?;
    let residual = tuned(Tuning::Residual)?;
    let clouds = [&before, &continued, &whole, &residual].map(|m| &m.cloud);
    picture(&array(&trial.test.data)?, &clouds, out)?;

    Ok(vec![
        Check::at_least(
            "4 Euler steps, squared error of reconstructions, before / after fine-tuning",
            "at least 3",
            before.error / whole.error,
            3.0,
        )
        .beside("before / after as many steps of flow matching", before.error / continued.error),
        Check::at_most(
            "4 Euler steps, W₂ from data, after / before fine-tuning",
            "at most 0.9",
            whole.distance / before.distance,
            0.9,
        )
        .beside("W₂ before", before.distance),
        Check::at_most(
            "W₂ after fine-tuning / after as many steps of flow matching",
            "at most 1",
            whole.distance / continued.distance,
            1.0,
        ),
        Check::at_least(
            "a free residual: squared error of reconstructions, before / after",
            "at least 3",
            before.error / residual.error,
            3.0,
        )
        .beside("W₂, after / before", residual.distance / before.distance),
    ])
}

/// Data, then samples before fine-tuning, after more flow matching, of the whole field fine-tuned, and of a
/// free residual.
fn picture(data: &Array2<f64>, clouds: &[&Array2<f64>], out: &Path) -> Result<()> {
    let extent = [-3.2, 3.2, -3.2, 3.2];
    let image = |cloud: &Array2<f64>| {
        let points = cloud.rows().into_iter().map(|row| [row[0], row[1]]).collect();
        Scatter::new(points).image(extent, 220).into()
    };
    let images: Vec<image::DynamicImage> =
        std::iter::once(data).chain(clouds.iter().copied()).map(image).collect();
    std::fs::write(out.join("samples.png"), png(&beside(&images, 8)?)?)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Budget, run};

    #[test]
    fn a_few_steps_give_all_numbers() {
        let budget = Budget { steps: 3, tuning: 2, pairs: 64, test: 40 };
        let folder = tempfile::tempdir().unwrap();
        let checks = run(1, budget, folder.path()).unwrap();
        assert!(checks.iter().all(|check| check.result > 0.0), "{checks:?}");
        assert!(folder.path().join("samples.png").exists());
    }
}
