//! Denoising score matching.

use super::{PointFn, sum_events};
use maxlik_model::{Batch, Loss, Objective, Score};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// `½ E‖s(x + σε) + ε/σ‖²` with `ε ~ N(0, I)` (Vincent 2011, "A connection between score matching and
/// denoising autoencoders", eq. 4.3): its minimiser is the score of the data smoothed by `σ`.
///
/// With several levels each row gets one of them at random, the score is told `σ` as a context
/// `[B, 1]`, and rows are weighted by `σ²`, so that all levels count alike (Song and Ermon 2019,
/// "Generative modeling by estimating gradients of the data distribution", arXiv:1907.05600, eq. 6).
#[derive(Debug, Clone, PartialEq)]
pub struct DenoisingScoreMatching {
    levels: Vec<f64>,
}

impl DenoisingScoreMatching {
    /// One noise level; the score takes the batch's own context.
    ///
    /// # Errors
    /// [`Error::Config`] for a level that is not positive.
    pub fn new(sigma: f64) -> Result<Self> {
        Self::with_levels(vec![sigma])
    }

    /// Several noise levels, which the score is told.
    ///
    /// # Errors
    /// [`Error::Config`] for no levels, or one that is not positive.
    pub fn with_levels(levels: Vec<f64>) -> Result<Self> {
        if levels.is_empty() || levels.iter().any(|s| !(*s > 0.0 && s.is_finite())) {
            return Err(Error::config(
                "sigma",
                format!("expected positive noise levels, got {levels:?}"),
            ));
        }
        Ok(Self { levels })
    }

    /// The loss of each row, `[B]`, for given noise `ε` of the shape of `x` and levels `σ`, `[B]`.
    ///
    /// # Errors
    /// Those of the model.
    pub fn each(
        &self,
        model: &dyn Score,
        x: &Tensor,
        context: Option<&Tensor>,
        noise: &Tensor,
        sigma: &Tensor,
    ) -> Result<Tensor> {
        self.each_of(&|x, context| model.score(x, context), x, context, [noise, sigma])
    }

    pub(super) fn each_of(
        &self,
        score: &PointFn<'_>,
        x: &Tensor,
        context: Option<&Tensor>,
        [noise, sigma]: [&Tensor; 2],
    ) -> Result<Tensor> {
        let mut shape = vec![1; x.dim()];
        shape[0] = x.size()[0];
        let spread = sigma.f_reshape(shape.as_slice())?;
        let noisy = x + noise * &spread;
        let several = self.levels.len() > 1;
        let told = sigma.f_reshape([-1, 1])?;
        let score = score(&noisy, if several { Some(&told) } else { context })?;
        let each = sum_events(&(score + noise / &spread).f_square()?)? * 0.5;
        Ok(if several { each * sigma.f_square()? } else { each })
    }

    /// A level for each row of `x`, from LibTorch's generator.
    pub(super) fn draw_levels(&self, x: &Tensor) -> Result<Tensor> {
        let levels =
            Tensor::f_from_slice(&self.levels)?.f_to_kind(x.kind())?.f_to_device(x.device())?;
        let rows = x.size().first().copied().unwrap_or_default();
        let chosen =
            Tensor::f_randint(self.levels.len() as i64, [rows], (Kind::Int64, x.device()))?;
        Ok(levels.f_index_select(0, &chosen)?)
    }
}

impl Objective<dyn Score> for DenoisingScoreMatching {
    fn loss(&self, model: &(dyn Score + 'static), batch: &Batch) -> Result<Loss> {
        let x = &batch.data;
        let sigma = self.draw_levels(x)?;
        let each = self.each(model, x, batch.context.as_ref(), &x.f_randn_like()?, &sigma)?;
        Ok(Loss { value: each.f_mean(None::<Kind>)?, metrics: Vec::new() })
    }
}
