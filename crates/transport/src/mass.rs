//! Masses of points.

use ndarray::ArrayView1;

use crate::error::{Error, Result};
use crate::real::Real;

/// Masses of both sides as the solvers read them.
#[derive(Clone, Debug)]
pub(crate) struct Masses {
    pub(crate) source: Vec<f64>,
    pub(crate) target: Vec<f64>,
}

impl Masses {
    /// Checks lengths and signs; totals must be positive.
    pub(crate) fn new<F: Real>(
        source: ArrayView1<'_, F>,
        target: ArrayView1<'_, F>,
        shape: (usize, usize),
    ) -> Result<Self> {
        let masses = Self {
            source: side("source masses", source, shape.0)?,
            target: side("target masses", target, shape.1)?,
        };
        let (source_mass, target_mass) = masses.totals();
        if source_mass > 0.0 && target_mass > 0.0 && (source_mass + target_mass).is_finite() {
            Ok(masses)
        } else {
            Err(Error::Unbalanced { source_mass, target_mass })
        }
    }

    /// Equal masses, one in all on each side.
    pub(crate) fn uniform(sources: usize, targets: usize) -> Result<Self> {
        for (what, points) in [("source", sources), ("target", targets)] {
            if points == 0 {
                return Err(Error::Empty { what });
            }
        }
        let equal = |points: usize| vec![(points as f64).recip(); points];
        Ok(Self { source: equal(sources), target: equal(targets) })
    }

    /// Total of each side.
    pub(crate) fn totals(&self) -> (f64, f64) {
        (self.source.iter().sum(), self.target.iter().sum())
    }

    /// Whether both sides have as many points, all of the same mass.
    pub(crate) fn all_equal(&self) -> bool {
        let equal = |masses: &[f64]| masses.iter().all(|&mass| mass == masses[0]);
        self.source.len() == self.target.len() && equal(&self.source) && equal(&self.target)
    }

    /// Fails unless the totals agree to the digits of `F`; then gives the target the source's total.
    pub(crate) fn balance<F: Real>(mut self) -> Result<Self> {
        let (source_mass, target_mass) = self.totals();
        // Masses in single precision, say 1/3 three times, agree to seven digits only.
        let digits = if size_of::<F>() == 4 { 1e-5 } else { 1e-9 };
        if (source_mass - target_mass).abs() > digits * source_mass.max(target_mass) {
            return Err(Error::Unbalanced { source_mass, target_mass });
        }
        let factor = source_mass / target_mass;
        self.target.iter_mut().for_each(|b| *b *= factor);
        Ok(self)
    }
}

fn side<F: Real>(what: &'static str, masses: ArrayView1<'_, F>, points: usize) -> Result<Vec<f64>> {
    if masses.len() != points {
        return Err(Error::shape(
            what,
            format!("{points} masses, one for each point"),
            masses.len().to_string(),
        ));
    }
    let masses: Vec<f64> = masses.iter().map(|m| m.to_f64()).collect();
    if let Some(&got) = masses.iter().find(|m| !m.is_finite()) {
        return Err(Error::NonFinite { what, got });
    }
    match masses.iter().find(|&&m| m < 0.0) {
        Some(&got) => Err(Error::NegativeMass { what, got }),
        None => Ok(masses),
    }
}
