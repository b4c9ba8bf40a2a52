//! Languages with known probabilities.

use anyhow::Result;
use maxlik_model::{Batch, LanguageModel};
use maxlik_nn::decode::Generation;
use maxlik_nn::{BigramTable, Params};
use maxlik_tensor::host;
use tch::{Device, Kind, Tensor};

/// The token that begins every sequence, and pads the short ones.
pub(super) const BEGIN: i64 = 0;

/// A bigram language `p(x_t | x_{t−1})`.
#[derive(Debug)]
pub(super) struct World {
    model: BigramTable,
    /// The table `[V, V]`: rows sum to one.
    pub(super) p: Tensor,
}

impl World {
    pub(super) fn new(p: &[Vec<f64>]) -> Result<Self> {
        let params = Params::new(0, Kind::Double, Device::Cpu);
        let size = p.len() as i64;
        let p = Tensor::f_from_slice(&p.concat())?.f_view([size, size])?;
        let model = BigramTable::new(&params.root(), size)?;
        params.load(&[("table".to_owned(), p.f_log()?)])?;
        Ok(Self { model, p })
    }

    /// The language as a model of itself.
    pub(super) fn model(&self) -> &BigramTable {
        &self.model
    }

    pub(super) fn sample(&self, count: i64, tokens: i64, end: Option<i64>) -> Result<Batch> {
        sample(&self.model, count, tokens, end)
    }

    /// `Σ_t ln p(x_t | x_{t−1})` over the mean number of tokens, for sequences of a model: its negative
    /// exponential is the oracle perplexity. A thousandth of uniform is mixed into `p`, so that an
    /// impossible token costs much, but not everything.
    pub(super) fn oracle_log_prob(&self, batch: &Batch) -> Result<f64> {
        let size = self.p.size()[0];
        let floored = &self.p * 0.999 + 0.001 / size as f64;
        let length = batch.data.size()[1] - 1;
        let place =
            batch.data.f_narrow(1, 0, length)? * size + batch.data.f_narrow(1, 1, length)?;
        let each = floored.f_log()?.f_view([-1])?.f_index_select(0, &place.f_reshape([-1])?)?;
        let weight = match &batch.weight {
            Some(weight) => weight.f_narrow(1, 1, length)?.f_reshape([-1])?,
            None => each.f_ones_like()?,
        };
        let weight = weight.f_to_kind(Kind::Double)?;
        Ok(host::scalar(&(each * &weight).f_sum(Kind::Double)?)?
            / host::scalar(&weight.f_sum(Kind::Double)?)?)
    }
}

/// Sequences drawn from a model without any change of its distributions: a beginning mark, then up to
/// `tokens` of them; tokens after the end have weight zero.
pub(super) fn sample(
    model: &dyn LanguageModel,
    count: i64,
    tokens: i64,
    end: Option<i64>,
) -> Result<Batch> {
    let generation = Generation { tokens, end, pad: BEGIN, ..Generation::default() };
    let begin = Tensor::f_full([count, 1], BEGIN, (Kind::Int64, Device::Cpu))?;
    let out = generation.run(&mut *model.session(), &begin)?;
    let first = Tensor::f_ones([count, 1], (out.weight.kind(), Device::Cpu))?;
    Ok(Batch {
        data: Tensor::f_cat(&[begin, out.tokens], 1)?,
        context: None,
        weight: Some(Tensor::f_cat(&[first, out.weight], 1)?),
    })
}

/// `count` rows of a batch, drawn with LibTorch's generator, cut to the longest of them.
pub(super) fn draw(batch: &Batch, count: i64) -> Result<Batch> {
    let rows = Tensor::f_randint(batch.data.size()[0], [count], (Kind::Int64, Device::Cpu))?;
    let data = batch.data.f_index_select(0, &rows)?;
    let weight = batch.weight.as_ref().map(|w| w.f_index_select(0, &rows)).transpose()?;
    let Some(weight) = weight else {
        return Ok(Batch::new(data));
    };
    let used = weight.f_sum_dim_intlist([1_i64].as_slice(), false, Kind::Double)?;
    let length = host::scalar(&used.f_max()?)? as i64;
    Ok(Batch {
        data: data.f_narrow(1, 0, length)?,
        context: None,
        weight: Some(weight.f_narrow(1, 0, length)?),
    })
}

/// The next-token distributions of a model after each single token, `[V, V]`.
pub(super) fn transitions(model: &dyn LanguageModel) -> Result<Tensor> {
    let _no_grad = tch::no_grad_guard();
    let each = Tensor::f_arange(model.vocabulary(), (Kind::Int64, Device::Cpu))?.f_unsqueeze(1)?;
    Ok(model.logits(&each)?.f_select(1, 0)?.f_to_kind(Kind::Double)?.f_softmax(-1, Kind::Double)?)
}

#[cfg(test)]
mod tests {
    use super::{World, draw};
    use maxlik_tensor::with_seed;
    use tch::Kind;

    /// Samples of a language have its oracle's entropy, and end where they should.
    #[test]
    fn samples_are_of_the_language() -> anyhow::Result<()> {
        let p = vec![vec![0.0, 0.5, 0.5], vec![0.0, 0.25, 0.75], vec![0.0, 0.0, 1.0]];
        let world = World::new(&p)?;
        let batch = with_seed(3, || world.sample(4000, 40, Some(2)))?;
        let (data, weight) = (&batch.data, batch.weight.as_ref().map(|w| w.sum(Kind::Double)));
        assert!(data.select(1, 0).eq(0).all().int64_value(&[]) == 1);
        assert_eq!(data.eq(2).sum(Kind::Int64).int64_value(&[]), 4000);
        // Length without the beginning: one token, or 1 + a geometric number after a first one.
        let tokens = weight.map_or(0.0, |w| w.double_value(&[])) / 4000.0 - 1.0;
        assert!((tokens - (0.5 + 0.5 * (1.0 + 4.0 / 3.0))).abs() < 0.05, "{tokens}");
        let exact = -(2.0_f64.ln() + 0.5 * (4.0 / 3.0) * 0.5623) / (0.5 + 0.5 * (7.0 / 3.0));
        assert!((world.oracle_log_prob(&batch)? - exact).abs() < 0.02);
        let short = with_seed(4, || draw(&batch, 16))?;
        assert_eq!(short.data.size()[0], 16);
        assert!(short.data.size()[1] <= data.size()[1]);
        Ok(())
    }
}
