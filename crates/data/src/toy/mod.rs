//! Densities on the plane whose log-density is known exactly, to measure a model against.
//!
//! One file per density. To add one: write its file (a type that implements [`ToyDensity`]), and
//! give it a variant of [`Toy`], a line in [`Toy::ALL`] and a line in [`Toy::density`]. The tests
//! run over [`Toy::ALL`].
//!
//! ```
//! use maxlik_data::{Stream, toy::{Toy, ToyDensity}};
//!
//! let toy: Toy = "moons".parse()?;
//! let x = toy.sample(1000, &mut Stream::new(0, "sample").rng(0));
//! let nll = -toy.log_density(x.view())?.mean().unwrap_or(f64::NAN);
//! assert!((nll - toy.entropy()).abs() < 0.1);
//! # Ok::<(), maxlik_data::Error>(())
//! ```

mod banana;
mod checkerboard;
mod curve;
mod eight_gaussians;
mod moons;
mod normal;
mod pinwheel;
pub(crate) mod quadrature;
mod rings;
mod s_curve;
mod spirals;
mod swiss_roll;

pub use quadrature::{Bounds, Grid};

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::random::Stream;
use crate::scalar::Scalar;
use ndarray::{Array1, Array2, ArrayView2};
use rand_chacha::ChaCha8Rng;
use std::fmt::{self, Debug, Display};
use std::str::FromStr;

/// A normalised density on the plane that can be sampled and evaluated exactly.
pub trait ToyDensity: Debug + Send + Sync {
    /// One sample.
    fn draw(&self, rng: &mut ChaCha8Rng) -> [f64; 2];

    /// `ln p(x)` in nats; minus infinity outside the support.
    fn log_density_at(&self, x: [f64; 2]) -> f64;

    /// The differential entropy `-E ln p(x)` in nats: the least mean negative log-likelihood that
    /// a model can reach. Closed form where there is one; otherwise by quadrature, with an error
    /// below 1e-9, when first asked for.
    fn entropy(&self) -> f64;

    /// A box for plots; the mass outside is less than 1e-3.
    fn bounds(&self) -> Bounds;

    /// `count` samples, `[count, 2]`.
    fn sample(&self, count: usize, rng: &mut ChaCha8Rng) -> Array2<f64> {
        let mut rows = Array2::zeros((count, 2));
        for mut row in rows.rows_mut() {
            let [x, y] = self.draw(rng);
            row[0] = x;
            row[1] = y;
        }
        rows
    }

    /// `ln p` of each row of `x` (`[N, 2]`), `[N]` in nats.
    ///
    /// # Errors
    /// [`Error::Shape`] unless `x` has two columns.
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
        if x.ncols() != 2 {
            let got = format!("{:?}", x.shape());
            return Err(Error::shape("toy density, x", "shape [N, 2]", got));
        }
        Ok(x.rows().into_iter().map(|row| self.log_density_at([row[0], row[1]])).collect())
    }
}

/// The toy densities by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Toy {
    /// The standard normal density.
    Normal,
    /// A normal density bent along a parabola.
    Banana,
    /// A uniform density on the black squares of a 4×4 board.
    Checkerboard,
    /// Eight normal densities on a circle.
    EightGaussians,
    /// Two interleaved half circles with normal noise.
    Moons,
    /// Five twisted arms.
    Pinwheel,
    /// Four concentric circles with normal noise.
    Rings,
    /// A line in the shape of an S with normal noise.
    SCurve,
    /// Two spirals with normal noise.
    Spirals,
    /// A rolled-up line with normal noise.
    SwissRoll,
}

impl Toy {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Normal,
        Self::Banana,
        Self::Checkerboard,
        Self::EightGaussians,
        Self::Moons,
        Self::Pinwheel,
        Self::Rings,
        Self::SCurve,
        Self::Spirals,
        Self::SwissRoll,
    ];

    /// The name in configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Banana => "banana",
            Self::Checkerboard => "checkerboard",
            Self::EightGaussians => "eight-gaussians",
            Self::Moons => "moons",
            Self::Pinwheel => "pinwheel",
            Self::Rings => "rings",
            Self::SCurve => "s-curve",
            Self::Spirals => "spirals",
            Self::SwissRoll => "swiss-roll",
        }
    }

    /// The density itself.
    #[must_use]
    pub fn density(self) -> &'static dyn ToyDensity {
        match self {
            Self::Normal => &normal::Normal,
            Self::Banana => &banana::Banana,
            Self::Checkerboard => &checkerboard::Checkerboard,
            Self::EightGaussians => &eight_gaussians::EightGaussians,
            Self::Moons => &*moons::MOONS,
            Self::Pinwheel => &pinwheel::Pinwheel,
            Self::Rings => &rings::Rings,
            Self::SCurve => &*s_curve::S_CURVE,
            Self::Spirals => &*spirals::SPIRALS,
            Self::SwissRoll => &*swiss_roll::SWISS_ROLL,
        }
    }

    /// `count` samples of stream `toy` of `seed` as a data set with columns `x` and `y`.
    ///
    /// # Errors
    /// None in practice: samples are finite.
    pub fn dataset<T: Scalar>(self, count: usize, seed: u64) -> Result<Dataset<T>> {
        let mut rng = Stream::new(seed, "toy").rng(0);
        let rows = self.sample(count, &mut rng).mapv(T::from_f64);
        Dataset::new(self.name(), rows)?.with_columns(vec!["x".to_owned(), "y".to_owned()])
    }
}

impl ToyDensity for Toy {
    fn draw(&self, rng: &mut ChaCha8Rng) -> [f64; 2] {
        self.density().draw(rng)
    }
    fn log_density_at(&self, x: [f64; 2]) -> f64 {
        self.density().log_density_at(x)
    }
    fn entropy(&self) -> f64 {
        self.density().entropy()
    }
    fn bounds(&self) -> Bounds {
        self.density().bounds()
    }
}

impl Display for Toy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Toy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let plain = text.trim().to_lowercase().replace('_', "-");
        let known = || Self::ALL.iter().map(|t| t.name().to_owned()).collect();
        Self::ALL.into_iter().find(|toy| toy.name() == plain).ok_or_else(|| Error::Unknown {
            what: "toy density".to_owned(),
            got: text.to_owned(),
            known: known(),
        })
    }
}
