//! `train doctor`: what can be said to it.

use clap::Args;

/// `train doctor`
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// One JSON object instead of lines.
    #[arg(long)]
    pub json: bool,
}
