//! A run and what watches it: the rules of `rollout::watch`, the probes of this machine, an endpoint for Prometheus.
//!
//! In: a run's folder, its config and command line. Out: a [`Watched`] that looks until it is dropped.
//! Example: `Watched::start(&args.out, "grade", &config, &args.watch)?.watcher.stopped()`.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use rollout::endpoint::Endpoint;
use rollout::watch::gpu::{GpuProbe, Nvidia};
use rollout::watch::{Ticker, WatchError, Watcher};
use sandbox::cpu::Load;

use crate::checkpoint::{self, Snapshot};
use crate::command::WatchArgs;
use crate::config::Config;
use crate::terminal::plain;

/// What watches a run.
pub struct Watched {
    /// The rules.
    pub watcher: Arc<Watcher>,
    _ticker: Ticker,
    _endpoint: Option<Endpoint>,
}

impl Watched {
    /// Watches the flow that writes `folder`.
    ///
    /// # Errors
    ///
    /// When a rule stopped it earlier, its files are damaged, or nobody can listen at `--metrics-addr`.
    pub fn start(folder: &Path, flow: &str, config: &Config, args: &WatchArgs) -> Result<Self> {
        let say = |line: &str| eprintln!("{}", plain(line));
        args.metrics_addr.map_or(Ok(()), ours)?;
        let watcher = Watcher::open(
            folder,
            flow,
            &config.watch,
            config.data.workers,
            args.forget_oom,
            say,
        );
        let watcher = Arc::new(watcher.map_err(|error| match error {
            WatchError::Stopped(stopped) => anyhow::Error::new(stopped),
            other => anyhow::Error::new(other),
        })?);
        let endpoint = args
            .metrics_addr
            .map(|address| Endpoint::bind(address, watcher.counts().clone()))
            .transpose()?;
        if let Some(endpoint) = &endpoint {
            eprintln!("metrics: http://{}/metrics", endpoint.address());
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let gpus = Nvidia::find().map(|found| Box::new(found) as Box<dyn GpuProbe>);
        let ticker = Ticker::start(watcher.clone(), Load::new(std::process::id(), cores), gpus);
        let ticker = ticker.context("while starting the thread that watches")?;
        Ok(Watched {
            watcher,
            _ticker: ticker,
            _endpoint: endpoint,
        })
    }
}

/// Refuses an address of another machine, which no port would help.
fn ours(address: SocketAddr) -> Result<()> {
    match TcpListener::bind((address.ip(), 0)) {
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => bail!(
            "`--metrics-addr {address}` is no address of this machine{}",
            data::Hint("127.0.0.1 is heard here alone, 0.0.0.0 wherever this machine is reached")
        ),
        // Whatever else is wrong is told by whoever listens.
        _ => Ok(()),
    }
}

/// [`checkpoint::save`], told to `watcher` with its size and time.
///
/// # Errors
///
/// As [`checkpoint::save`].
pub fn save(watcher: &Watcher, folder: &Path, snapshot: &Snapshot, keep: usize) -> Result<()> {
    let clock = Instant::now();
    let path = checkpoint::save(folder, snapshot, keep)?;
    let took = clock.elapsed();
    let files = std::fs::read_dir(&path).into_iter().flatten().flatten();
    let bytes = files
        .filter_map(|file| file.metadata().ok())
        .map(|file| file.len())
        .sum();
    Ok(watcher.checkpoint(&path, bytes, took)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_another_machine_is_named() {
        // Kept for documentation: nobody has it.
        let said = ours("203.0.113.7:9184".parse().expect("an address"))
            .expect_err("is refused")
            .to_string();
        assert!(
            said.contains("203.0.113.7:9184") && said.contains("no address of this machine"),
            "{said}"
        );
        assert!(ours("127.0.0.1:0".parse().expect("an address")).is_ok());
    }
}
