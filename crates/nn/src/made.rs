//! Masked networks: the parameters of a coordinate depend on the coordinates before it alone.
//!
//! Every unit has a degree. An input of rank `r` (place in the order, from 0) has degree `r + 1`, a
//! context has degree 0, and a hidden unit of degree `d` sees what has a degree of at most `d`: the
//! inputs of ranks below `d`. The outputs of rank `r` see hidden units of degree at most `r`
//! (Germain et al. 2015, "MADE: Masked autoencoder for distribution estimation", arXiv:1502.03509,
//! eqs. 12–13). Hidden units are sorted by degree, so that masks are staircases and the units that
//! one more coordinate completes lie side by side.

mod mlp;
mod residual;
mod steps;

pub use mlp::MaskedMlp;
pub use residual::MaskedResidualNet;
pub use steps::Steps;

use crate::{Init, Network, Scope};
use maxlik_tensor::masked::Masked;
use maxlik_tensor::perceptron::{self, Staircase};
use maxlik_tensor::{Error, Result};
use tch::{Kind, Tensor};

/// A network of `[B, D]` to `[B, D · P]`, the `P` numbers of a coordinate side by side, in which
/// those of rank `r` depend on the coordinates of ranks below `r` (and on the context) alone.
pub trait MaskedNetwork: Network {
    /// Starts a pass that learns the coordinates one after another, in the order of their ranks, and
    /// computes at each what is new: all passes together cost as much as one of [`Network::forward`].
    ///
    /// # Errors
    /// LibTorch's, for a context that does not fit.
    fn begin(&self, batch: i64, context: Option<&Tensor>) -> Result<Box<dyn Steps + '_>>;

    /// The network for the kernel that solves for the coordinates by itself, where the network is no
    /// more than masked layers with a nonlinearity that the kernel knows between them.
    ///
    /// # Errors
    /// LibTorch's, where no memory is left.
    fn fused(&self) -> Result<Option<Masked>> {
        Ok(None)
    }
}

/// What a masked network is to compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskedShape {
    /// Rank of each coordinate: each of `0..D` once.
    pub ranks: Vec<i64>,
    /// Size of the context, zero where there is none.
    pub context: i64,
    /// Numbers for each coordinate, `P`.
    pub parameters: i64,
}

impl MaskedShape {
    /// Number of coordinates.
    #[must_use]
    pub fn dims(&self) -> i64 {
        self.ranks.len() as i64
    }

    /// The coordinate of each rank.
    ///
    /// # Errors
    /// [`Error::Config`] where the ranks are no permutation.
    pub fn order(&self) -> Result<Vec<i64>> {
        let mut order = vec![-1; self.ranks.len()];
        for (coordinate, &rank) in self.ranks.iter().enumerate() {
            match usize::try_from(rank).ok().and_then(|rank| order.get_mut(rank)) {
                Some(place) if *place < 0 => *place = coordinate as i64,
                _ => {
                    let last = self.dims() - 1;
                    let why = format!("expected each of 0 to {last} once, got {:?}", self.ranks);
                    return Err(Error::config("order", why));
                }
            }
        }
        Ok(order)
    }

    /// Degrees of `count` hidden units, in ascending order: from 1 to `D − 1`, or from 0 where there
    /// is a context, as equally often as they go, the low ones first (with fewer units than
    /// degrees, spread out so that the last unit sees the most).
    #[must_use]
    pub fn hidden_degrees(&self, count: i64) -> Vec<i64> {
        let first = i64::from(self.context == 0 && self.dims() > 1);
        let choices = (self.dims() - first).max(1);
        if count < choices {
            return (1..=count).map(|i| first + (i * choices - 1) / count).collect();
        }
        let mut degrees: Vec<i64> = (0..count).map(|i| first + i % choices).collect();
        degrees.sort_unstable();
        degrees
    }

    fn input_degrees(&self) -> Vec<i64> {
        let inputs = self.ranks.iter().map(|rank| rank + 1);
        inputs.chain((0..self.context).map(|_| 0)).collect()
    }

    fn output_degrees(&self) -> Vec<i64> {
        let repeat = self.parameters.max(0) as usize;
        self.ranks.iter().flat_map(|&rank| std::iter::repeat_n(rank, repeat)).collect()
    }
}

/// `x (W ∘ M)ᵀ + b` with `M` one where the output's degree is at least the input's.
#[derive(Debug)]
pub struct MaskedLinear {
    weight: Tensor,
    bias: Tensor,
    mask: Staircase,
}

impl MaskedLinear {
    /// A layer between units of these degrees; weights and biases start uniform on `±1/√inputs`, as
    /// PyTorch's do, or on `±bound` where one is given.
    ///
    /// # Errors
    /// Those of [`Scope::param`].
    fn new(scope: &Scope<'_>, inputs: &[i64], outputs: &[i64], bound: Option<f64>) -> Result<Self> {
        let bound = bound.unwrap_or(1.0 / (inputs.len().max(1) as f64).sqrt());
        let init = Init::Uniform(bound);
        let (rows, columns) = (outputs.len() as i64, inputs.len() as i64);
        let degrees = |values: &[i64]| Tensor::f_from_slice(values);
        let mask = degrees(outputs)?
            .f_view([rows, 1])?
            .f_ge_tensor(&degrees(inputs)?.f_view([1, columns])?)?;
        Ok(Self {
            weight: scope.param("weight", &[rows, columns], init)?,
            bias: scope.param("bias", &[rows], init)?,
            mask: Staircase::new(&mask.f_to_kind(scope.kind())?.f_to_device(scope.device())?)?,
        })
    }

    /// `[B, inputs] → [B, outputs]`.
    ///
    /// # Errors
    /// LibTorch's, for another number of inputs.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.f_linear(&self.weight.f_mul(self.mask.mask())?, Some(&self.bias))?)
    }

    fn for_perceptron(&self) -> perceptron::Layer<'_> {
        perceptron::Layer { weight: &self.weight, bias: &self.bias, mask: Some(&self.mask) }
    }

    /// The weight as it is trained, `[outputs, inputs]`: entries outside the mask have no effect.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// One where the weight counts, zero elsewhere, `[outputs, inputs]`.
    pub fn mask(&self) -> &Tensor {
        self.mask.mask()
    }

    /// The bias `[outputs]`.
    pub fn bias(&self) -> &Tensor {
        &self.bias
    }
}

/// How many of the sorted `degrees` equal `0`, `1`, … `dims − 1`.
fn counts(degrees: &[i64], dims: i64) -> Vec<i64> {
    (0..dims).map(|d| degrees.iter().filter(|&&degree| degree == d).count() as i64).collect()
}

/// The rows of the output layer in the order of ranks, for networks that are run rank by rank.
fn rows_by_rank(shape: &MaskedShape, device: tch::Device) -> Result<Tensor> {
    let rows: Vec<i64> = shape
        .order()?
        .into_iter()
        .flat_map(|coordinate| {
            (0..shape.parameters).map(move |p| coordinate * shape.parameters + p)
        })
        .collect();
    Ok(Tensor::f_from_slice(&rows)?.f_to_kind(Kind::Int64)?.f_to_device(device)?)
}
