//! Mixtures of isotropic normals.

use super::Target;
use maxlik_model::{Energy, Score};
use maxlik_tensor::{Error, Result, check};
use tch::{Device, Kind, Tensor};

/// `p(x) = Σ_k w_k N(x; μ_k, v I)` with `E = −ln p`, so that `ln Z = 0`, an exact sampler, and the score
/// `Σ_k r_k(x) (μ_k − x)/v` with responsibilities `r_k`.
#[derive(Debug)]
pub struct NormalMixture {
    /// `[K, D]`.
    means: Tensor,
    /// `[K]`.
    log_weights: Tensor,
    variance: f64,
}

/// Most components of [`NormalMixture::hypercube`]: `2¹²`.
const MOST_DIMS: i64 = 12;

impl NormalMixture {
    /// Components at the rows of `means` `[K, D]` with these positive weights `[K]`, of any sum.
    ///
    /// # Errors
    /// [`Error::Shape`] for tensors that do not fit, [`Error::Config`] for a variance or a weight that
    /// is not positive.
    pub fn new(means: &Tensor, weights: &Tensor, variance: f64) -> Result<Self> {
        let &[count, _] = means.size().as_slice() else {
            return Err(Error::shape("means", "[K, D]", &means.size()));
        };
        check::shape("weights", weights, &[count])?;
        if !(variance > 0.0 && variance.is_finite()) {
            let why = format!("expected a positive number, got {variance}");
            return Err(Error::config("variance", why));
        }
        if count == 0 || !bool::try_from(weights.f_gt(0.0)?.f_all()?)? {
            return Err(Error::config("weights", "expected at least one, all positive"));
        }
        let means = means.f_to_kind(Kind::Double)?;
        let weights = weights.f_to_kind(Kind::Double)?;
        let log_weights = (&weights / weights.f_sum(None::<Kind>)?).f_log()?;
        Ok(Self { means, log_weights, variance })
    }

    /// Equal components at all corners `(±1)^D` ("MGM" of Vaitl et al. 2024, arXiv:2403.15881).
    ///
    /// # Errors
    /// [`Error::Config`] for a number of coordinates outside `1..=12`, and those of
    /// [`NormalMixture::new`].
    pub fn hypercube(dims: i64, variance: f64) -> Result<Self> {
        if !(1..=MOST_DIMS).contains(&dims) {
            return Err(Error::config("dims", format!("expected 1 to {MOST_DIMS}, got {dims}")));
        }
        let corners = 0..1_i64 << dims;
        let signs =
            corners.flat_map(|c| (0..dims).map(move |i| if c >> i & 1 == 1 { 1.0 } else { -1.0 }));
        let means = Tensor::f_from_slice(&signs.collect::<Vec<f64>>())?.f_reshape([-1, dims])?;
        let weights = Tensor::f_ones([means.size()[0]], (Kind::Double, Device::Cpu))?;
        Self::new(&means, &weights, variance)
    }

    /// The same mixture convolved with `N(0, added I)`: that of noisy data.
    ///
    /// # Errors
    /// Those of [`NormalMixture::new`].
    pub fn smoothed(&self, added: f64) -> Result<Self> {
        Self::new(&self.means, &self.log_weights.f_exp()?, self.variance + added)
    }

    /// `ln (w_k N(x; μ_k, v I))`, `[B, K]`.
    fn joint(&self, x: &Tensor) -> Result<Tensor> {
        let means = self.means.f_to_device(x.device())?.f_to_kind(x.kind())?;
        let log_weights = self.log_weights.f_to_device(x.device())?.f_to_kind(x.kind())?;
        let off = x.f_unsqueeze(1)?.f_sub(&means)?;
        let square = off.f_square()?.f_sum_dim_intlist([2_i64].as_slice(), false, None::<Kind>)?;
        let constant = 0.5 * self.dims() as f64 * (std::f64::consts::TAU * self.variance).ln();
        Ok(square * (-0.5 / self.variance) + log_weights - constant)
    }
}

impl Energy for NormalMixture {
    fn energy(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        check::batch_of("x", x, &[self.dims()])?;
        Ok(-self.joint(x)?.f_logsumexp([1_i64].as_slice(), false)?)
    }
}

impl Score for NormalMixture {
    fn score(&self, x: &Tensor, _context: Option<&Tensor>) -> Result<Tensor> {
        check::batch_of("x", x, &[self.dims()])?;
        let shares = self.joint(x)?.f_softmax(1, None::<Kind>)?;
        let means = self.means.f_to_device(x.device())?.f_to_kind(x.kind())?;
        Ok((shares.f_matmul(&means)? - x) / self.variance)
    }
}

impl Target for NormalMixture {
    fn dims(&self) -> i64 {
        self.means.size()[1]
    }

    fn log_normalizer(&self) -> Option<f64> {
        Some(0.0)
    }

    fn sample(&self, count: i64, options: (Kind, Device)) -> Result<Tensor> {
        let chosen = self.log_weights.f_exp()?.f_multinomial(count, true)?;
        let means = self.means.f_index_select(0, &chosen)?;
        let means = means.f_to_device(options.1)?.f_to_kind(options.0)?;
        let noise = Tensor::f_randn([count, self.dims()], options)?;
        Ok(means + noise * self.variance.sqrt())
    }
}
