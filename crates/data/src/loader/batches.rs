//! The iterator over batches and its threads.

use super::{HostBatch, Loader, Position};
use crate::error::{Error, Result};
use crate::scalar::Scalar;
use std::fmt::{self, Debug};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Batches in the order of their positions; made by [`Loader::iter_from`] and [`Loader::epoch`].
///
/// Of `n` threads, thread `k` makes batches `k`, `k + n`, `k + 2n`, … and the iterator takes from
/// each in turn, so that the order never depends on their speed. Dropping the iterator ends them.
pub struct Batches<T> {
    source: Source<T>,
    next: Position,
    left: Option<u64>,
    loader: Loader<T>,
}

enum Source<T> {
    /// The caller's thread makes each batch.
    Here(Order),
    /// The threads, and whose turn it is.
    Threads { workers: Vec<Worker<T>>, turn: usize },
}

struct Worker<T> {
    /// `None` only while the worker is being ended.
    results: Option<Receiver<Result<HostBatch<T>>>>,
    handle: Option<JoinHandle<()>>,
}

/// The order of the rows in the epoch that was last asked for.
#[derive(Default)]
struct Order(Option<(u64, Vec<usize>)>);

impl Order {
    fn batch<T: Scalar>(&mut self, loader: &Loader<T>, at: Position) -> Result<HostBatch<T>> {
        let stored = self.0.take().filter(|(epoch, _)| *epoch == at.epoch);
        let (_, order) =
            self.0.insert(stored.unwrap_or_else(|| (at.epoch, loader.order(at.epoch))));
        loader.make(at, order)
    }
}

impl<T: Scalar> Batches<T> {
    pub(super) fn new(loader: &Loader<T>, start: Position, left: Option<u64>) -> Self {
        let config = loader.config();
        let most = left.unwrap_or(u64::MAX);
        let threads = config.threads.min(usize::try_from(most).unwrap_or(usize::MAX));
        let mut source = Source::Here(Order::default());
        if let Some(room) = config.prefetch.checked_div(threads) {
            let mut workers = Vec::with_capacity(threads);
            let mut at = start;
            for k in 0..threads {
                let left = left.map(|left| (left - k as u64).div_ceil(threads as u64));
                workers.extend(Worker::start(loader, at, threads, left, room.max(1)));
                at = loader.after(at);
            }
            // Where the system gives no threads, the caller's will do: the batches are the same.
            if workers.len() == threads {
                source = Source::Threads { workers, turn: 0 };
            }
        }
        Self { source, next: start, left, loader: loader.clone() }
    }
}

impl<T> Batches<T> {
    /// The position of the next batch: what to store to go on from here.
    #[must_use]
    pub fn position(&self) -> Position {
        self.next
    }
}

impl<T: Scalar> Iterator for Batches<T> {
    type Item = Result<HostBatch<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        let at = self.next;
        let batch = match &mut self.source {
            Source::Here(order) => order.batch(&self.loader, at),
            Source::Threads { workers, turn } => {
                let worker = &workers[*turn];
                *turn = (*turn + 1) % workers.len();
                worker.receive(at)
            }
        };
        self.next = self.loader.after(at);
        Some(batch)
    }
}

impl<T: Scalar> Worker<T> {
    fn start(
        loader: &Loader<T>,
        start: Position,
        stride: usize,
        left: Option<u64>,
        room: usize,
    ) -> Option<Self> {
        let (send, results) = sync_channel(room);
        let loader = loader.clone();
        let work = move || work(&loader, start, stride, left, &send);
        let handle = Builder::new().name("loader".to_owned()).spawn(work).ok()?;
        Some(Self { results: Some(results), handle: Some(handle) })
    }

    fn receive(&self, at: Position) -> Result<HostBatch<T>> {
        let received = self.results.as_ref().and_then(|r| r.recv().ok());
        received.unwrap_or_else(|| {
            Err(Error::Worker {
                epoch: at.epoch,
                step: at.step,
                message: "its thread has ended".to_owned(),
            })
        })
    }
}

fn work<T: Scalar>(
    loader: &Loader<T>,
    start: Position,
    stride: usize,
    left: Option<u64>,
    send: &SyncSender<Result<HostBatch<T>>>,
) {
    let mut order = Order::default();
    let mut at = start;
    for _ in 0..left.unwrap_or(u64::MAX) {
        // The receiver is gone when the iterator is.
        if send.send(order.batch(loader, at)).is_err() {
            return;
        }
        for _ in 0..stride {
            at = loader.after(at);
        }
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        drop(self.results.take());
        if let Some(handle) = self.handle.take() {
            // Nothing is lost with its outcome: panics of transforms were sent as errors.
            let _ = handle.join();
        }
    }
}

impl<T> Debug for Batches<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches")
            .field("loader", &self.loader)
            .field("next", &self.next)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
