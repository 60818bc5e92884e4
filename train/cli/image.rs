//! `train image`: what can be said to it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `train image …`
#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Build one, or find the one that was built from the same packages.
    Build(ImageBuildArgs),
    /// Look for what no image may hold: history, later releases, stale byte code, ways out.
    Lint(ImageLintArgs),
    /// Show what was built.
    List {
        /// Where images lie: the `--out` of `build`.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Put one into the Docker engine, or unpack it.
    Load(ImageLoadArgs),
}

/// `train image build`
#[derive(Args, Clone, Debug)]
pub struct ImageBuildArgs {
    /// A Python distribution with an exact version. pytest is always there.
    #[arg(long, value_name = "NAME==VERSION", num_args = 1..)]
    pub package: Vec<String>,
    /// A package of Debian. Can be repeated.
    #[arg(long, value_name = "NAME")]
    pub debian: Vec<String>,
    /// Python's version, which decides Debian's release.
    #[arg(long, value_name = "VERSION", default_value = "3.11")]
    pub python: String,
    /// With Node.
    #[arg(long)]
    pub node: bool,
    /// With Node and Jest.
    #[arg(long)]
    pub jest: bool,
    /// Debian's mirror [default: those of this machine's apt].
    #[arg(long, value_name = "URI")]
    pub mirror: Option<String>,
    /// Where images lie: one folder each, named by its digest.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Also keep the unpacked tree, for the embedded sandbox.
    #[arg(long)]
    pub unpack: bool,
    /// Print what would be fetched and stop.
    #[arg(long)]
    pub dry_run: bool,
    /// Go on with what a build that was stopped has fetched.
    #[arg(long)]
    pub resume: bool,
}

/// `train image lint`
#[derive(Args, Clone, Debug)]
pub struct ImageLintArgs {
    /// A folder, an archive, a built image, or the name of an image in the Docker engine.
    #[arg(value_name = "PATH|IMAGE")]
    pub subject: String,
    /// The package under test: no newer release of it may lie anywhere.
    #[arg(long, value_name = "NAME==VERSION")]
    pub package: Option<String>,
    /// A distribution, `.pth` file or module that may load itself. Can be repeated.
    #[arg(long, value_name = "NAME")]
    pub allow: Vec<String>,
    /// The findings as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `train image load`
#[derive(Args, Clone, Debug)]
pub struct ImageLoadArgs {
    /// The image: `DIR/<digest>`.
    #[arg(value_name = "DIR")]
    pub image: PathBuf,
    /// `docker` for the engine, or a new folder.
    #[arg(long, value_name = "docker|PATH")]
    pub into: PathBuf,
}
