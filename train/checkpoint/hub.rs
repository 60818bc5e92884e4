//! `org/name`: a model of the Hugging Face Hub, where its cache on this machine holds it. Nothing is downloaded here.
//!
//! In: what was named as a model. Out: the folder of its snapshot; or how to download it.
//! Example: `Qwen/Qwen3-0.6B` is `~/.cache/huggingface/hub/models--Qwen--Qwen3-0.6B/snapshots/<commit>`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder that `named` means: itself, or the snapshot in the cache of a model that is named `org/name` and is no
/// folder here. What is found nowhere stays as it is.
pub fn model_folder(named: PathBuf) -> PathBuf {
    if named.exists() || !is_hub_name(&named) {
        return named;
    }
    let name = named.to_string_lossy().into_owned();
    cache_folder()
        .and_then(|cache| snapshot(&cache, &name))
        .unwrap_or(named)
}

/// How to get the model `named`, where it looks like one of the Hub.
pub fn how_to_download(named: &Path) -> Option<String> {
    if !is_hub_name(named) {
        return None;
    }
    let cache = cache_folder().map_or("nowhere".into(), |folder| folder.display().to_string());
    Some(format!(
        "`{0}` is neither a folder here nor a model in the Hugging Face cache (`{cache}`); `hf download {0}` downloads it",
        named.display()
    ))
}

/// Whether it has the form `org/name`: two parts of letters, digits, `-`, `_` and `.`.
fn is_hub_name(path: &Path) -> bool {
    let Some((organization, name)) = path.to_str().and_then(|text| text.split_once('/')) else {
        return false;
    };
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    plain(organization) && plain(name)
}

/// `$HF_HUB_CACHE`, else `$HF_HOME/hub`, else `$XDG_CACHE_HOME/huggingface/hub`, else `~/.cache/huggingface/hub`.
fn cache_folder() -> Option<PathBuf> {
    let named = |variable: &str| {
        env::var_os(variable)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    named("HF_HUB_CACHE")
        .or_else(|| Some(named("HF_HOME")?.join("hub")))
        .or_else(|| Some(named("XDG_CACHE_HOME")?.join("huggingface/hub")))
        .or_else(|| Some(named("HOME")?.join(".cache/huggingface/hub")))
}

/// The snapshot of `name` that `refs/main` names, else the newest one that holds a model.
fn snapshot(cache: &Path, name: &str) -> Option<PathBuf> {
    let folder = cache.join(format!("models--{}", name.replace('/', "--")));
    let snapshots = folder.join("snapshots");
    let whole = |snapshot: &PathBuf| {
        snapshot.join("config.json").exists() || snapshot.join("params.json").exists()
    };
    let main = fs::read_to_string(folder.join("refs/main")).ok();
    let main = main.map(|commit| snapshots.join(commit.trim()));
    main.filter(whole).or_else(|| {
        let entries = fs::read_dir(&snapshots).ok()?.flatten();
        entries
            .map(|entry| entry.path())
            .filter(whole)
            .max_by_key(|path| fs::metadata(path).and_then(|about| about.modified()).ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_plain_parts_are_a_name_of_the_hub() {
        for name in ["Qwen/Qwen3-0.6B", "HuggingFaceTB/SmolLM2-135M"] {
            assert!(is_hub_name(Path::new(name)), "{name}");
        }
        for path in [
            "/tmp/model",
            "./model",
            "../a/b",
            "a/b/c",
            "model",
            "a/",
            "a b/c",
        ] {
            assert!(!is_hub_name(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn the_snapshot_of_main_is_found_and_one_without_a_model_is_not() {
        let cache = env::temp_dir().join(format!("hub-{}", std::process::id()));
        let folder = cache.join("models--org--name");
        let snapshot_of = |commit: &str| folder.join("snapshots").join(commit);
        for commit in ["aaa", "bbb"] {
            fs::create_dir_all(snapshot_of(commit)).expect("a folder");
        }
        assert_eq!(snapshot(&cache, "org/name"), None);
        fs::write(snapshot_of("bbb").join("config.json"), "{}").expect("writes");
        assert_eq!(snapshot(&cache, "org/name"), Some(snapshot_of("bbb")));
        fs::write(snapshot_of("aaa").join("config.json"), "{}").expect("writes");
        fs::create_dir_all(folder.join("refs")).expect("a folder");
        fs::write(folder.join("refs/main"), "aaa\n").expect("writes");
        assert_eq!(snapshot(&cache, "org/name"), Some(snapshot_of("aaa")));
        fs::remove_dir_all(cache).expect("cleans up");
    }
}
