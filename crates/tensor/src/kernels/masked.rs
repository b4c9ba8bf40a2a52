//! A masked network run coordinate by coordinate, for [`TILE`] rows at a time.
//!
//! All units of a tile stay in the cache, and each is computed once, when the coordinates that it
//! sees are known. A layer's units and the inputs that they see are sorted, so that a unit reads a
//! prefix of its layer's inputs: half of the products of a dense layer.

use super::real::Real;

/// Rows of a tile: four AVX-512 registers of `f32`.
pub(crate) const TILE: usize = 64;

/// One number for each row of a tile.
pub(crate) type Tile<T> = [T; TILE];

/// What happens between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nonlinearity {
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0.01 x)`.
    LeakyRelu,
    /// `x` for `x > 0`, else `eˣ − 1`.
    Elu,
    /// `x / (1 + e⁻ˣ)`.
    Silu,
}

/// One layer: rows of `weight` are units in the order in which they are computed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer<'a, T> {
    pub(crate) weight: &'a [T],
    pub(crate) bias: &'a [T],
    pub(crate) inputs: usize,
}

/// The network: inputs are the context and then the coordinates in the order of their ranks.
#[derive(Debug)]
pub(crate) struct Net<'a, T> {
    pub(crate) layers: Vec<Layer<'a, T>>,
    /// Units of each hidden layer that each rank completes.
    pub(crate) counts: &'a [Vec<usize>],
    pub(crate) context: usize,
    pub(crate) dims: usize,
    pub(crate) parameters: usize,
    pub(crate) nonlinearity: Nonlinearity,
}

/// An elementwise map on a tile.
pub(crate) trait TileMap<T> {
    /// Replaces `z` by the data and adds the inverse's log-derivatives to `log`.
    fn invert(&mut self, z: &mut Tile<T>, params: &[Tile<T>], log: &mut Tile<T>);
}

/// Working memory of one thread.
#[derive(Debug)]
pub(crate) struct Memory<T> {
    /// Inputs of each layer; those of the first are the context and the coordinates known so far.
    inputs: Vec<Vec<Tile<T>>>,
    params: Vec<Tile<T>>,
    /// Units of each hidden layer that are complete.
    seen: Vec<usize>,
}

impl<T: Real> Memory<T> {
    pub(crate) fn new(net: &Net<'_, T>) -> Self {
        let zeros = |n: usize| vec![[T::ZERO; TILE]; n];
        Self {
            inputs: net.layers.iter().map(|layer| zeros(layer.inputs)).collect(),
            params: zeros(net.parameters),
            seen: vec![0; net.counts.len()],
        }
    }
}

/// The rows of one tile, all slices row by row.
#[derive(Debug)]
pub(crate) struct Rows<'a, T> {
    pub(crate) z: &'a [T],
    pub(crate) context: &'a [T],
    pub(crate) x: &'a mut [T],
    pub(crate) log: &'a mut [T],
}

/// Solves the rows of one tile, at most [`TILE`].
#[inline(always)]
pub(crate) fn solve<T: Real>(
    net: &Net<'_, T>,
    map: &mut impl TileMap<T>,
    memory: &mut Memory<T>,
    rows: &mut Rows<'_, T>,
) {
    let n = rows.log.len();
    memory.seen.fill(0);
    for c in 0..net.context {
        for l in 0..n {
            memory.inputs[0][c][l] = rows.context[l * net.context + c];
        }
    }
    let mut log = [T::ZERO; TILE];
    for rank in 0..net.dims {
        let mut extent = net.context + rank;
        for (i, counts) in net.counts.iter().enumerate() {
            let (before, after) = memory.inputs.split_at_mut(i + 1);
            let (first, count) = (memory.seen[i], counts[rank]);
            let out = &mut after[0][first..first + count];
            sums(&net.layers[i], first, &before[i][..extent], out);
            activate(net.nonlinearity, out);
            memory.seen[i] += count;
            extent = memory.seen[i];
        }
        let Some((layer, inputs)) = net.layers.last().zip(memory.inputs.last()) else { return };
        sums(layer, rank * net.parameters, &inputs[..extent], &mut memory.params);
        let mut z = [T::ZERO; TILE];
        for l in 0..n {
            z[l] = rows.z[l * net.dims + rank];
        }
        map.invert(&mut z, &memory.params, &mut log);
        memory.inputs[0][net.context + rank] = z;
        for l in 0..n {
            rows.x[l * net.dims + rank] = z[l];
        }
    }
    rows.log.copy_from_slice(&log[..n]);
}

/// `bias + weight · inputs` for the units `first..first + out.len()`.
#[inline(always)]
fn sums<T: Real>(layer: &Layer<'_, T>, first: usize, inputs: &[Tile<T>], out: &mut [Tile<T>]) {
    let mut unit = first;
    let mut rest = out;
    while !rest.is_empty() {
        let n = rest.len().min(4);
        let (now, later) = rest.split_at_mut(n);
        match n {
            4 => block::<T, 4>(layer, unit, inputs, now),
            3 => block::<T, 3>(layer, unit, inputs, now),
            2 => block::<T, 2>(layer, unit, inputs, now),
            _ => block::<T, 1>(layer, unit, inputs, now),
        }
        unit += n;
        rest = later;
    }
}

/// `N` units at once, so that each input that is read serves `N` products.
#[inline(always)]
fn block<T: Real, const N: usize>(
    layer: &Layer<'_, T>,
    first: usize,
    inputs: &[Tile<T>],
    out: &mut [Tile<T>],
) {
    let mut weights: [&[T]; N] = [&[]; N];
    for n in 0..N {
        let unit = first + n;
        out[n] = [layer.bias[unit]; TILE];
        weights[n] = &layer.weight[unit * layer.inputs..][..inputs.len()];
    }
    let (fours, ones) = inputs.as_chunks::<4>();
    for (i, h) in fours.iter().enumerate() {
        let mut w = [[T::ZERO; 4]; N];
        for n in 0..N {
            w[n].copy_from_slice(&weights[n][4 * i..4 * i + 4]);
        }
        for l in 0..TILE {
            let (a, b, c, d) = (h[0][l], h[1][l], h[2][l], h[3][l]);
            for n in 0..N {
                let sum = w[n][0].fma(a, out[n][l]);
                out[n][l] = w[n][3].fma(d, w[n][2].fma(c, w[n][1].fma(b, sum)));
            }
        }
    }
    for (i, h) in ones.iter().enumerate() {
        for n in 0..N {
            let w = weights[n][4 * fours.len() + i];
            for l in 0..TILE {
                out[n][l] = w.fma(h[l], out[n][l]);
            }
        }
    }
}

#[inline(always)]
fn activate<T: Real>(nonlinearity: Nonlinearity, units: &mut [Tile<T>]) {
    match nonlinearity {
        // Written so that NaN stays NaN.
        Nonlinearity::Relu => each(units, |x| if x < T::ZERO { T::ZERO } else { x }),
        Nonlinearity::LeakyRelu => each(units, |x| if x < T::ZERO { x * T::of(0.01) } else { x }),
        Nonlinearity::Elu => each(units, |x| if x < T::ZERO { x.exp() - T::ONE } else { x }),
        Nonlinearity::Silu => each(units, |x| x * x.sigmoid()),
    }
}

#[inline(always)]
fn each<T: Real>(units: &mut [Tile<T>], f: impl Fn(T) -> T) {
    for tile in units {
        for x in tile {
            *x = f(*x);
        }
    }
}
