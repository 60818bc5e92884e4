//! `train image`: root file systems without a registry.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use sandbox::image::lint::{Finding, LintOptions, Subject, lint};
use sandbox::image::{self, BuildOptions, Image, ImageSpec, import_into_engine};
use serde::Serialize;

use crate::run::interrupt::{self, Interrupt, Interrupted};
use crate::run::paths::Paths;
use crate::terminal::plain;

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

/// What `--into` calls the engine.
const ENGINE: &str = "docker";

/// What became of an image.
#[derive(Serialize)]
struct Made<'a> {
    name: String,
    digest: &'a str,
    folder: &'a Path,
    archive_bytes: u64,
    debian: usize,
    python: &'a std::collections::BTreeMap<String, String>,
}

/// `train image …`
///
/// # Errors
///
/// When an image cannot be built, read or loaded, or the lint finds something.
pub fn run(command: ImageCommand) -> Result<()> {
    match command {
        ImageCommand::Build(args) => build(&args),
        ImageCommand::Lint(args) => check(&args),
        ImageCommand::List { dir } => {
            if !dir.is_dir() {
                bail!(
                    "there is no folder `{}`{}",
                    dir.display(),
                    data::Hint("name the `--out` of `train image build`")
                );
            }
            Image::list(&dir)
                .iter()
                .for_each(|image| println!("{}", line(image)));
            Ok(())
        }
        ImageCommand::Load(args) => load(&args),
    }
}

fn build(args: &ImageBuildArgs) -> Result<()> {
    let mut debian = args.debian.clone();
    debian.extend((args.node || args.jest).then(|| "nodejs".to_string()));
    debian.extend(args.jest.then(|| "jest".to_string()));
    let spec = ImageSpec::new(&args.python, &args.package, &debian)?;
    let options = BuildOptions {
        out: args.out.clone(),
        mirror: args.mirror.clone(),
        python: data::trust::program("python3")?.with_context(|| {
            format!(
                "there is no `python3` on `PATH`{}",
                data::Hint("`apt-get install python3-pip`")
            )
        })?,
        unpack: args.unpack,
        resume: args.resume,
        stopped: interrupt::came,
    };
    if args.dry_run {
        image::plan(&spec, &options)
            .iter()
            .for_each(|line| eprintln!("{line}"));
        return Ok(());
    }
    Paths::new().writes_folder("--out", &args.out).check()?;
    let interrupt = Interrupt::listen()?;
    let image = match image::build(&spec, &options, &|line| eprintln!("{line}")) {
        Ok(image) => image,
        // What fetches hears of Ctrl-C, too, and fails because of it.
        Err(_) if interrupt.asked() => {
            let work = image::work_folder(&args.out, &spec);
            return Err(Interrupted::new(format!(
                "what was fetched is kept in `{}`",
                work.display()
            ))
            .into());
        }
        Err(error) => return Err(error.into()),
    };
    let manifest = &image.manifest;
    let made = Made {
        name: manifest.name(),
        digest: &manifest.digest,
        folder: &image.folder,
        archive_bytes: manifest.archive_bytes,
        debian: manifest.debian.len(),
        python: &manifest.python,
    };
    println!("{}", serde_json::to_string(&made)?);
    Ok(())
}

/// One image for people.
fn line(image: &Image) -> String {
    let manifest = &image.manifest;
    let packed = image.archive().metadata().map_or(0, |meta| meta.len());
    let requirements: Vec<&str> = manifest
        .spec
        .requirements
        .iter()
        .map(String::as_str)
        .collect();
    format!(
        "{}  python {}  {:.1} MiB  {}  {}",
        manifest.name(),
        manifest.spec.python,
        packed as f64 / f64::from(1 << 20),
        requirements.join(" "),
        image.folder.display()
    )
}

fn check(args: &ImageLintArgs) -> Result<()> {
    let subject = Subject::open(&args.subject)?;
    let package = args.package.as_deref().map(str::parse).transpose()?;
    let allow = args
        .allow
        .iter()
        .cloned()
        .chain(subject.allow.iter().cloned())
        .collect();
    let options = LintOptions { package, allow };
    let mut findings: Vec<Finding> = Vec::new();
    for root in &subject.roots {
        findings.extend(lint(root, &options)?);
    }
    findings.sort();
    findings.dedup();
    if args.json {
        println!("{}", serde_json::to_string(&findings)?);
    } else {
        for finding in &findings {
            let Finding {
                rule,
                path,
                what,
                cure,
            } = finding;
            println!(
                "{}",
                plain(&format!("{rule}: {path} {what}\n  cure: {cure}"))
            );
        }
    }
    match findings.len() {
        0 => {
            eprintln!("`{}` holds nothing that it should not", args.subject);
            Ok(())
        }
        count => {
            let ending = if count == 1 { "" } else { "s" };
            bail!(
                "{count} finding{ending} in `{}`{}",
                args.subject,
                data::Hint("each one names its cure")
            )
        }
    }
}

fn load(args: &ImageLoadArgs) -> Result<()> {
    let image = Image::open(&args.image)?;
    let name = image.manifest.name();
    if args.into == Path::new(ENGINE) {
        let id = import_into_engine(&image, &name)?;
        println!(
            "{}",
            serde_json::json!({ "name": name, "id": id, "digest": image.manifest.digest })
        );
    } else {
        image.unpack_into(&args.into)?;
        println!(
            "{}",
            serde_json::json!({ "name": name, "root": args.into, "digest": image.manifest.digest })
        );
    }
    Ok(())
}
