//! Sources and targets.

use anyhow::Result;
use maxlik_data::Stream;
use maxlik_data::tensor::array_to_tensor;
use maxlik_data::toy::{Toy, ToyDensity};
use ndarray::Array2;
use tch::{Device, Kind, Tensor};

/// A set at the scale of the paper's: eight normal densities on a circle of radius 5, two moons of
/// radius 3.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cloud {
    toy: Toy,
    scale: f64,
}

const NORMAL: Cloud = Cloud { toy: Toy::Normal, scale: 1.0 };
const EIGHT: Cloud =
    Cloud { toy: Toy::EightGaussians, scale: 5.0 / (2.0 * std::f64::consts::SQRT_2) };
const MOONS: Cloud = Cloud { toy: Toy::Moons, scale: 1.5 };
const S_CURVE: Cloud = Cloud { toy: Toy::SCurve, scale: 1.0 };

impl Cloud {
    /// `[rows, 2]`.
    pub(super) fn points(self, rows: usize, stream: &Stream, step: u64) -> Array2<f64> {
        self.toy.sample(rows, &mut stream.rng(step)) * self.scale
    }
}

/// A source, a target, and what they are called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) name: &'static str,
    /// What its check is called.
    pub(super) check: &'static str,
    pub(super) source: Cloud,
    pub(super) target: Cloud,
    /// Whether the source is the standard normal, which the target path of Lipman et al. needs.
    pub(super) from_normal: bool,
}

/// The four pairs of the paper, and the one whose bounds are fixed in advance.
pub(super) const PAIRS: [Pair; 5] = [
    Pair {
        name: "8 Gaussians to moons",
        check: "8 Gaussians to moons, normalised path energy of OT-CFM",
        source: EIGHT,
        target: MOONS,
        from_normal: false,
    },
    Pair {
        name: "N to 8 Gaussians",
        check: "N to 8 Gaussians, normalised path energy of OT-CFM",
        source: NORMAL,
        target: EIGHT,
        from_normal: true,
    },
    Pair {
        name: "moons to 8 Gaussians",
        check: "moons to 8 Gaussians, normalised path energy of OT-CFM",
        source: MOONS,
        target: EIGHT,
        from_normal: false,
    },
    Pair {
        name: "N to moons",
        check: "N to moons, normalised path energy of OT-CFM",
        source: NORMAL,
        target: MOONS,
        from_normal: true,
    },
    Pair {
        name: "N to S curve",
        check: "N to S curve, normalised path energy of OT-CFM",
        source: NORMAL,
        target: S_CURVE,
        from_normal: true,
    },
];

/// In the numbers of the model.
pub(super) fn tensor(points: &Array2<f64>) -> Result<Tensor> {
    let tensor = array_to_tensor(points.view(), &[2], Device::Cpu)?;
    Ok(tensor.f_to_kind(Kind::Float)?)
}
