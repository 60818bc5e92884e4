//! From a spec to an image, step by step.
//!
//! In: an [`ImageSpec`]. Out: an [`Image`] below `out`, found there when it was built before. Each step is told with
//! the time it took; a build that is killed leaves a folder that begins with a dot, with what it fetched, and nothing else.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::lint::{LintOptions, lint};
use super::{
    ARCHIVE, Image, ImageError, ImageSpec, MANIFEST, Manifest, ROOT, debian, finish,
    python_version, tree, wheels,
};

/// Failed installs before a person has to look.
const TRIES: u32 = 3;

/// How images are built.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Where images lie.
    pub out: PathBuf,
    /// Debian's mirror, instead of those of the host's apt.
    pub mirror: Option<String>,
    /// The host's Python, with pip.
    pub python: PathBuf,
    /// Keep the tree beside its archive, for the embedded sandbox.
    pub unpack: bool,
    /// Go on with what an earlier build of the same packages fetched.
    pub resume: bool,
    /// Whether to stop before the next step.
    pub stopped: fn() -> bool,
}

/// Where a build of `spec` works: what it has fetched stays there until the image is made.
pub fn work_folder(out: &Path, spec: &ImageSpec) -> PathBuf {
    out.join(format!(".building-{}", &spec.key()[..12]))
}

/// What is said of a build that is not over, or of none where one was to go on.
pub(super) fn unfinished(out: &Path, work: Option<&Path>) -> String {
    match work {
        Some(work) => format!(
            "an earlier build of these packages is not over{}",
            data::Aside(format_args!(
                "add `--resume` to go on, or remove `{}`",
                work.display()
            ))
        ),
        None => format!(
            "there is no build of these packages in `{}` to resume{}",
            out.display(),
            data::Aside("leave out `--resume` to begin one")
        ),
    }
}

/// What a build would do, for people.
pub fn plan(spec: &ImageSpec, options: &BuildOptions) -> Vec<String> {
    let list =
        |names: &mut dyn Iterator<Item = &String>| names.cloned().collect::<Vec<_>>().join(" ");
    let mut lines = vec![
        format!("spec     {}", &spec.key()[..12]),
        format!("python   {} on {}", spec.python, spec.architecture),
        format!("debian   {}", list(&mut spec.debian.iter())),
        format!("wheels   {}", list(&mut spec.requirements.iter())),
    ];
    lines.extend(
        debian::sources(spec, options.mirror.as_deref())
            .iter()
            .map(|source| format!("source   {source}")),
    );
    lines.push(match Image::find(&options.out, spec) {
        Some(image) => format!("found    {}", image.folder.display()),
        None => format!("out      {}", options.out.display()),
    });
    lines
}

/// Builds the image of `spec`, or finds it. Several processes may ask at once; one builds.
///
/// # Errors
///
/// When a program of the host is missing, packages cannot be had after three tries, [`lint`] refuses the result, or
/// the disk is full.
pub fn build(
    spec: &ImageSpec,
    options: &BuildOptions,
    tell: &dyn Fn(&str),
) -> Result<Image, ImageError> {
    let out = &options.out;
    fs::create_dir_all(out).map_err(ImageError::file("make the folder", out))?;
    let _lock = lock(&out.join(format!(".{}.lock", &spec.key()[..12])))?;
    let image = match Image::find(out, spec) {
        Some(image) => {
            tell(&format!(
                "found {} in `{}`",
                image.manifest.name(),
                image.folder.display()
            ));
            image
        }
        None => {
            let work = work_folder(out, spec);
            let left = work.exists();
            if left != options.resume {
                return Err(ImageError::Unfinished {
                    out: out.clone(),
                    work: left.then_some(work),
                });
            }
            make(spec, options, tell)?
        }
    };
    if options.unpack {
        image.root()?;
    }
    Ok(image)
}

fn make(
    spec: &ImageSpec,
    options: &BuildOptions,
    tell: &dyn Fn(&str),
) -> Result<Image, ImageError> {
    let out = options
        .out
        .canonicalize()
        .map_err(ImageError::file("find", &options.out))?;
    let began = Instant::now();
    let tell = |text: &str| tell(&format!("{:6.1} s  {text}", began.elapsed().as_secs_f64()));
    let work = Work::begin(work_folder(&out, spec))?;
    let (root, new) = (work.folder.join(ROOT), work.folder.join("image"));

    let sources = debian::sources(spec, options.mirror.as_deref());
    let archive = work.folder.join(debian::ARCHIVE);
    work.once("debian.fetched", options, &|| {
        tell(&format!(
            "fetching {} packages of Debian {} and what they need",
            spec.debian.len(),
            spec.suite
        ));
        debian::fetch(spec, &sources, &work.folder, &tell).map(drop)
    })?;
    let wheels = work.folder.join("wheels");
    work.once("wheels.fetched", options, &|| {
        tell(&format!(
            "fetching {} wheels and what they need",
            spec.requirements.len()
        ));
        wheels::fetch(spec, &options.python, &wheels, &tell)
    })?;
    tree::unpack(&archive, &root)?;
    let versions = debian::take_versions(&root)?;
    tell(&format!("{} packages of Debian", versions.len()));
    let python = python_version(spec, &versions);
    let packages = wheels::unpack(&options.python, &wheels, &root, python)?;
    tell(&format!("{} distributions; compiling", packages.len()));
    finish::tidy(&root, spec)?;
    finish::compile(&root, spec)?;
    tell("looking for what no image may hold");
    if let Err(finding) = prove(&root, spec) {
        // What was fetched would be refused again.
        work.remove();
        return Err(finding);
    }
    stop_here(options)?;

    tell("packing");
    fs::create_dir(&new).map_err(ImageError::file("make the folder", &new))?;
    let packed = tree::pack(&root, &new.join(ARCHIVE))?;
    let manifest = Manifest::new(spec, versions, packages, &packed);
    let text = serde_json::to_vec_pretty(&manifest).expect("names and versions are plain data");
    data::file::write_whole(&new.join(MANIFEST), &text)?;
    let folder = publish(&new, &out.join(&manifest.digest))?;
    work.remove();
    let image = Image::open(&folder)?;
    let packed_bytes = image.archive().metadata().map_or(0, |meta| meta.len());
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let sizes = format!(
        "{:.1} MiB, packed {:.1} MiB",
        mib(packed.bytes),
        mib(packed_bytes)
    );
    tell(&format!("{}: {sizes}", image.manifest.name()));
    Ok(image)
}

/// The folder of one build. Who builds holds the lock of the spec, so nobody else is there.
struct Work {
    folder: PathBuf,
}

impl Work {
    /// Makes it, or clears what an earlier build made of what it had fetched.
    fn begin(folder: PathBuf) -> Result<Work, ImageError> {
        fs::create_dir_all(&folder).map_err(ImageError::file("make the folder", &folder))?;
        for made in [ROOT, "image"].map(|name| folder.join(name)) {
            if made.exists() {
                fs::remove_dir_all(&made).map_err(ImageError::file("remove", &made))?;
            }
        }
        Ok(Work { folder })
    }

    /// Does a step whose result stays in the folder, unless an earlier build did it to its end.
    fn once(
        &self,
        mark: &str,
        options: &BuildOptions,
        step: &dyn Fn() -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let mark = self.folder.join(mark);
        if !mark.exists() {
            stop_here(options)?;
            step()?;
            // The mark is on the disk only after what it stands for.
            let at =
                |error: nix::errno::Errno| ImageError::file("write", &self.folder)(error.into());
            let folder =
                File::open(&self.folder).map_err(ImageError::file("open", &self.folder))?;
            nix::unistd::syncfs(&folder).map_err(at)?;
            data::file::write_whole(&mark, b"")?;
        }
        stop_here(options)
    }

    fn remove(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn stop_here(options: &BuildOptions) -> Result<(), ImageError> {
    if (options.stopped)() {
        Err(ImageError::Stopped)
    } else {
        Ok(())
    }
}

/// An image that would be refused later is not made.
fn prove(root: &Path, spec: &ImageSpec) -> Result<(), ImageError> {
    match lint(root, &LintOptions::for_spec(spec))?.into_iter().next() {
        None => Ok(()),
        Some(finding) => Err(ImageError::Finding {
            path: finding.path,
            what: finding.what,
            cure: finding.cure,
        }),
    }
}

/// Moves a finished image to its place. The same digest is the same image, so the first stays.
fn publish(new: &Path, folder: &Path) -> Result<PathBuf, ImageError> {
    if !folder.is_dir() {
        fs::rename(new, folder).map_err(ImageError::file("rename", folder))?;
        let parent = folder.parent().unwrap_or(folder);
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(ImageError::file("write", parent))?;
    }
    Ok(folder.to_path_buf())
}

fn lock(path: &Path) -> Result<File, ImageError> {
    let file = File::create(path).map_err(ImageError::file("create", path))?;
    file.lock().map_err(ImageError::file("lock", path))?;
    Ok(file)
}

/// Does `work` until it succeeds, three times at most. It says what went wrong, what to do, and whether another try
/// could end differently.
pub(super) fn three_tries<T>(
    what: &str,
    tell: &dyn Fn(&str),
    work: &dyn Fn() -> Result<T, (String, String, bool)>,
) -> Result<T, ImageError> {
    let mut tries = 1;
    loop {
        let (said, hint, again) = match work() {
            Ok(done) => return Ok(done),
            Err(failed) => failed,
        };
        if !again || tries == TRIES {
            return Err(ImageError::Install {
                what: what.to_string(),
                tries,
                said,
                hint,
            });
        }
        tell(&format!("try {tries} of {TRIES} failed: {said}"));
        sleep(Duration::from_secs(u64::from(tries)));
        tries += 1;
    }
}
