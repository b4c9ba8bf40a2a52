//! Masked networks solved coordinate by coordinate in one fused kernel: the inverse of an
//! autoregressive flow at the cost of half a pass of its network, instead of one pass for each
//! coordinate.

pub use crate::kernels::masked::Nonlinearity;

use crate::affine::Affine;
use crate::custom::parallel;
use crate::host::{Shared, slice, slice_mut};
use crate::kernels::affine::{OnTile, with_form};
use crate::kernels::masked::{self, Memory, Net, Rows, TILE, TileMap};
use crate::kernels::real::Real;
use crate::kernels::simd::dispatch;
use crate::kernels::spline::Kernel;
use crate::spline::{Elementwise, RationalQuadratic};
use crate::{Error, Result, check};
use tch::{Device, Kind, Tensor};

/// The elementwise map whose parameters the network computes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Map {
    /// Shift and scale.
    Affine(Affine),
    /// A rational-quadratic spline.
    Spline(RationalQuadratic),
}

impl Map {
    fn parameters(&self) -> usize {
        match self {
            Self::Affine(_) => 2,
            Self::Spline(spec) => spec.parameters(),
        }
    }
}

/// A layer of a [`Masked`] network.
#[derive(Debug)]
pub struct Layer {
    /// `[outputs, inputs]`: outputs in the order in which ranks complete them; inputs of the first
    /// layer are the context and then the coordinates by rank. Entries that the order masks are not
    /// read.
    pub weight: Tensor,
    /// `[outputs]`.
    pub bias: Tensor,
}

/// A masked network with a nonlinearity between layers.
#[derive(Debug)]
pub struct Masked {
    /// The layers, at least one; the last one gives the map's parameters of each rank side by side.
    pub layers: Vec<Layer>,
    /// For each hidden layer, the number of units that each rank completes: those that see the
    /// context and the coordinates of lower ranks alone.
    pub counts: Vec<Vec<usize>>,
    /// What happens between layers.
    pub nonlinearity: Nonlinearity,
}

impl Masked {
    /// Solves `z = f(x)` for `x`: `z` is `[B, D]` with coordinates in the order of their ranks, and
    /// so is the result; `log_det` is that of the inverse map. CPU only, and never recorded: see
    /// [`usable`].
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Kind`] for tensors that do not fit each other,
    /// [`Error::Unsupported`] on other devices.
    pub fn solve(&self, map: &Map, z: &Tensor, context: Option<&Tensor>) -> Result<Elementwise> {
        let &[batch, dims] = z.size().as_slice() else {
            return Err(Error::shape("z", "[B, D]", &z.size()));
        };
        let width = context.map_or(0, |c| c.size().last().copied().unwrap_or_default());
        if let Some(context) = context {
            check::shape("context", context, &[batch, width])?;
            check::alike("context", context, z)?;
        }
        if let Map::Spline(spec) = map {
            spec.check()?;
        }
        let mut inputs = width + dims;
        for (i, layer) in self.layers.iter().enumerate() {
            let outputs = match self.counts.get(i) {
                Some(counts) if counts.len() as i64 == dims => counts.iter().sum::<usize>() as i64,
                None if i + 1 == self.layers.len() => dims * map.parameters() as i64,
                _ => {
                    let expected = format!("{dims} numbers for each hidden layer");
                    let got = format!("{:?}", self.counts);
                    return Err(Error::Shape { what: "counts".to_owned(), expected, got });
                }
            };
            check::shape("weight", &layer.weight, &[outputs, inputs])?;
            check::shape("bias", &layer.bias, &[outputs])?;
            check::alike("weight", &layer.weight, z)?;
            check::alike("bias", &layer.bias, z)?;
            inputs = outputs;
        }
        if self.layers.is_empty() || self.counts.len() + 1 != self.layers.len() {
            return Err(Error::config("layers", "expected one layer more than counts"));
        }
        match z.kind() {
            Kind::Float => self.solve_as::<f32>(map, z, context),
            _ => self.solve_as::<f64>(map, z, context),
        }
    }

    fn solve_as<T: Real>(
        &self,
        map: &Map,
        z: &Tensor,
        context: Option<&Tensor>,
    ) -> Result<Elementwise> {
        match map {
            Map::Affine(affine) => {
                with_form!(affine.scale, T, form => self.run::<T, _>(z, context, &|| OnTile(form)))
            }
            Map::Spline(spec) => self.run::<T, _>(z, context, &|| Kernel::<T>::new(spec)),
        }
    }

    fn run<T: Real, M: TileMap<T>>(
        &self,
        z: &Tensor,
        context: Option<&Tensor>,
        map: &(impl Fn() -> M + Sync),
    ) -> Result<Elementwise> {
        let plain = |t: &Tensor| -> Result<Tensor> { Ok(t.f_detach()?.f_contiguous()?) };
        let (z, context) = (plain(z)?, context.map(plain).transpose()?);
        let owned: Vec<(Tensor, Tensor)> = self
            .layers
            .iter()
            .map(|layer| Ok((plain(&layer.weight)?, plain(&layer.bias)?)))
            .collect::<Result<_>>()?;
        let layers = owned
            .iter()
            .map(|(weight, bias)| {
                Ok(masked::Layer {
                    weight: slice::<T>("weight", weight)?,
                    bias: slice::<T>("bias", bias)?,
                    inputs: weight.size()[1].max(0) as usize,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let (batch, dims) = (z.size()[0].max(0) as usize, z.size()[1].max(0) as usize);
        let parameters =
            if dims == 0 { 0 } else { layers.last().map_or(0, |l| l.bias.len() / dims) };
        let width = context.as_ref().map_or(0, |c| c.size()[1].max(0) as usize);
        let net = Net {
            layers,
            counts: &self.counts,
            context: width,
            dims,
            parameters,
            nonlinearity: self.nonlinearity,
        };
        let mut value = z.f_empty_like()?;
        let mut log_det = Tensor::f_empty([batch as i64], (z.kind(), z.device()))?;
        {
            let zs = slice::<T>("z", &z)?;
            let cs = context.as_ref().map_or(Ok(&[][..]), |c| slice::<T>("context", c))?;
            let out = Shared::new(slice_mut::<T>("value", &mut value)?);
            let logs = Shared::new(slice_mut::<T>("log_det", &mut log_det)?);
            parallel(batch.div_ceil(TILE), 1, &|first, last| {
                let mut memory = Memory::new(&net);
                let mut map = map();
                for tile in first..last {
                    let (from, to) = (tile * TILE, batch.min((tile + 1) * TILE));
                    #[allow(unsafe_code, reason = "disjoint ranges of outputs")]
                    // SAFETY: LibTorch gives each thread a range of tiles of its own.
                    let (x, log) =
                        unsafe { (out.part(from * dims, to * dims), logs.part(from, to)) };
                    let (z, context) = (&zs[from * dims..to * dims], &cs[from * width..to * width]);
                    let mut rows = Rows { z, context, x, log };
                    dispatch(
                        #[inline(always)]
                        || masked::solve(&net, &mut map, &mut memory, &mut rows),
                    );
                }
            });
        }
        Ok(Elementwise { value, log_det })
    }
}

/// Whether the fused kernel may stand in for recorded ops on `z`: on the CPU, in single or double
/// precision, and where nothing is recorded.
#[must_use]
pub fn usable(z: &Tensor) -> bool {
    z.device() == Device::Cpu
        && matches!(z.kind(), Kind::Float | Kind::Double)
        && !crate::custom::grad_enabled()
}
