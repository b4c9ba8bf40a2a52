//! Tensors and host memory: slices of CPU tensors for kernels, copies from and to vectors.
#![allow(unsafe_code, reason = "LibTorch's raw edge; every block says why it is sound")]

use crate::{Error, Result};
use tch::{Device, Kind, Tensor, kind::Element};

/// The values of a contiguous CPU tensor.
///
/// # Errors
/// [`Error::Kind`] for another dtype, [`Error::Unsupported`] for another device or layout.
pub(crate) fn slice<'a, T: Element>(what: &str, x: &'a Tensor) -> Result<&'a [T]> {
    let (pointer, len) = raw::<T>(what, x)?;
    // SAFETY: `raw` checked dtype, device and layout; the borrow of `x` keeps the storage alive, and
    // kernels write only to tensors that they have just made.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// The values of a contiguous CPU tensor that this function's caller has just made, to be filled.
///
/// # Errors
/// As [`slice`].
pub(crate) fn slice_mut<'a, T: Element>(what: &str, x: &'a mut Tensor) -> Result<&'a mut [T]> {
    let (pointer, len) = raw::<T>(what, x)?;
    // SAFETY: as above; the caller owns the fresh tensor, so that no other slice of it exists.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, len) })
}

/// The memory of a CPU tensor from its first entry to its last, whatever its strides: entry `i` is at
/// `Σ i_d · stride_d`.
///
/// # Errors
/// As [`slice`], but for the layout.
pub(crate) fn span<'a, T: Element>(what: &str, x: &'a Tensor) -> Result<&'a [T]> {
    kind::<T>(what, x)?;
    if x.device() != Device::Cpu || x.is_sparse() {
        return Err(Error::unsupported(format!("{what}: host access to a device tensor")));
    }
    if x.numel() == 0 {
        return Ok(&[]);
    }
    let last: i64 = x.size().iter().zip(x.stride()).map(|(n, s)| (n - 1) * s).sum();
    let len = usize::try_from(last).map_or(0, |last| last + 1);
    // SAFETY: dtype and device were checked; strides are not negative, so that all entries from the
    // first to the last are in the storage, which the borrow of `x` keeps alive. Kernels write only to
    // tensors that they have just made.
    Ok(unsafe { std::slice::from_raw_parts(x.data_ptr().cast_const().cast(), len) })
}

fn kind<T: Element>(what: &str, x: &Tensor) -> Result<()> {
    if x.kind() != T::KIND {
        return Err(Error::Kind {
            what: what.to_owned(),
            expected: format!("{:?}", T::KIND),
            got: format!("{:?}", x.kind()),
        });
    }
    Ok(())
}

fn raw<T: Element>(what: &str, x: &Tensor) -> Result<(*mut T, usize)> {
    kind::<T>(what, x)?;
    if x.device() != Device::Cpu || !x.is_contiguous() {
        return Err(Error::unsupported(format!(
            "{what}: host access to a strided or device tensor"
        )));
    }
    let len = x.numel();
    let pointer =
        if len == 0 { std::ptr::NonNull::<T>::dangling().as_ptr() } else { x.data_ptr().cast() };
    Ok((pointer, len))
}

/// A copy of the values in row-major order, converted to `f64`.
///
/// # Errors
/// LibTorch's, for a tensor that cannot be brought to the host.
pub fn to_vec(x: &Tensor) -> Result<Vec<f64>> {
    let flat = x
        .f_detach()?
        .f_to_device(Device::Cpu)?
        .f_to_kind(Kind::Double)?
        .f_contiguous()?
        .f_view([-1])?;
    Ok(slice::<f64>("tensor", &flat)?.to_vec())
}

/// A copy of the values in row-major order, in their own type: one copy for a contiguous tensor.
///
/// # Errors
/// [`Error::Kind`] for another dtype, and LibTorch's for a tensor that cannot be brought to the host.
pub fn values<T: Element + Clone>(x: &Tensor) -> Result<Vec<T>> {
    let flat = x.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
    Ok(slice::<T>("tensor", &flat)?.to_vec())
}

/// The value of a tensor with one entry.
///
/// # Errors
/// [`Error::Shape`] where there is another number of entries.
pub fn scalar(x: &Tensor) -> Result<f64> {
    match to_vec(x)?.as_slice() {
        [value] => Ok(*value),
        _ => Err(Error::shape("tensor", "one entry", &x.size())),
    }
}

/// A pointer that several threads write through, each to places of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<T> {
    pointer: *mut T,
    len: usize,
}

// SAFETY: `part` hands out disjoint ranges only, by its caller's promise.
unsafe impl<T: Send> Sync for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(slice: &mut [T]) -> Self {
        Self { pointer: slice.as_mut_ptr(), len: slice.len() }
    }

    /// The range `begin..end`.
    ///
    /// # Safety
    /// The slice given to `new` is alive, and no other thread asks for an overlapping range.
    #[allow(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    pub(crate) unsafe fn part(&self, begin: usize, end: usize) -> &mut [T] {
        assert!(begin <= end && end <= self.len, "part {begin}..{end} of {}", self.len);
        // SAFETY: in bounds by the assertion, disjoint by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(begin), end - begin) }
    }
}
