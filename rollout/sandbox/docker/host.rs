//! An image that holds nothing: the machine's own Python and jest are shown to its containers, read-only.
//!
//! In: what Python and jest need. Out: the name of an image of empty folders, and the binds.
//! What a job sees is what it sees in the embedded sandbox, so both give the same verdicts with no image built. It works
//! where the engine runs on this machine; elsewhere an image brings its own.

use std::path::{Path, PathBuf};

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::TryStreamExt as _;

use super::engine::{ACT, Engine};
use crate::SandboxError;
use crate::embedded::root::{ETC, shown};

/// Folders of the image, most of them only to be mounted on.
const FOLDERS: [&str; 9] = [
    "dev", "etc", "proc", "repo", "run", "sbin", "sys", "tmp", "usr",
];

/// What containers without an image of their own are made of.
pub(super) struct Host {
    /// The image's digest.
    pub image: String,
    pub binds: Vec<String>,
}

/// Makes the image where it is not there yet.
pub(super) async fn prepare(engine: &Engine, needed: &[PathBuf]) -> Result<Host, SandboxError> {
    // The engine puts its own init into `/sbin`, which therefore is a folder of the image.
    let (links, shown): (Vec<_>, Vec<_>) = shown(needed, None)
        .into_iter()
        .filter(|(path, _)| path != Path::new("/sbin"))
        .partition(|(_, link)| link.is_some());
    let told = |source| SandboxError::Io {
        doing: "packing an image".to_string(),
        source,
    };
    let tar = archive(&links).map_err(told)?;
    let tag = blake3::hash(&tar).to_hex()[..12].to_string();
    let name = format!("train-host:{tag}");
    if engine
        .call("looking for an image", ACT, engine.api.inspect_image(&name))
        .await
        .is_err()
    {
        // Podman does not read `tag`.
        let options = CreateImageOptionsBuilder::default()
            .from_src("-")
            .repo(&name)
            .build();
        let made =
            engine
                .api
                .create_image(Some(options), Some(bollard::body_full(tar.into())), None);
        engine
            .call("importing an image", ACT, made.try_collect::<Vec<_>>())
            .await?;
    }
    let image = digest(engine, &name).await?;
    Ok(Host {
        image,
        binds: shown
            .iter()
            .map(|(path, _)| format!("{0}:{0}:ro", path.display()))
            .collect(),
    })
}

/// The digest of a named image.
pub(super) async fn digest(engine: &Engine, name: &str) -> Result<String, SandboxError> {
    let found = engine
        .call("looking for an image", ACT, engine.api.inspect_image(name))
        .await;
    let hint = "images are never pulled; `train image build` makes one, `docker images` lists what is there";
    let refused = |reason: String| {
        SandboxError::Environment(format!(
            "the image `{name}` cannot be used: {reason}{}",
            data::Aside(hint)
        ))
    };
    found
        .map_err(|error| refused(error.to_string()))?
        .id
        .ok_or_else(|| refused("it has no digest".to_string()))
}

/// The image's files, the same bytes every time.
fn archive(links: &[(PathBuf, Option<PathBuf>)]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let header = |kind, mode, size| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(0);
        header
    };
    for folder in FOLDERS {
        // Where a job writes. Some runtimes give a memory file system the mode of the folder below it.
        let mode = if ["repo", "tmp"].contains(&folder) {
            0o1777
        } else {
            0o755
        };
        archive.append_data(
            &mut header(tar::EntryType::Directory, mode, 0),
            folder,
            std::io::empty(),
        )?;
    }
    for (name, text) in ETC {
        let mut file = header(tar::EntryType::Regular, 0o644, text.len() as u64);
        archive.append_data(&mut file, Path::new("etc").join(name), text.as_bytes())?;
    }
    for (path, target) in links {
        let name = path.strip_prefix("/").unwrap_or(path);
        archive.append_link(
            &mut header(tar::EntryType::Symlink, 0o777, 0),
            name,
            target.as_deref().unwrap_or(path),
        )?;
    }
    archive.into_inner()
}
