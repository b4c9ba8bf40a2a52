//! The data: a line with correlated noise.

use super::policy::LinearGaussian;
use anyhow::Result;
use maxlik_model::{Batch, Density};
use maxlik_nn::Params;
use maxlik_objectives::density::MaximumLikelihood;
use maxlik_tensor::{Seeds, host, with_seed};
use tch::{Device, Kind, Tensor, kind::DOUBLE_CPU};

pub(super) const INPUTS: i64 = 3;
pub(super) const OUTPUTS: i64 = 2;

/// Points for training and for the test, and what they were made by.
#[derive(Debug)]
pub(super) struct World {
    pub(super) train: Batch,
    test: Batch,
    /// `Σ` of the noise.
    pub(super) noise: Tensor,
}

impl World {
    /// `y = W x + b + e` with `e ~ N(0, [[1, .8], [.8, 1]])`: 1,000 points for training.
    pub(super) fn new(seed: u64) -> Result<Self> {
        let noise = Tensor::from_slice(&[1.0, 0.8, 0.8, 1.0]).f_reshape([2, 2])?;
        let lower = noise.f_linalg_cholesky(false)?;
        with_seed(Seeds::new(seed).stream("world").at(0), || {
            let weight = Tensor::f_randn([OUTPUTS, INPUTS], DOUBLE_CPU)?;
            let bias = Tensor::f_randn([OUTPUTS], DOUBLE_CPU)?;
            let points = |count: i64| -> Result<Batch> {
                let x = Tensor::f_randn([count, INPUTS], DOUBLE_CPU)?;
                let e = Tensor::f_randn([count, OUTPUTS], DOUBLE_CPU)?.f_matmul(&lower.f_tr()?)?;
                let data = x.f_linear(&weight, Some(&bias))?.f_add(&e)?;
                Ok(Batch { context: Some(x), ..Batch::new(data) })
            };
            let (train, test) = (points(1000)?, points(50_000)?);
            Ok(Self { train, test, noise: noise.shallow_clone() })
        })
    }

    /// Rows of the training points, drawn with LibTorch's generator.
    pub(super) fn draw(&self, count: i64) -> Result<Batch> {
        let rows = self.train.data.size()[0];
        let rows = Tensor::f_randint(rows, [count], (Kind::Int64, Device::Cpu))?;
        let pick = |t: &Tensor| t.f_index_select(0, &rows);
        let context = self.train.context.as_ref().map(pick).transpose()?;
        Ok(Batch { context, ..Batch::new(pick(&self.train.data)?) })
    }

    /// Mean negative log-likelihood of the test points, in nats.
    pub(super) fn test_nll(&self, model: &LinearGaussian) -> Result<f64> {
        let _no_grad = tch::no_grad_guard();
        let log_prob = model.log_prob(&self.test.data, self.test.context.as_ref())?;
        Ok(host::scalar(&MaximumLikelihood::loss_at(&log_prob, None)?)?)
    }

    /// The covariance of the training points about their own least-squares fit: the optimum of
    /// likelihood on these points.
    pub(super) fn residual_covariance(&self) -> Result<Tensor> {
        let y = &self.train.data;
        let ones = y.f_ones_like()?.f_narrow(1, 0, 1)?;
        let x = match &self.train.context {
            Some(x) => Tensor::f_cat(&[x, &ones], 1)?,
            None => ones,
        };
        let gram = x.f_tr()?.f_matmul(&x)?;
        let best = Tensor::f_linalg_solve(&gram, &x.f_tr()?.f_matmul(y)?, true)?;
        let left = y.f_sub(&x.f_matmul(&best)?)?;
        Ok(left.f_tr()?.f_matmul(&left)? / y.size()[0] as f64)
    }
}

/// A policy with its parameters, at the start.
pub(super) fn policy(seed: u64) -> Result<(Params, LinearGaussian)> {
    let params = Params::new(seed, Kind::Double, Device::Cpu);
    let policy = LinearGaussian::new(&params.root(), INPUTS, OUTPUTS)?;
    Ok((params, policy))
}
