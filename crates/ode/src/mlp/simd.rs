//! Running a kernel with the widest vectors that the processor has.

/// Runs `body` with what the processor offers. `body` must be `#[inline(always)]` all the way down:
/// what is not inlined is compiled for the baseline.
#[inline]
pub(crate) fn dispatch<R>(body: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(body)
}
