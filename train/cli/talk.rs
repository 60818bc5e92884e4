//! `train chat` and `train serve`: what can be said to them.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use rollout::policy::Sampling;

use crate::device::DeviceChoice;

/// `train chat`
#[derive(Args, Clone, Debug)]
pub struct ChatArgs {
    /// The model.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Standing instructions before the conversation.
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Tokens of an answer at most; it and the conversation must fit into the context [default: what is left of the
    /// context, 1024 at most].
    #[arg(long, value_name = "N")]
    pub max_new_tokens: Option<usize>,
    /// From which all randomness derives.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Where tensors live: `auto`, `cpu`, `cuda` or `cuda:1`.
    #[arg(long, value_name = "NAME", default_value_t = DeviceChoice::Auto)]
    pub device: DeviceChoice,
    /// How tokens are drawn.
    #[command(flatten)]
    pub drawing: DrawingArgs,
}

/// How tokens are drawn.
#[derive(Args, Clone, Debug)]
pub struct DrawingArgs {
    /// 1 draws from the model's distribution, 0 takes the likeliest token.
    #[arg(long, value_name = "T", default_value_t = 0.7)]
    pub temperature: f32,
    /// Draw from the likeliest tokens that hold this much probability together.
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    pub top_p: f32,
    /// Draw from so many of the likeliest tokens; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub top_k: usize,
    /// Draw from tokens at least this many times as likely as the likeliest.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub min_p: f32,
    /// Divide the logits of tokens that were seen already by this.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub repetition_penalty: f32,
    /// End an answer that says one piece so many times in a row; 0 lets it repeat.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_repeats: usize,
    /// End an answer before this text. Can be repeated.
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
}

impl DrawingArgs {
    /// The same for answers of at most `max_new_tokens`.
    pub fn sampling(&self, max_new_tokens: usize) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            max_repeats: self.max_repeats,
            stop: self.stop.clone(),
            max_new_tokens,
        }
    }
}

/// `train serve`
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// The model.
    #[arg(long, value_name = "DIR")]
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
