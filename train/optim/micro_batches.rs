//! Work on all cores, put together in an order that does not depend on their number.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use burn::tensor::Device;

use super::gradients::{NamedGradients, accumulate};

/// Gradients of a step's micro-batches, computed on `workers` threads and added in the order of the micro-batches, so
/// that the sum does not depend on the number of threads.
///
/// Memory: one set of gradients for the sum and one for each worker.
pub fn over_micro_batches<B: Sync, T: Send>(
    micro_batches: &[B],
    workers: usize,
    work: impl Fn(&B) -> (NamedGradients, T) + Sync,
) -> (NamedGradients, Vec<T>) {
    let next = AtomicUsize::new(0);
    let added = Mutex::new((
        0,
        NamedGradients::new(),
        Vec::with_capacity(micro_batches.len()),
    ));
    let turn = Condvar::new();
    let take = || {
        let _alarm = Alarm(|| {
            added.lock().unwrap_or_else(PoisonError::into_inner).0 = FAILED;
            turn.notify_all();
        });
        while let Some((at, micro_batch)) = Some(next.fetch_add(1, Ordering::Relaxed))
            .and_then(|at| Some((at, micro_batches.get(at)?)))
        {
            let (gradients, one) = work(micro_batch);
            let added = added.lock().expect("nothing panics while it is locked");
            let waited = turn.wait_while(added, |(count, ..)| *count != at && *count != FAILED);
            let mut added = waited.expect("nothing panics while it is locked");
            if added.0 == FAILED {
                return;
            }
            accumulate(&mut added.1, gradients);
            added.2.push(one);
            added.0 += 1;
            turn.notify_all();
        }
    };
    match workers.min(micro_batches.len()) {
        0 | 1 => take(),
        workers => std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(take)))),
    }
    let (_, sum, measured) = added
        .into_inner()
        .expect("nothing panics while it is locked");
    (sum, measured)
}

/// Instead of a number of micro-batches: a thread panicked, and nobody waits for it any more.
const FAILED: usize = usize::MAX;

/// Calls its function when its thread panics.
struct Alarm<F: Fn()>(F);

impl<F: Fn()> Drop for Alarm<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)();
        }
    }
}

/// How many micro-batches are computed at once: one a core on the CPU, one on a device of its own.
pub fn workers(device: &Device) -> usize {
    if *device == Device::flex() {
        cores()
    } else {
        1
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What `work` makes of every item, in the order of the items; a core takes the next item when it is free.
pub fn on_all_cores<I: Sync, T: Send>(items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        while let Some((at, item)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, items.get(at)?)))
        {
            done.push((at, work(item)));
        }
        done
    };
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores().min(items.len()))
            .map(|_| scope.spawn(take))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("the work does not panic"))
            .collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, one)| one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tensor;

    #[test]
    fn the_sum_is_the_same_on_one_thread_and_on_many() {
        let device = Device::flex();
        let sum = |workers| {
            let items: Vec<f32> = (0..20).map(|at| 0.1 * at as f32).collect();
            let (sum, seen) = over_micro_batches(&items, workers, |&item| {
                (
                    NamedGradients::from([(
                        "w".to_owned(),
                        Tensor::<1>::from_data([item], &device),
                    )]),
                    item,
                )
            });
            assert_eq!(seen, items);
            sum["w"].clone().into_scalar::<f32>()
        };
        assert_eq!(sum(1).to_bits(), sum(3).to_bits());
    }
}
