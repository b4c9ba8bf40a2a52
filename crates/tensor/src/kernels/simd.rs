//! Running a kernel with the widest vectors that the processor has.
#![allow(unsafe_code, reason = "code for features that were just detected")]

/// Runs `body` compiled for AVX-512 where the processor has it, else for what pulp finds (AVX2 with
/// fused multiply-add, or the target's baseline). `body` must be `#[inline(always)]` all the way
/// down, since what is not inlined is compiled for the baseline.
#[inline]
pub(crate) fn dispatch<R>(body: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512vl")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("fma")
        {
            // SAFETY: the features were detected.
            return unsafe { wide(body) };
        }
    }
    pulp::Arch::new().dispatch(body)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn wide<R>(body: impl FnOnce() -> R) -> R {
    body()
}
