//! Causal attention as one fused, differentiable op.

use crate::custom::{Forward, FusedOp, apply, autocast_enabled, parallel};
use crate::host::{Shared, slice, slice_mut, span};
use crate::kernels::attention::{Cotangent, Head, Part, Rows, Scratch, backward, forward};
use crate::kernels::simd::dispatch;
use crate::{Error, Result};
use std::cell::RefCell;
use tch::{Device, Kind, Tensor};

/// The longest sequences and the widest heads of the kernel: what one head needs stays in the cache.
const MOST_TOKENS: i64 = 512;
const MOST_WIDTH: i64 = 128;

/// `softmax(scale · q kᵀ) v` for each head, where a token sees those up to it: `q`, `k` and `v` are
/// `[B, H, T, w]`, and so is the value.
///
/// In `f32` on the CPU, for up to 512 tokens and heads up to 128 wide, it is a kernel of ours that
/// computes what is seen only; elsewhere it is LibTorch's.
///
/// # Errors
/// [`Error::Shape`], [`Error::Kind`] or [`Error::Device`] for arguments that do not fit, and LibTorch's.
pub fn causal(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    let size = q.size();
    let &[_, _, tokens, width] = size.as_slice() else {
        return Err(Error::shape("queries", "[B, H, T, w]", &size));
    };
    for (what, x) in [("keys", k), ("values", v)] {
        crate::check::shape(what, x, &size)?;
        crate::check::alike(what, x, q)?;
    }
    let fits = (2..=MOST_TOKENS).contains(&tokens) && (1..=MOST_WIDTH).contains(&width);
    let ours = q.device() == Device::Cpu && q.kind() == Kind::Float && !autocast_enabled();
    if !(fits && ours) {
        let none = None::<Tensor>;
        return Ok(Tensor::f_scaled_dot_product_attention(q, k, v, none, 0.0, true, scale, false)?);
    }
    let out = apply(Op { scale }, &[q, k, v])?.into_iter().next();
    out.ok_or_else(|| Error::unsupported("attention without an output"))
}

/// [`causal`] as a composition of tensor ops: the reference, and what second derivatives go through.
///
/// # Errors
/// LibTorch's.
pub fn compose(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    let tokens = q.size().get(2).copied().unwrap_or(1);
    let hidden = Tensor::f_ones([tokens, tokens], (Kind::Bool, q.device()))?.f_triu(1)?;
    let scores = q.f_matmul(&k.f_transpose(-2, -1)?)? * scale;
    let scores = scores.f_masked_fill(&hidden, f64::NEG_INFINITY)?;
    Ok(scores.f_softmax(-1, None::<Kind>)?.f_matmul(v)?)
}

#[derive(Debug)]
struct Op {
    scale: f64,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// `[B, H, T, w]` with rows of `w` neighbours, and where they are.
struct Host<'a> {
    data: &'a [f32],
    strides: [usize; 3],
}

/// Whether rows of `x` are contiguous; the stride of a dimension of one entry says nothing.
fn has_lines(x: &Tensor) -> bool {
    x.stride().last() == Some(&1) || x.size().last() == Some(&1)
}

/// A tensor whose rows are contiguous, copied only where they are not.
fn lined(x: &Tensor) -> Result<Tensor> {
    if has_lines(x) { Ok(x.shallow_clone()) } else { Ok(x.f_contiguous()?) }
}

impl<'a> Host<'a> {
    fn new(what: &str, x: &'a Tensor) -> Result<Self> {
        let stride = x.stride();
        let (true, &[batch, head, token, _]) = (has_lines(x), stride.as_slice()) else {
            return Err(Error::unsupported(format!("{what}: rows that are not contiguous")));
        };
        let strides = [batch, head, token].map(|s| usize::try_from(s).unwrap_or(0));
        Ok(Self { data: span::<f32>(what, x)?, strides })
    }

    fn rows(&self, batch: usize, head: usize) -> Rows<'a> {
        let at = batch * self.strides[0] + head * self.strides[1];
        Rows { data: &self.data[at..], stride: self.strides[2] }
    }
}

/// `B`, `H`, `T` and `w`.
fn sizes(x: &Tensor) -> Result<[usize; 4]> {
    match x.size().as_slice() {
        &[b, h, t, w] => Ok([b, h, t, w].map(|n| usize::try_from(n).unwrap_or(0))),
        size => Err(Error::shape("queries", "[B, H, T, w]", size)),
    }
}

/// Queries, keys and values.
fn three(inputs: &[Tensor]) -> Result<[Tensor; 3]> {
    match inputs {
        [q, k, v] => Ok([lined(q)?, lined(k)?, lined(v)?]),
        _ => Err(Error::unsupported("attention without queries, keys and values")),
    }
}

/// All heads of all sequences.
struct Heads<'a> {
    parts: [Host<'a>; 3],
    tokens: usize,
    width: usize,
    scale: f32,
}

impl<'a> Heads<'a> {
    #[inline(always)]
    fn at(&self, batch: usize, number: usize) -> Head<'a> {
        let [query, key, value] = [0, 1, 2].map(|part: usize| self.parts[part].rows(batch, number));
        let (tokens, width, scale) = (self.tokens, self.width, self.scale);
        Head { query, key, value, tokens, width, scale }
    }
}

impl Op {
    fn heads<'a>(&self, [q, k, v]: [&'a Tensor; 3]) -> Result<Heads<'a>> {
        let [_, _, tokens, width] = sizes(q)?;
        let parts = [Host::new("queries", q)?, Host::new("keys", k)?, Host::new("values", v)?];
        #[allow(clippy::cast_possible_truncation, reason = "a scale, rounded to f32")]
        let scale = self.scale as f32;
        Ok(Heads { parts, tokens, width, scale })
    }
}

impl FusedOp for Op {
    fn forward(&self, inputs: &[Tensor]) -> Result<Forward> {
        let [q, k, v] = three(inputs)?;
        let [b, h, t, w] = sizes(&q)?;
        let size = q.size();
        let options = (Kind::Float, Device::Cpu);
        // Heads of a token side by side, as the map after attention wants them.
        let mut out = Tensor::f_empty([size[0], size[2], size[1], size[3]], options)?;
        let mut log_norm = Tensor::f_empty(&size[..3], options)?;
        {
            let heads = self.heads([&q, &k, &v])?;
            let outs = Shared::new(slice_mut::<f32>("attention", &mut out)?);
            let norms = Shared::new(slice_mut::<f32>("log_norm", &mut log_norm)?);
            parallel(b * h, grain(t, w), &|begin, end| {
                SCRATCH.with_borrow_mut(|scratch| {
                    dispatch(
                        #[inline(always)]
                        || {
                            for item in begin..end {
                                let (batch, number) = (item / h, item % h);
                                let head = heads.at(batch, number);
                                #[allow(unsafe_code, reason = "disjoint ranges of the output")]
                                // SAFETY: LibTorch gives each thread heads of its own.
                                let norms = unsafe { norms.part(item * t, (item + 1) * t) };
                                forward(
                                    &head,
                                    scratch,
                                    norms,
                                    #[inline(always)]
                                    |token, row: &[f32]| {
                                        let at = ((batch * t + token) * h + number) * w;
                                        #[allow(unsafe_code, reason = "disjoint rows")]
                                        // SAFETY: as above; a row is of one token and one head.
                                        let to = unsafe { outs.part(at, at + w) };
                                        to.copy_from_slice(row);
                                    },
                                );
                            }
                        },
                    );
                });
            });
        }
        let out = out.f_transpose(1, 2)?.f_detach()?;
        Ok(Forward { outputs: vec![out.shallow_clone()], saved: vec![log_norm, out] })
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        saved: &[Tensor],
        grads: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>> {
        let ([log_norm, out], [grad]) = (saved, grads) else {
            return Err(Error::unsupported("a gradient without what the forward pass saved"));
        };
        let [q, k, v] = three(inputs)?;
        let [b, h, t, w] = sizes(&q)?;
        let (out, grad) = (lined(out)?, lined(grad)?);
        let size = q.size();
        let options = (Kind::Float, Device::Cpu);
        // As one product of queries, keys and values wants its gradient.
        let mut all = Tensor::f_empty([size[0], size[2], 3, size[1], size[3]], options)?;
        {
            let heads = self.heads([&q, &k, &v])?;
            let (out, grad) = (Host::new("attention", &out)?, Host::new("grad", &grad)?);
            let log_norm = slice::<f32>("log_norm", log_norm)?;
            let alls = Shared::new(slice_mut::<f32>("gradients", &mut all)?);
            parallel(b * h, grain(t, w), &|begin, end| {
                SCRATCH.with_borrow_mut(|scratch| {
                    dispatch(
                        #[inline(always)]
                        || {
                            for item in begin..end {
                                let (batch, number) = (item / h, item % h);
                                let head = heads.at(batch, number);
                                let cotangent = Cotangent {
                                    out: out.rows(batch, number),
                                    grad: grad.rows(batch, number),
                                    log_norm: &log_norm[item * t..(item + 1) * t],
                                };
                                backward(
                                    &head,
                                    &cotangent,
                                    scratch,
                                    #[inline(always)]
                                    |part, token, row: &[f32]| {
                                        let part = match part {
                                            Part::Query => 0,
                                            Part::Key => 1,
                                            Part::Value => 2,
                                        };
                                        let row_of = (batch * t + token) * 3 + part;
                                        let at = (row_of * h + number) * w;
                                        #[allow(unsafe_code, reason = "disjoint rows")]
                                        // SAFETY: LibTorch gives each thread heads of its own, and
                                        // a row is of one part, one token and one head.
                                        let to = unsafe { alls.part(at, at + w) };
                                        to.copy_from_slice(row);
                                    },
                                );
                            }
                        },
                    );
                });
            });
        }
        let part = |i| all.f_select(2, i)?.f_transpose(1, 2);
        Ok(vec![Some(part(0)?), Some(part(1)?), Some(part(2)?)])
    }

    fn compose(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let [q, k, v] = three(inputs)?;
        Ok(vec![compose(&q, &k, &v, self.scale)?])
    }
}

/// Heads that are worth a thread of their own.
fn grain(tokens: usize, width: usize) -> usize {
    (65_536 / (tokens * tokens * width).max(1)).max(1)
}
