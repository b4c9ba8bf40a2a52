//! Columns of a matrix cut into parts and put together again, as one recorded op each.
//!
//! LibTorch's `index_select` has a serial gradient that adds into zeros; here every column has one
//! place, so that the gradient of cutting is putting together, and the other way round.

use crate::custom::{Forward, FusedOp, apply, parallel};
use crate::host::{Shared, slice, slice_mut};
use crate::kernels::real::Real;
use crate::{Error, Result, check};
use std::sync::Arc;
use tch::{Kind, Tensor};

/// A partition of the columns of `[B, D]`.
#[derive(Debug, Clone)]
pub struct Columns {
    parts: Arc<Vec<Vec<usize>>>,
    width: i64,
}

impl Columns {
    /// The parts: together, each of the numbers from zero on once.
    ///
    /// # Errors
    /// [`Error::Config`] where a column is missing or comes twice.
    pub fn new(parts: &[&[i64]]) -> Result<Self> {
        let mut all: Vec<i64> = parts.concat();
        all.sort_unstable();
        let width = all.len() as i64;
        if !all.iter().copied().eq(0..width) {
            let why = format!("expected each column of 0 to {} once, got {parts:?}", width - 1);
            return Err(Error::config("columns", why));
        }
        let own = |part: &&[i64]| part.iter().map(|&i| i.max(0) as usize).collect();
        Ok(Self { parts: Arc::new(parts.iter().map(own).collect()), width })
    }

    /// The parts of `x` `[B, D]`, each `[B, columns of the part]`.
    ///
    /// # Errors
    /// [`Error::Shape`] where `x` has another shape.
    pub fn split(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        check::floating("x", x)?;
        if x.dim() != 2 || x.size()[1] != self.width {
            return Err(Error::shape("x", format!("[B, {}]", self.width), &x.size()));
        }
        apply(Op { columns: self.clone(), join: false }, &[x])
    }

    /// The matrix with these parts: the inverse of [`Columns::split`].
    ///
    /// # Errors
    /// [`Error::Shape`] where the parts do not fit.
    pub fn join(&self, parts: &[&Tensor]) -> Result<Tensor> {
        let Some(first) = parts.first().filter(|_| parts.len() == self.parts.len()) else {
            let why = format!("expected {} of them, got {}", self.parts.len(), parts.len());
            return Err(Error::config("parts", why));
        };
        let rows = first.size().first().copied().unwrap_or_default();
        for (part, columns) in parts.iter().zip(self.parts.iter()) {
            check::shape("part", part, &[rows, columns.len() as i64])?;
            check::alike("part", part, first)?;
        }
        let mut joined = apply(Op { columns: self.clone(), join: true }, parts)?;
        joined.pop().ok_or_else(|| Error::unsupported("joined columns without their output"))
    }

    fn split_as<T: Real>(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let x = x.f_contiguous()?;
        let (rows, width) = (x.size()[0], self.width as usize);
        let all = slice::<T>("x", &x)?;
        let take = |columns: &Vec<usize>| {
            let mut part = Tensor::f_empty([rows, columns.len() as i64], (x.kind(), x.device()))?;
            let out = Shared::new(slice_mut::<T>("part", &mut part)?);
            let n = columns.len();
            parallel(rows.max(0) as usize, grain(width), &|begin, end| {
                #[allow(unsafe_code, reason = "disjoint ranges of outputs")]
                // SAFETY: LibTorch gives each thread a range of rows of its own.
                let out = unsafe { out.part(begin * n, end * n) };
                let rows = all[begin * width..end * width].chunks_exact(width.max(1));
                for (row, out) in rows.zip(out.chunks_exact_mut(n.max(1))) {
                    for (out, &column) in out.iter_mut().zip(columns) {
                        *out = row[column];
                    }
                }
            });
            Ok(part)
        };
        self.parts.iter().map(take).collect()
    }

    fn join_as<T: Real>(&self, parts: &[Tensor]) -> Result<Tensor> {
        let parts =
            parts.iter().map(|part| Ok(part.f_contiguous()?)).collect::<Result<Vec<Tensor>>>()?;
        let slices =
            parts.iter().map(|part| slice::<T>("part", part)).collect::<Result<Vec<_>>>()?;
        let Some(first) = parts.first() else {
            return Err(Error::unsupported("columns without parts"));
        };
        let (rows, width) = (first.size()[0], self.width as usize);
        let mut joined = Tensor::f_empty([rows, self.width], (first.kind(), first.device()))?;
        let out = Shared::new(slice_mut::<T>("joined", &mut joined)?);
        parallel(rows.max(0) as usize, grain(width), &|begin, end| {
            #[allow(unsafe_code, reason = "disjoint ranges of outputs")]
            // SAFETY: LibTorch gives each thread a range of rows of its own.
            let out = unsafe { out.part(begin * width, end * width) };
            for (part, columns) in slices.iter().zip(self.parts.iter()) {
                let n = columns.len();
                let rows = part[begin * n..end * n].chunks_exact(n.max(1));
                for (row, out) in rows.zip(out.chunks_exact_mut(width.max(1))) {
                    for (&value, &column) in row.iter().zip(columns) {
                        out[column] = value;
                    }
                }
            }
        });
        Ok(joined)
    }

    fn split_any(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        match x.kind() {
            Kind::Float => self.split_as::<f32>(x),
            _ => self.split_as::<f64>(x),
        }
    }

    fn join_any(&self, parts: &[Tensor]) -> Result<Tensor> {
        match parts.first().map(Tensor::kind) {
            Some(Kind::Float) => self.join_as::<f32>(parts),
            _ => self.join_as::<f64>(parts),
        }
    }
}

/// Rows that are worth a thread of their own.
fn grain(width: usize) -> usize {
    (32_768 / width.max(1)).max(1)
}

#[derive(Debug)]
struct Op {
    columns: Columns,
    join: bool,
}

impl FusedOp for Op {
    fn forward(&self, inputs: &[Tensor]) -> Result<Forward> {
        let outputs = match inputs {
            [x] if !self.join => self.columns.split_any(x)?,
            parts => vec![self.columns.join_any(parts)?],
        };
        Ok(Forward { outputs, saved: Vec::new() })
    }

    fn backward(
        &self,
        _inputs: &[Tensor],
        _saved: &[Tensor],
        grads: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>> {
        let found = match grads {
            [grad] if self.join => self.columns.split_any(grad)?,
            grads => vec![self.columns.join_any(grads)?],
        };
        Ok(found.into_iter().map(Some).collect())
    }

    fn compose(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let Some(first) = inputs.first() else {
            return Err(Error::unsupported("columns without parts"));
        };
        let index = |columns: &[i64]| {
            Ok::<_, Error>(Tensor::f_from_slice(columns)?.f_to_device(first.device())?)
        };
        let of = |part: &Vec<usize>| part.iter().map(|&i| i as i64).collect::<Vec<i64>>();
        if !self.join {
            let take = |part| Ok(first.f_index_select(1, &index(&of(part))?)?);
            return self.columns.parts.iter().map(take).collect();
        }
        let mut order = vec![0; self.columns.width.max(0) as usize];
        for (place, &column) in self.columns.parts.iter().flatten().enumerate() {
            order[column] = place as i64;
        }
        Ok(vec![Tensor::f_cat(inputs, 1)?.f_index_select(1, &index(&order)?)?])
    }
}
