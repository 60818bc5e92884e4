//! Looks at the GPUs and the load every few seconds, until it is dropped.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use super::Watcher;
use super::gpu::GpuProbe;
use sandbox::cpu::Load;

/// A thread that looks.
pub struct Ticker {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Tells `watcher` what `load` and `gpus` show. Where the config says so, nothing is looked at.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn start(
        watcher: Arc<Watcher>,
        mut load: Load,
        mut gpus: Option<Box<dyn GpuProbe>>,
    ) -> std::io::Result<Self> {
        let every = watcher.every();
        if every.is_zero() {
            return Ok(Ticker {
                stop: None,
                thread: None,
            });
        }
        let (stop, stopped) = mpsc::channel::<()>();
        let began = Instant::now();
        let look = move || {
            let mut writable = true;
            while writable && stopped.recv_timeout(every) == Err(mpsc::RecvTimeoutError::Timeout) {
                let at = began.elapsed();
                let memory = gpus.as_mut().map(|gpus| gpus.memory()).unwrap_or_default();
                let told = watcher
                    .load(at, load.share(at))
                    .and_then(|()| watcher.gpus(at, &memory));
                // A run does not end because an alarm cannot be written; whoever writes its results will say why.
                writable = told.is_ok();
            }
        };
        let thread = std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(look)?;
        Ok(Ticker {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
