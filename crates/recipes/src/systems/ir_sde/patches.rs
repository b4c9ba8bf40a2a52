//! Distances between the patches of images.

use anyhow::Result;
use maxlik_tensor::host;
use maxlik_transport::{bures, wasserstein_2};
use ndarray::{Array1, Array2, Axis};
use tch::Tensor;

/// Side of a patch, and the step from one to the next.
const SIDE: i64 = 4;
const STEP: i64 = 2;

/// All 4×4 patches of images, two pixels apart, `[N, 16]`.
#[derive(Debug)]
pub(super) struct Patches(Array2<f64>);

impl Patches {
    /// Those of images `[B, 64]`, whose pixels are cut to `[0, 1]`.
    pub(super) fn of(x: &Tensor) -> Result<Self> {
        Self::unclamped(&x.f_clamp(0.0, 1.0)?)
    }

    /// Those of images `[B, 64]` as they are.
    pub(super) fn unclamped(x: &Tensor) -> Result<Self> {
        let rows = x.f_view([-1, 8, 8])?;
        let patches = rows.f_unfold(1, SIDE, STEP)?.f_unfold(2, SIDE, STEP)?;
        let patches = patches.f_reshape([-1, SIDE * SIDE])?;
        let shape = (usize::try_from(patches.size()[0])?, (SIDE * SIDE) as usize);
        Ok(Self(Array2::from_shape_vec(shape, host::to_vec(&patches)?)?))
    }

    /// W₂ between two sets, by an optimal pairing.
    pub(super) fn wasserstein(&self, other: &Self) -> Result<f64> {
        Ok(wasserstein_2(self.0.view(), other.0.view())?)
    }

    fn moments(&self) -> (Array1<f64>, Array2<f64>) {
        let count = self.0.nrows() as f64;
        let mean = self.0.sum_axis(Axis(0)) / count;
        let centred = &self.0 - &mean;
        let covariance = centred.t().dot(&centred) / count;
        (mean, covariance)
    }

    /// W₂ between the normals of both sets' moments: the Fréchet distance, as FID takes it of features.
    pub(super) fn frechet(&self, other: &Self) -> Result<f64> {
        let ((m, a), (n, b)) = (self.moments(), other.moments());
        Ok(bures(m.view(), a.view(), n.view(), b.view())?)
    }
}
