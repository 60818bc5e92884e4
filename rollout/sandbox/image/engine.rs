//! Images into the Docker engine, and back out of it to be looked at.
//!
//! In: an image on disk, or the name of one in the engine. Out: its id there, or its files here. No registry is asked.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptionsBuilder, RemoveContainerOptionsBuilder,
};
use bollard::{Docker, body_try_stream};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{Image, ImageError, tree};
use crate::docker::engine::place;

/// The label of an image that says what it is made of.
pub const DIGEST_LABEL: &str = "train.image.digest";
/// For what only asks.
const ASK: Duration = Duration::from_secs(30);
/// For what moves a whole image.
const MOVE: Duration = Duration::from_secs(600);
/// Bytes of the archive in one piece.
const PIECE: usize = 1 << 18;

/// Imports the archive of `image` into the engine under `name`, and returns the id that the engine gave it.
///
/// # Errors
///
/// When no engine answers, or it refuses the archive.
pub fn import_into_engine(image: &Image, name: &str) -> Result<String, ImageError> {
    let archive = image.archive();
    let told = told(format!("import `{}`", archive.display()));
    let mut reader = tree::reader(&archive).map_err(ImageError::file("read", &archive))?;
    let pieces = std::iter::from_fn(move || next_piece(&mut reader).transpose());
    // Podman does not read `tag`.
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo(name)
        .changes(vec![
            format!("LABEL {DIGEST_LABEL}={}", image.manifest.digest),
            "ENV PATH=/usr/local/bin:/usr/bin:/bin".to_string(),
            "CMD [\"/bin/sh\"]".to_string(),
        ]);
    let body = body_try_stream(stream::iter(pieces));
    in_time(MOVE, async {
        let docker = connect()?;
        docker
            .create_image(Some(options.build()), Some(body), None)
            .try_collect::<Vec<_>>()
            .await?;
        let made = docker.inspect_image(name).await?;
        Ok(made.id.unwrap_or_default())
    })
    .map_err(told)
}

/// The name of `image` in the engine, where it is imported once.
///
/// # Errors
///
/// As [`import_into_engine`].
pub fn ensure_in_engine(image: &Image) -> Result<String, ImageError> {
    let name = image.manifest.name();
    let there = in_time(ASK, async { connect()?.inspect_image(&name).await });
    if there.is_err() {
        import_into_engine(image, &name)?;
    }
    Ok(name)
}

/// Unpacks the files of an image of the engine into the new folder `root`.
pub(super) fn export(name: &str, root: &Path) -> Result<(), ImageError> {
    let packed = tempfile::NamedTempFile::new()
        .map_err(ImageError::file("make a file in", &std::env::temp_dir()))?;
    let told = told(format!("export `{name}`, which is no path here"));
    in_time(MOVE + 2 * ASK, export_to(name, packed.as_file())).map_err(told)?;
    tree::unpack(packed.path(), root).map(drop)
}

/// A container that is never started shows the files of its image.
async fn export_to(name: &str, mut file: &File) -> Result<(), Error> {
    let docker = connect()?;
    let body = ContainerCreateBody {
        image: Some(name.to_string()),
        cmd: Some(vec!["none".to_string()]),
        ..Default::default()
    };
    let container = docker
        .create_container(None::<CreateContainerOptions>, body)
        .await?
        .id;
    let copy = async {
        let mut exported = docker.export_container(&container);
        while let Some(piece) = exported.next().await {
            io::Write::write_all(&mut file, &piece?)?;
        }
        Ok::<(), Error>(())
    };
    // The container goes, also where its files did not come in time.
    let written = tokio::time::timeout(MOVE, copy)
        .await
        .unwrap_or(Err(Error::RequestTimeoutError));
    let options = RemoveContainerOptionsBuilder::new().force(true).build();
    let removed = docker.remove_container(&container, Some(options)).await;
    written.and(removed)
}

fn next_piece(reader: &mut impl Read) -> io::Result<Option<Bytes>> {
    let mut piece = Vec::with_capacity(PIECE);
    reader.take(PIECE as u64).read_to_end(&mut piece)?;
    Ok((!piece.is_empty()).then(|| Bytes::from(piece)))
}

fn told(doing: String) -> impl FnOnce(Error) -> ImageError {
    move |error| ImageError::Engine {
        doing,
        said: error.to_string(),
    }
}

/// Where the sandbox finds its engine.
fn connect() -> Result<Docker, Error> {
    Ok(Docker::connect_with_host(&place())?.with_timeout(MOVE))
}

/// Runs one conversation with the engine on this thread, no longer than `limit`.
fn in_time<T>(limit: Duration, talk: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(async { tokio::time::timeout(limit, talk).await });
    answer.unwrap_or(Err(Error::RequestTimeoutError))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_never_answers_is_given_up_on() {
        let never = std::future::pending::<Result<(), Error>>();
        assert!(matches!(
            in_time(Duration::from_millis(10), never),
            Err(Error::RequestTimeoutError)
        ));
    }
}
