//! Cache-line aligned buffers, padded to whole registers.

use std::ops::{Deref, DerefMut};

use rayon::prelude::*;

use crate::real::Lanes;

/// Rows are padded to a multiple of this many entries: four of the widest `f32` registers.
pub(crate) const PAD: usize = 64;

/// `len` rounded up to whole fours of registers.
pub(crate) const fn padded(len: usize) -> usize {
    len.div_ceil(PAD) * PAD
}

/// A vector whose first entry lies at the start of a cache line; loads of 64 bytes that straddle
/// two lines cost twice.
#[derive(Debug, Default)]
pub(crate) struct Aligned<T> {
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Lanes> Aligned<T> {
    /// `len` entries of `value`.
    pub(crate) fn filled(len: usize, value: T) -> Self {
        let mut buffer = Self { data: Vec::new(), start: 0, len: 0 };
        buffer.reset(len, value);
        buffer
    }

    /// Makes the buffer `len` entries of `value`, keeping its memory.
    pub(crate) fn reset(&mut self, len: usize, value: T) {
        self.resize(len);
        self.fill(value);
    }

    /// Makes the buffer `len` entries long, of any content, keeping its memory.
    pub(crate) fn resize(&mut self, len: usize) {
        let slack = 64 / size_of::<T>();
        if self.data.len() < len + slack {
            self.data = vec![T::ZERO; len + slack];
            self.start = self.data.as_ptr().align_offset(64).min(slack);
        }
        self.len = len;
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.data[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..self.start + self.len]
    }
}

/// How many tasks of `work` operations each one thread should take at least, so that what it does
/// is worth waking it.
pub(crate) fn worth_a_thread(work: usize) -> usize {
    const OPERATIONS: usize = 1 << 18;
    OPERATIONS.div_ceil(work.max(1))
}

/// Runs tasks of `work` operations each, in order or on rayon's pool, and gives their results in order. To hand
/// a small task to a thread of the pool, and to wait for it, takes longer than the task.
pub(crate) fn run_tasks<T: Send, R: Send>(
    tasks: Vec<T>,
    work: usize,
    run: impl Fn(T) -> R + Send + Sync,
) -> Vec<R> {
    let least = worth_a_thread(work);
    if tasks.len() <= 2 * least || rayon::current_num_threads() == 1 {
        return tasks.into_iter().map(run).collect();
    }
    tasks.into_par_iter().with_min_len(least).map(run).collect()
}
