//! Log-probabilities over large vocabularies as one fused, differentiable op.
//!
//! For logits `z` of `N` rows over `V` classes, a plain composition makes several tensors of `N × V`
//! numbers in each direction. The fused op reads the logits once in each direction and makes one such
//! tensor in all: the gradient.

use crate::custom::{Forward, FusedOp, apply, parallel};
use crate::host::{Shared, slice, slice_mut};
use crate::kernels::real::Real;
use crate::kernels::simd::dispatch;
use crate::kernels::vocabulary::{RowGrads, RowSums, backward, forward};
use crate::{Error, Result, check};
use tch::{Device, Kind, Tensor};

/// Scores of all classes, a row of them for each row of logits: constants, without a graph.
#[derive(Debug)]
pub struct Scores<'a> {
    /// The different rows of scores, `[U, V]`.
    pub table: &'a Tensor,
    /// Which of them belongs to each row of logits, of the shape of the classes, 64-bit integers.
    pub rows: &'a Tensor,
}

/// Log-probabilities and mean scores, both of the shape of the classes.
#[derive(Debug)]
pub struct Scored {
    /// `ln q_y`, in nats.
    pub log_prob: Tensor,
    /// `Σ_j q_j s_j`.
    pub mean: Tensor,
}

/// `ln q_y` with `q = softmax(z)`, for logits `[…, V]` and classes `y` `[…]` (64-bit integers).
///
/// Its gradient by the logits is `1[k = y] − q_k`.
///
/// # Errors
/// [`Error::Shape`], [`Error::Kind`] or [`Error::Device`] for arguments that do not fit, and
/// [`Error::Config`] for a class that is not below `V`.
pub fn log_prob(logits: &Tensor, classes: &Tensor) -> Result<Tensor> {
    let flat = Flat::new(logits, classes, None)?;
    let op = Op { classes: flat.classes, scores: None };
    let out = apply(op, &[&flat.logits])?.into_iter().next();
    let out = out.ok_or_else(|| Error::unsupported("log-probabilities without an output"))?;
    Ok(out.f_view(classes.size().as_slice())?)
}

/// The same, with the mean `m = Σ_j q_j s_j` of a row of scores, whose gradient by the logits is
/// `q_k (s_k − m)`.
///
/// # Errors
/// As [`log_prob`], also for scores that do not fit.
pub fn log_prob_and_mean(logits: &Tensor, classes: &Tensor, scores: &Scores<'_>) -> Result<Scored> {
    let flat = Flat::new(logits, classes, Some(scores))?;
    let op = Op { classes: flat.classes, scores: flat.scores };
    let mut out = apply(op, &[&flat.logits])?.into_iter();
    match (out.next(), out.next()) {
        (Some(log_prob), Some(mean)) => {
            let size = classes.size();
            let shape = |x: &Tensor| x.f_view(size.as_slice());
            Ok(Scored { log_prob: shape(&log_prob)?, mean: shape(&mean)? })
        }
        _ => Err(Error::unsupported("mean scores without an output")),
    }
}

/// [`log_prob`] as a composition of tensor ops: the reference, and the path on other devices.
///
/// # Errors
/// As [`log_prob`].
pub fn compose(logits: &Tensor, classes: &Tensor) -> Result<Tensor> {
    let all = logits.f_log_softmax(-1, None::<Kind>)?;
    Ok(all.f_gather(-1, &classes.f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)?)
}

/// [`log_prob_and_mean`] as a composition of tensor ops.
///
/// # Errors
/// As [`log_prob_and_mean`].
pub fn compose_with_mean(logits: &Tensor, classes: &Tensor, scores: &Scores<'_>) -> Result<Scored> {
    let rows = scores.table.f_index_select(0, &scores.rows.f_reshape([-1])?)?;
    let scores = rows.f_view(logits.size().as_slice())?;
    let q = logits.f_softmax(-1, None::<Kind>)?;
    let mean = q.f_mul(&scores)?.f_sum_dim_intlist([-1_i64].as_slice(), false, None::<Kind>)?;
    Ok(Scored { log_prob: compose(logits, classes)?, mean })
}

/// Checked arguments with all leading dimensions in one.
struct Flat {
    logits: Tensor,
    classes: Tensor,
    scores: Option<(Tensor, Tensor)>,
}

impl Flat {
    fn new(logits: &Tensor, classes: &Tensor, scores: Option<&Scores<'_>>) -> Result<Self> {
        check::floating("logits", logits)?;
        let size = logits.size();
        let Some((&width, leading)) = size.split_last() else {
            return Err(Error::shape("logits", "[…, V]", &size));
        };
        check::shape("classes", classes, leading)?;
        index("classes", classes, width, logits.device())?;
        if let Some(Scores { table, rows }) = scores {
            let &[different, columns] = table.size().as_slice() else {
                return Err(Error::shape("scores", format!("[U, {width}]"), &table.size()));
            };
            if columns != width {
                return Err(Error::shape("scores", format!("[U, {width}]"), &table.size()));
            }
            check::alike("scores", table, logits)?;
            check::shape("rows of scores", rows, leading)?;
            index("rows of scores", rows, different, logits.device())?;
        }
        let line = |x: &Tensor| -> Result<Tensor> { Ok(x.f_reshape([-1])?.f_contiguous()?) };
        let count: i64 = leading.iter().product();
        let scores = scores.map(|s| Ok::<_, Error>((s.table.f_detach()?, line(s.rows)?)));
        Ok(Self {
            logits: logits.f_reshape([count, width])?,
            classes: line(classes)?,
            scores: scores.transpose()?,
        })
    }
}

/// Checks that `x` holds indices below `limit`. Values are looked at on the CPU only: elsewhere
/// LibTorch's own gather refuses them, and waiting for them here would stall the device.
fn index(what: &str, x: &Tensor, limit: i64, device: Device) -> Result<()> {
    if x.kind() != Kind::Int64 {
        return Err(Error::Kind {
            what: what.to_owned(),
            expected: "Int64".to_owned(),
            got: format!("{:?}", x.kind()),
        });
    }
    if x.device() != device {
        let (expected, got) = (format!("{device:?}"), format!("{:?}", x.device()));
        return Err(Error::Device { what: what.to_owned(), expected, got });
    }
    if device == Device::Cpu {
        let flat = x.f_contiguous()?;
        let outside = slice::<i64>(what, &flat)?.iter().find(|i| !(0..limit).contains(*i));
        if let Some(outside) = outside {
            let why = format!("expected numbers from 0 to below {limit}, got {outside}");
            return Err(Error::config(what, why));
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Op {
    classes: Tensor,
    scores: Option<(Tensor, Tensor)>,
}

/// Scores on the host: the table, the row of each row, and the width.
struct HostScores<'a, T> {
    table: &'a [T],
    rows: &'a [i64],
    width: usize,
}

impl<T> HostScores<'_, T> {
    fn row(&self, row: usize) -> &[T] {
        let at = self.rows[row].max(0) as usize * self.width;
        &self.table[at..at + self.width]
    }
}

impl Op {
    fn host_scores<'a, T: Real>(
        table: Option<&'a Tensor>,
        rows: Option<&'a Tensor>,
        width: usize,
    ) -> Result<Option<HostScores<'a, T>>> {
        let (Some(table), Some(rows)) = (table, rows) else { return Ok(None) };
        let (table, rows) = (slice::<T>("scores", table)?, slice::<i64>("rows of scores", rows)?);
        Ok(Some(HostScores { table, rows, width }))
    }

    fn table(&self) -> Result<Option<Tensor>> {
        Ok(self.scores.as_ref().map(|(table, _)| table.f_contiguous()).transpose()?)
    }

    fn forward_as<T: Real>(&self, logits: &Tensor) -> Result<Forward> {
        let logits = logits.f_contiguous()?;
        let (rows, width) = (logits.size()[0], logits.size()[1].max(0) as usize);
        let line = || Tensor::f_empty([rows], (logits.kind(), logits.device()));
        let (mut log_prob, mut log_norm, mut mean) = (line()?, line()?, line()?);
        let table = self.table()?;
        {
            let z = slice::<T>("logits", &logits)?;
            let classes = slice::<i64>("classes", &self.classes)?;
            let index = self.scores.as_ref().map(|(_, rows)| rows);
            let scores = Self::host_scores::<T>(table.as_ref(), index, width)?;
            let log_probs = Shared::new(slice_mut::<T>("log_prob", &mut log_prob)?);
            let norms = Shared::new(slice_mut::<T>("log_norm", &mut log_norm)?);
            let means = Shared::new(slice_mut::<T>("mean", &mut mean)?);
            parallel(rows.max(0) as usize, grain(width), &|begin, end| {
                #[allow(unsafe_code, reason = "disjoint ranges of outputs")]
                // SAFETY: LibTorch gives each thread a range of rows of its own.
                let (log_probs, norms, means) = unsafe {
                    (log_probs.part(begin, end), norms.part(begin, end), means.part(begin, end))
                };
                dispatch(
                    #[inline(always)]
                    || {
                        for row in begin..end {
                            let z = &z[row * width..(row + 1) * width];
                            let sums = forward(z, scores.as_ref().map(|s| s.row(row)));
                            let at = row - begin;
                            log_probs[at] = z[classes[row].max(0) as usize] - sums.log_norm;
                            norms[at] = sums.log_norm;
                            means[at] = sums.mean;
                        }
                    },
                );
            });
        }
        let outputs = if self.scores.is_some() {
            vec![log_prob, mean.shallow_clone()]
        } else {
            vec![log_prob]
        };
        Ok(Forward { outputs, saved: vec![log_norm, mean] })
    }

    fn backward_as<T: Real>(
        &self,
        logits: &Tensor,
        saved: &[Tensor],
        grads: &[Tensor],
    ) -> Result<Tensor> {
        let ([log_norm, mean], Some(of_log_prob)) = (saved, grads.first()) else {
            return Err(Error::unsupported("a gradient without what the forward pass saved"));
        };
        let logits = logits.f_contiguous()?;
        let (rows, width) = (logits.size()[0].max(0) as usize, logits.size()[1].max(0) as usize);
        let of_log_prob = of_log_prob.f_contiguous()?;
        let of_mean = grads.get(1).map(|grad| grad.f_contiguous()).transpose()?;
        let table = self.table()?;
        let mut out = logits.f_empty_like()?;
        {
            let z = slice::<T>("logits", &logits)?;
            let classes = slice::<i64>("classes", &self.classes)?;
            let index = self.scores.as_ref().map(|(_, rows)| rows);
            let scores = Self::host_scores::<T>(table.as_ref(), index, width)?;
            let (norms, means) = (slice::<T>("log_norm", log_norm)?, slice::<T>("mean", mean)?);
            let g1 = slice::<T>("grad", &of_log_prob)?;
            let g2 = of_mean.as_ref().map(|grad| slice::<T>("grad", grad)).transpose()?;
            let out = Shared::new(slice_mut::<T>("grad logits", &mut out)?);
            parallel(rows, grain(width), &|begin, end| {
                #[allow(unsafe_code, reason = "disjoint ranges of outputs")]
                // SAFETY: LibTorch gives each thread a range of rows of its own.
                let out = unsafe { out.part(begin * width, end * width) };
                dispatch(
                    #[inline(always)]
                    || {
                        for row in begin..end {
                            let at = (row - begin) * width;
                            let sums = RowSums { log_norm: norms[row], mean: means[row] };
                            let mean = g2.map_or(T::ZERO, |g| g[row]);
                            backward(
                                &z[row * width..(row + 1) * width],
                                scores.as_ref().map(|s| s.row(row)),
                                classes[row].max(0) as usize,
                                sums,
                                RowGrads { log_prob: g1[row], mean },
                                &mut out[at..at + width],
                            );
                        }
                    },
                );
            });
        }
        Ok(out)
    }
}

/// Rows that are worth a thread of their own.
fn grain(width: usize) -> usize {
    (8192 / width.max(1)).max(1)
}

fn only(inputs: &[Tensor]) -> Result<&Tensor> {
    inputs.first().ok_or_else(|| Error::unsupported("log-probabilities without logits"))
}

impl FusedOp for Op {
    fn forward(&self, inputs: &[Tensor]) -> Result<Forward> {
        let logits = only(inputs)?;
        match logits.kind() {
            Kind::Float => self.forward_as::<f32>(logits),
            _ => self.forward_as::<f64>(logits),
        }
    }

    fn backward(
        &self,
        inputs: &[Tensor],
        saved: &[Tensor],
        grads: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>> {
        let logits = only(inputs)?;
        let grad = match logits.kind() {
            Kind::Float => self.backward_as::<f32>(logits, saved, grads)?,
            _ => self.backward_as::<f64>(logits, saved, grads)?,
        };
        Ok(vec![Some(grad)])
    }

    fn compose(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let logits = only(inputs)?;
        match &self.scores {
            None => Ok(vec![compose(logits, &self.classes)?]),
            Some((table, rows)) => {
                let scored = compose_with_mean(logits, &self.classes, &Scores { table, rows })?;
                Ok(vec![scored.log_prob, scored.mean])
            }
        }
    }
}
