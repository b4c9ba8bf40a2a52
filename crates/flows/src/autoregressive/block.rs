//! Block neural autoregressive flow.

use super::Order;
use crate::univariate::root::{self, At};
use maxlik_model::{Bijection, Mapped};
use maxlik_nn::{Init, Linear, Scope};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// Block neural autoregressive flow (De Cao et al. 2019, arXiv:1904.04676): one network of `D · H`
/// units in each hidden layer, `H` for each coordinate, whose weights between units of one
/// coordinate are positive and those from later coordinates zero, so that `z_i` increases in `x_i`
/// and depends on `x_1 … x_i` alone.
///
/// Weights are `e^Ŵ` in the diagonal blocks and `Ŵ` below them, each row scaled to the trained norm
/// `e^g` (eqs. 8–9). Between layers stands `tanh u + u/10`, whose slope stays positive, so that the
/// map is onto. The log-determinant is the sum of the logarithms of the diagonal, which is a chain of
/// products of positive blocks, taken as log-sum-exp (eq. 12). The context is added to the sums of
/// the first layer. There is no closed inverse: coordinates are solved for one after another.
#[derive(Debug)]
pub struct BlockAutoregressive {
    shape: [i64; 1],
    context: Option<[i64; 1]>,
    layers: Vec<Layer>,
    conditioner: Option<Linear>,
    /// The coordinate of each rank, and back.
    order: Vec<i64>,
    ranks: Tensor,
}

/// A layer from `inner` to `outer` units of each coordinate.
#[derive(Debug)]
struct Layer {
    weight: Tensor,
    log_norm: Tensor,
    bias: Tensor,
    diagonal: Tensor,
    below: Tensor,
    outer: i64,
    inner: i64,
}

/// Slope of the part of the nonlinearity that keeps it onto.
const LEAK: f64 = 0.1;

/// A map of all coordinates: values `[B, D]` and logarithms of the diagonal of the Jacobian.
struct Diagonal {
    value: Tensor,
    log: Tensor,
}

impl Layer {
    fn new(scope: &Scope<'_>, dims: i64, inner: i64, outer: i64) -> Result<Self> {
        let blocks = |n: i64| -> Result<Tensor> {
            let block: Vec<i64> = (0..dims * n).map(|unit| unit / n).collect();
            Ok(Tensor::f_from_slice(&block)?.f_to_device(scope.device())?)
        };
        let (rows, columns) = (blocks(outer)?.f_unsqueeze(1)?, blocks(inner)?.f_unsqueeze(0)?);
        let mask = |m: Tensor| m.f_to_kind(scope.kind());
        let bound = 1.0 / ((dims * inner) as f64).sqrt();
        Ok(Self {
            weight: scope.param("weight", &[dims * outer, dims * inner], Init::Uniform(bound))?,
            log_norm: scope.param("log_norm", &[dims * outer], Init::Constant(0.0))?,
            bias: scope.param("bias", &[dims * outer], Init::Uniform(bound))?,
            diagonal: mask(rows.f_eq_tensor(&columns)?)?,
            below: mask(rows.f_gt_tensor(&columns)?)?,
            outer,
            inner,
        })
    }

    /// The sums of the units, and the chain's logarithms `[B, D, outer]` after this layer; `log` is
    /// `[B, D, inner]`.
    fn forward(&self, x: &Tensor, log: &Tensor) -> Result<(Tensor, Tensor)> {
        let dims = self.bias.size()[0] / self.outer;
        // Outside the diagonal the exponent is zero, so that nothing there can overflow.
        let raw = self.weight.f_mul(&self.diagonal)?;
        let weight = raw.f_exp()? * &self.diagonal + &self.weight * &self.below;
        let square =
            weight.f_square()?.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)?;
        let log_scale = &self.log_norm - square.f_log()? * 0.5;
        let weight = weight * log_scale.f_exp()?.f_unsqueeze(1)?;
        let sums = x.f_linear(&weight, Some(&self.bias))?;
        // [D, outer, inner]: the diagonal blocks of the logarithms of weights.
        let blocks = raw.f_view([dims, self.outer, dims, self.inner])?.f_diagonal(0, 0, 2)?;
        let blocks = blocks.f_permute([2_i64, 0, 1])?;
        let blocks = blocks + log_scale.f_view([dims, self.outer, 1])?;
        let chain = log.f_unsqueeze(2)? + blocks;
        Ok((sums, chain.f_logsumexp([-1_i64].as_slice(), false)?))
    }
}

impl BlockAutoregressive {
    /// A map of `[D]` with `layers` hidden layers of `hidden` units for each coordinate.
    ///
    /// # Errors
    /// [`Error::Config`] for an order that does not fit or no hidden units, and those of
    /// [`Scope::param`].
    pub fn new(
        scope: &Scope<'_>,
        dims: i64,
        order: &Order,
        context: Option<i64>,
        hidden: i64,
        layers: usize,
    ) -> Result<Self> {
        if hidden < 1 {
            return Err(Error::config(
                "hidden",
                format!("expected at least one unit, got {hidden}"),
            ));
        }
        if layers < 1 {
            return Err(Error::config("layers", "expected at least one hidden layer"));
        }
        let ranks = order.ranks(dims)?;
        let shape = maxlik_nn::MaskedShape { ranks, context: 0, parameters: 1 };
        let build = |i: usize| {
            let inner = if i == 0 { 1 } else { hidden };
            let outer = if i == layers { 1 } else { hidden };
            Layer::new(&scope.sub(i), dims, inner, outer)
        };
        let conditioner = context
            .map(|size| Linear::new(&scope.sub("context"), size, dims * hidden))
            .transpose()?;
        Ok(Self {
            shape: [dims],
            context: context.map(|size| [size]),
            layers: (0..=layers).map(build).collect::<Result<_>>()?,
            conditioner,
            order: shape.order()?,
            ranks: Tensor::f_from_slice(&shape.ranks)?.f_to_device(scope.device())?,
        })
    }

    /// The map of coordinates in the order of their ranks.
    fn ranked(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Diagonal> {
        let mut value = x.shallow_clone();
        let mut log = x.f_zeros_like()?.f_unsqueeze(-1)?;
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                // ln(sech² u + LEAK), of which sech² = 1 − tanh².
                let tanh = value.f_tanh()?;
                let slope = ((1.0 + LEAK) - tanh.f_square()?).f_log()?;
                log = log.f_add(&slope.f_view_as(&log)?)?;
                value = tanh + value * LEAK;
            }
            (value, log) = layer.forward(&value, &log)?;
            if let (0, Some(net), Some(context)) = (i, &self.conditioner, context) {
                value = value.f_add(&net.forward(context)?)?;
            }
        }
        Ok(Diagonal { value, log: log.f_squeeze_dim(-1)? })
    }
}

impl Bijection for BlockAutoregressive {
    fn domain(&self) -> &[i64] {
        &self.shape
    }

    fn context_shape(&self) -> Option<&[i64]> {
        self.context.as_ref().map(<[i64; 1]>::as_slice)
    }

    fn map(&self, x: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let order = Tensor::f_from_slice(&self.order)?.f_to_device(x.device())?;
        let Diagonal { value, log } = self.ranked(&x.f_index_select(1, &order)?, context)?;
        let log_det = log.f_sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>)?;
        Ok(Mapped { value: value.f_index_select(1, &self.ranks)?, log_det })
    }

    fn unmap(&self, z: &Tensor, context: Option<&Tensor>) -> Result<Mapped> {
        let (batch, dims) = (z.size()[0], self.shape[0]);
        let mut known = z.f_narrow(1, 0, 0)?;
        let mut log_det = Mapped::volume_preserving(z.shallow_clone())?.log_det;
        for (rank, &coordinate) in self.order.iter().enumerate() {
            let rank = rank as i64;
            let later = Tensor::f_zeros([batch, dims - rank - 1], (z.kind(), z.device()))?;
            let solved = root::inverse(&z.f_narrow(1, coordinate, 1)?, |x| {
                let all = Tensor::f_cat(&[&known, x, &later], 1)?;
                let Diagonal { value, log } = self.ranked(&all, context)?;
                Ok(At { value: value.f_narrow(1, rank, 1)?, log_slope: log.f_narrow(1, rank, 1)? })
            })?;
            known = Tensor::f_cat(&[&known, &solved.value], 1)?;
            log_det = log_det.f_add(&solved.log_det)?;
        }
        Ok(Mapped { value: known.f_index_select(1, &self.ranks)?, log_det })
    }
}
