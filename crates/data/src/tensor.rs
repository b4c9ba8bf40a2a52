//! Host batches as LibTorch tensors (feature `tch`).

use crate::loader::HostBatch;
use crate::scalar::Scalar;
use maxlik_tensor::Result;
use ndarray::{ArrayView2, CowArray, Ix2};
use tch::kind::Element;
use tch::{Device, Tensor};

/// A batch on a device.
#[derive(Debug)]
pub struct TensorBatch {
    /// The rows, `[B, E..]` with the event shape `E`.
    pub data: Tensor,
    /// Their context, `[B, C]`.
    pub context: Option<Tensor>,
    /// Their weights, `[B]`.
    pub weights: Option<Tensor>,
    /// Their labels, `[B]` of dtype int64.
    pub labels: Option<Tensor>,
}

impl<T: Scalar + Element> HostBatch<T> {
    /// Copies the batch to `device`, in the batch's own precision.
    ///
    /// # Errors
    /// LibTorch's, for a device that is not there or out of memory.
    pub fn to_tensors(&self, device: Device) -> Result<TensorBatch> {
        let context = self.context.as_ref();
        let context = context.map(|c| array_to_tensor(c.view(), &[c.ncols()], device));
        let weights = self.weights.as_ref().map(|w| vector(w, device));
        let labels = self.labels.as_ref().map(|l| vector(l, device));
        Ok(TensorBatch {
            data: array_to_tensor(self.data.view(), &self.event_shape, device)?,
            context: context.transpose()?,
            weights: weights.transpose()?,
            labels: labels.transpose()?,
        })
    }
}

/// Copies rows to `device` as `[N, E..]` with the event shape `E`, whose product is the number of
/// columns.
///
/// # Errors
/// LibTorch's, for an event shape that does not fit, a device that is not there or out of memory.
pub fn array_to_tensor<T: Scalar + Element>(
    rows: ArrayView2<'_, T>,
    event_shape: &[usize],
    device: Device,
) -> Result<Tensor> {
    let shape: Vec<i64> = std::iter::once(rows.nrows())
        .chain(event_shape.iter().copied())
        .map(|n| n as i64)
        .collect();
    let rows: CowArray<'_, T, Ix2> = rows.as_standard_layout();
    let flat = vector(rows.as_slice().unwrap_or_default(), device)?;
    Ok(flat.f_reshape(shape)?)
}

fn vector<V: Element>(values: &[V], device: Device) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(values)?.f_to_device(device)?)
}
