//! The parameters of a network as the kernels want them.

use super::gemm::{Panels, padded};
use super::real::Real;
use maxlik_tensor::Result;
use tch::{Device, Tensor};

/// Widths of a network with two hidden layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Numbers of an event.
    pub(crate) d: usize,
    /// Units of the first and second hidden layer.
    pub(crate) first: usize,
    pub(crate) second: usize,
    /// The same, filled up to whole panels.
    pub(crate) p1: usize,
    pub(crate) p2: usize,
}

impl Sizes {
    pub(crate) fn new(d: usize, first: usize, second: usize) -> Self {
        Self { d, first, second, p1: padded(first), p2: padded(second) }
    }

    /// Numbers of an event, filled up to whole panels.
    pub(crate) fn pd(&self) -> usize {
        padded(self.d)
    }
}

/// `v = W₃ tanh(W₂ tanh(W₁ x + w t + b₁) + b₂) + b₃` and `C`, packed.
#[derive(Debug)]
pub(crate) struct Weights<T> {
    pub(crate) sizes: Sizes,
    /// `W₁ᵀ` `[D, H₁]`.
    pub(crate) w1: Panels<T>,
    /// `w` and the shared `b₁`, padded.
    pub(crate) wt: Vec<T>,
    pub(crate) b1: Vec<T>,
    /// `W₂ᵀ` and `Cᵀ` `[H₁, H₂]`.
    pub(crate) w2: Panels<T>,
    pub(crate) c: Panels<T>,
    pub(crate) b2: Vec<T>,
    /// `W₃` by rows `[D, H₂]`, padded, and `W₃ᵀ` `[H₂, D]`.
    pub(crate) rows3: Vec<T>,
    pub(crate) w3: Panels<T>,
    pub(crate) b3: Vec<T>,
}

/// The same matrices the other way round, for the backward pass.
#[derive(Debug)]
pub(crate) struct Transposed<T> {
    /// `W₁` `[H₁, D]`.
    pub(crate) w1: Panels<T>,
    /// `W₂` and `C` `[H₂, H₁]`.
    pub(crate) w2: Panels<T>,
    pub(crate) c: Panels<T>,
    /// `W₃` `[D, H₂]`.
    pub(crate) w3: Panels<T>,
}

/// The numbers of a tensor, row by row.
pub(crate) fn numbers<T: Real>(x: &Tensor) -> Result<Vec<T>> {
    let flat = x.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(T::KIND)?.f_contiguous()?;
    Ok(Vec::<T>::try_from(&flat.f_view([-1])?)?)
}

/// A network's parameters, `[H₁, D]`, `[H₁]`, `[H₁]` or `[B, H₁]`, `[H₂, H₁]`, `[H₂]`, `[D, H₂]`,
/// `[D]`, and `C` `[H₂, H₁]`.
pub(crate) struct Raw<T> {
    pub(crate) sizes: Sizes,
    pub(crate) parts: [Vec<T>; 8],
}

impl<T: Real> Raw<T> {
    pub(crate) fn read(inputs: &[Tensor]) -> Result<Self> {
        let (w1, w2) = (inputs[0].size(), inputs[3].size());
        let sizes = Sizes::new(w1[1] as usize, w1[0] as usize, w2[0] as usize);
        let mut parts: [Vec<T>; 8] = Default::default();
        for (part, input) in parts.iter_mut().zip(inputs) {
            *part = numbers(input)?;
        }
        Ok(Self { sizes, parts })
    }

    pub(crate) fn pack(&self) -> Weights<T> {
        let Sizes { d, first, second, p1, p2 } = self.sizes;
        let [w1, wt, b1, w2, b2, w3, b3, c] = &self.parts;
        let pad = |x: &[T], n: usize| {
            let mut x = x.to_vec();
            x.resize(n, T::default());
            x
        };
        let mut rows3 = Vec::with_capacity(d * p2);
        for row in w3.chunks_exact(second) {
            rows3.extend(pad(row, p2));
        }
        Weights {
            sizes: self.sizes,
            w1: Panels::pack(d, first, |k, j| w1[j * d + k]),
            wt: pad(wt, p1),
            b1: if b1.len() == first { pad(b1, p1) } else { vec![T::default(); p1] },
            w2: Panels::pack(first, second, |k, j| w2[j * first + k]),
            c: Panels::pack(first, second, |k, j| c[j * first + k]),
            b2: pad(b2, p2),
            rows3,
            w3: Panels::pack(second, d, |k, j| w3[j * second + k]),
            b3: b3.clone(),
        }
    }

    pub(crate) fn transpose(&self) -> Transposed<T> {
        let Sizes { d, first, second, .. } = self.sizes;
        let [w1, _, _, w2, _, w3, _, c] = &self.parts;
        Transposed {
            w1: Panels::pack(first, d, |k, j| w1[k * d + j]),
            w2: Panels::pack(second, first, |k, j| w2[k * first + j]),
            c: Panels::pack(second, first, |k, j| c[k * first + j]),
            w3: Panels::pack(d, second, |k, j| w3[k * second + j]),
        }
    }
}
