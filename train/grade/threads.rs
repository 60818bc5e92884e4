//! The same work for many numbers, on a few threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use anyhow::Result;

/// Does `work` for every number below `count` on a few threads and tells each answer as it comes, here.
pub(crate) fn on_threads<T: Send>(
    count: usize,
    workers: usize,
    work: &(dyn Fn(usize) -> T + Sync),
    told: &mut dyn FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let (sender, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, count.max(1)) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    // Nobody listens where an answer could not be written down: then the others need not be found.
                    if at >= count || sender.send((at, work(at))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (at, answer) in answers {
            told(at, answer)?;
        }
        Ok(())
    })
}
