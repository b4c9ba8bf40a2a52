//! Running a kernel with the widest vectors that the processor has.

/// What is compiled for each kind of processor. `run` must be `#[inline(always)]`, and all that it
/// calls: what is not inlined is compiled for the baseline.
pub(crate) trait Kernel {
    fn run(self);
}

struct Op<K>(K);

impl<K: Kernel> pulp::WithSimd for Op<K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _simd: S) {
        self.0.run();
    }
}

/// Runs `kernel` with what the processor offers.
pub(crate) fn dispatch<K: Kernel>(kernel: K) {
    pulp::Arch::new().dispatch(Op(kernel));
}
