//! How many threads LibTorch's operations use.

/// Multiplications of one product that are worth waking another thread.
const WORTH_A_THREAD: i64 = 1 << 18;

/// Runs `body`, a chain of products of about so many multiplications each: on one thread where they are so
/// small that waking another takes longer than the work it would do.
pub fn by_work<T>(multiplications: i64, body: impl FnOnce() -> T) -> T {
    if multiplications < WORTH_A_THREAD { one(body) } else { body() }
}

/// Runs `body` with operations on one thread.
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
