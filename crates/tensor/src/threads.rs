//! How many threads LibTorch's operations use.

/// Runs `body` with operations on one thread: for chains of products so small that waking another thread
/// takes longer than the work it would do.
pub fn one<T>(body: impl FnOnce() -> T) -> T {
    /// Gives the threads back, also after a panic.
    struct Restore(i32);
    impl Drop for Restore {
        fn drop(&mut self) {
            tch::set_num_threads(self.0);
        }
    }

    let before = tch::get_num_threads();
    let _restore = (before > 1).then(|| {
        tch::set_num_threads(1);
        Restore(before)
    });
    body()
}
