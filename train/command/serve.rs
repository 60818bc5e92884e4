//! `train serve`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::http::HeaderValue;
use clap::Args;

use super::memory::talk_memory;
use super::model_parser;
use crate::checkpoint;
use crate::device::DeviceChoice;
use crate::serve::{Serving, Settings};
use model::weights::Precision;

/// `train serve`
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// The model.
    #[arg(long, value_name = "DIR", value_parser = model_parser())]
    pub model: PathBuf,
    /// What clients call it [default: the name of the folder].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where it listens. Without `--api-key` nothing asks who a client is.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// The port; 0 for any that is free.
    #[arg(long, value_name = "PORT", default_value_t = 8000)]
    pub port: u16,
    /// Answers that are written at once.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub max_rows: usize,
    /// Requests that are taken in at once; the next is told to come later.
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_requests: usize,
    /// What clients must send as `Authorization: Bearer KEY` to reach `/v1` [default: `TRAIN_API_KEY`, which other users
    /// of this machine cannot read from its list of processes].
    #[arg(long, value_name = "KEY")]
    pub api_key: Option<String>,
    /// A page that may ask from within a browser (CORS), e.g. `https://example.org`, or `*` for all. Can be repeated.
    #[arg(long, value_name = "ORIGIN")]
    pub cors_origin: Vec<String>,
    /// Write a line for each request to standard error.
    #[arg(long)]
    pub log_requests: bool,
    /// Where tensors live: `auto`, `cpu`, `cuda` or `cuda:1`.
    #[arg(long, value_name = "NAME", default_value_t = DeviceChoice::Auto)]
    pub device: DeviceChoice,
}

/// How long answers may take that are being written when the server is told to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// `train serve`: until Ctrl-C or SIGTERM.
///
/// # Errors
///
/// When the model cannot be loaded or the address cannot be listened on.
pub fn run(args: &ServeArgs) -> Result<()> {
    let api_key = args
        .api_key
        .clone()
        .or_else(|| std::env::var("TRAIN_API_KEY").ok());
    let cors_origins = origins(&args.cors_origin)?;
    if args.max_rows == 0 || args.max_requests == 0 {
        bail!("`--max-rows` and `--max-requests` must be at least 1");
    }
    let device = args.device.open()?;
    let fewer = "lower `--max-rows`, or keep conversations short";
    if let Some(memory) = talk_memory(&args.model, args.max_rows, &device, fewer)? {
        eprintln!(
            "memory, when {} conversations fill the context\n{memory}",
            args.max_rows
        );
    }
    let loaded = checkpoint::load_as(&args.model, Precision::Stored, &device)?;
    let name = args.name.clone().unwrap_or_else(|| {
        let folder = args
            .model
            .canonicalize()
            .unwrap_or_else(|_| args.model.clone());
        folder.file_name().map_or_else(
            || "model".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        )
    });
    let settings = Settings {
        address: SocketAddr::new(args.host, args.port),
        max_rows: args.max_rows,
        max_requests: args.max_requests,
        patience: PATIENCE,
        api_key: api_key.filter(|key| !key.is_empty()),
        cors_origins,
        log_requests: args.log_requests,
    };
    if !args.host.is_loopback() && settings.api_key.is_none() {
        eprintln!(
            "warning: whoever reaches `{}` can use the model; nothing asks who it is",
            settings.address
        );
    }
    let serving = Serving::start(loaded, name.clone(), settings, device)?;
    let (stop, told) = (serving.stopper(), AtomicBool::new(false));
    let stop = move || {
        // The second time somebody is in a hurry.
        if told.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!(
            "stopping: answers that are being written have {} s",
            PATIENCE.as_secs()
        );
        stop();
    };
    ctrlc::set_handler(stop).context("cannot listen for Ctrl-C")?;
    let address = serving.address();
    eprintln!("`{name}` is served at http://{address}/v1; Ctrl-C ends it");
    serving.run();
    Ok(())
}

/// The pages that `--cors-origin` names.
fn origins(named: &[String]) -> Result<Vec<HeaderValue>> {
    let read = |origin: &String| {
        let is_origin = origin == "*" || (origin.contains("://") && !origin.ends_with('/'));
        let value = HeaderValue::from_str(origin).ok().filter(|_| is_origin);
        value.with_context(|| {
            format!(
                "`--cors-origin {origin}` is no origin{}",
                data::Hint("it looks like `https://example.org`, without a path; `*` is all")
            )
        })
    };
    named.iter().map(read).collect()
}
