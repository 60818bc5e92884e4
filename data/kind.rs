//! What a file is that is not what was asked for, and what to do about it.
//!
//! In: the first bytes of a file, and its path. Out: its kind in words and a line `hint: …`; none where the bytes tell
//! nothing. Example: `version https://git-lfs.github.com/spec/v1` begins a pointer of Git LFS, not the file itself.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// How many first bytes tell the kind of a file.
pub const HEAD_BYTES: usize = 1024;
/// The longest text that is shown instead of a kind.
const SHOWN: usize = 80;

/// The first bytes of a file.
///
/// # Errors
///
/// When it cannot be read.
pub fn head(file: &mut File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// What stands in the place of a file that was never fetched: a pointer, or a page that a server sent instead. None
/// where it is neither or cannot be read. For files of any kind: no file of weights begins so.
pub fn not_fetched(path: &Path) -> Option<String> {
    let head = head(&mut File::open(path).ok()?).ok()?;
    let (kind, hint) = pointer(&head, path).or_else(|| page(&head))?;
    Some(format!("{kind}{}", crate::Hint(hint)))
}

/// What a file is that is neither rows nor JSON nor weights, and what to do: `it is …`, then `hint: …` on a line.
pub fn other_kind(head: &[u8], path: &Path) -> Option<String> {
    let file = shell_word(path);
    let (kind, hint) = match head {
        [] => (
            "it is empty".into(),
            "was it written to its end? fetch or write it again".into(),
        ),
        _ => pointer(head, path)
            .or_else(|| packed(head, path, &file))
            .or_else(|| table(head, &file))
            .or_else(|| page(head))
            .or_else(|| text(head, path, &file))?,
    };
    Some(format!("{kind}{}", crate::Hint(hint)))
}

/// What stands for a large file in a repository.
fn pointer(head: &[u8], path: &Path) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(head);
    let name = path
        .file_name()
        .map(|name| shell_word(Path::new(name)))
        .unwrap_or_default();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let folder = shell_word(folder);
    if text.starts_with("version https://git-lfs.github.com/spec/") {
        let size = text
            .lines()
            .find_map(|line| line.strip_prefix("size "))
            .filter(|size| size.parse::<u64>().is_ok());
        let size = size
            .map(|size| format!(" ({size} bytes)"))
            .unwrap_or_default();
        return Some((
            format!("it is a pointer of Git LFS: the file itself{size} was not fetched"),
            format!(
                "fetch it: `git lfs install && git -C {folder} lfs pull --include {name}`, or download it again"
            ),
        ));
    }
    let annex = text.starts_with("/annex/objects/") || text.starts_with("../.git/annex/objects/");
    annex.then(|| {
        let kind = "it is a pointer of git-annex: the file itself was not fetched".to_string();
        (
            kind,
            format!("fetch it: `git -C {folder} annex get {name}`"),
        )
    })
}

/// What holds other files.
fn packed(head: &[u8], path: &Path, file: &str) -> Option<(String, String)> {
    const PACKED: [(&[u8], &str, &str); 8] = [
        (b"\x1f\x8b", "gzip", "gzip -dk"),
        (b"\x28\xb5\x2f\xfd", "zstd", "zstd -d"),
        (b"BZh", "bzip2", "bzip2 -dk"),
        (b"\xfd7zXZ", "xz", "xz -dk"),
        (b"\x04\x22\x4d\x18", "lz4", "lz4 -d"),
        (b"PK\x03\x04", "zip", "unzip"),
        (b"7z\xbc\xaf\x27\x1c", "7-Zip", "7z x"),
        (b"Rar!\x1a\x07", "rar", "unrar x"),
    ];
    let unpack = |command: &str| format!("unpack it first: `{command} {file}`");
    if head.get(257..262) == Some(b"ustar") {
        return Some(("it is a tar archive".into(), unpack("tar -xf")));
    }
    let (_, kind, command) = PACKED.iter().find(|(start, ..)| head.starts_with(start))?;
    let name = path.to_string_lossy().to_lowercase();
    let tar = name.ends_with(".tgz") || name.contains(".tar");
    match tar {
        true => Some((
            format!("it is a tar archive, compressed with {kind}"),
            unpack("tar -xf"),
        )),
        false => Some((format!("it is compressed with {kind}"), unpack(command))),
    }
}

/// Tables and objects in another container.
fn table(head: &[u8], file: &str) -> Option<(String, String)> {
    let python = |code: String| format!("write it as Parquet first: `python3 -c \"{code}\"`");
    let quoted = file.trim_matches('\'');
    let arrow = |open: &str| {
        python(format!(
            "import pyarrow as a, pyarrow.parquet as p; p.write_table(a.{open}('{quoted}').read_all(), '{quoted}.parquet')"
        ))
    };
    let found: (&str, String) = match head {
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => {
            ("an Arrow IPC file (Feather)", arrow("ipc.open_file"))
        }
        [0xff, 0xff, 0xff, 0xff, ..] => ("a stream of Arrow IPC", arrow("ipc.open_stream")),
        [b'F', b'E', b'A', b'1', ..] => (
            "Feather",
            python(format!(
                "import pandas; pandas.read_feather('{quoted}').to_parquet('{quoted}.parquet')"
            )),
        ),
        [b'O', b'R', b'C', ..] => (
            "ORC",
            python(format!(
                "import pandas; pandas.read_orc('{quoted}').to_parquet('{quoted}.parquet')"
            )),
        ),
        [b'P', b'A', b'R', b'E', ..] => (
            "Parquet with an encrypted footer",
            "write it without encryption".into(),
        ),
        [b'O', b'b', b'j', 1, ..] => ("Avro", "write it as Parquet or as JSON lines first".into()),
        [0x80, 2..=5, ..] => (
            "a Python pickle",
            python(format!(
                "import pandas; pandas.read_pickle('{quoted}').to_parquet('{quoted}.parquet')"
            )) + "; a pickle runs code when it is read, so trust where it is from",
        ),
        [0x89, b'H', b'D', b'F', ..] => {
            ("HDF5", "write it as Parquet or as JSON lines first".into())
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => (
            "an array of NumPy",
            "write it as Parquet or as JSON lines first".into(),
        ),
        _ if head.starts_with(b"SQLite format 3\0") => (
            "a database of SQLite",
            format!(
                "write its rows as JSON first: `sqlite3 -json {file} 'select * from TABLE' > {file}.json`"
            ),
        ),
        _ => return None,
    };
    Some((format!("it is {}", found.0), found.1))
}

/// What a server sends instead of a file, and documents.
fn page(head: &[u8]) -> Option<(String, String)> {
    let start = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start();
    let start = String::from_utf8_lossy(&start[..start.len().min(64)]).to_lowercase();
    let again = "download it again, from an address that gives the file itself, with a token where one is asked for";
    if ["<!doctype html", "<html", "<head", "<body"]
        .iter()
        .any(|tag| start.starts_with(tag))
    {
        return Some((
            "it is a page of HTML, as a failed download leaves it".into(),
            again.into(),
        ));
    }
    if start.starts_with("<?xml") || start.starts_with("<error") {
        return Some((
            "it is XML, as a server tells what went wrong".into(),
            again.into(),
        ));
    }
    start.starts_with("%pdf").then(|| {
        (
            "it is a PDF".into(),
            "name the file that holds the data".into(),
        )
    })
}

/// Text in another form.
fn text(head: &[u8], path: &Path, file: &str) -> Option<(String, String)> {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        let hint =
            format!("write it as UTF-8 first: `iconv -f UTF-16 -t UTF-8 {file} > {file}.utf8`");
        return Some(("it is text in UTF-16".into(), hint));
    }
    let ending = path
        .extension()
        .map(|ending| ending.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let start = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start();
    if matches!(start, [b'{' | b'[', ..]) {
        return None;
    }
    let first = String::from_utf8_lossy(
        start
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default(),
    )
    .into_owned();
    let header = first.contains("instance_id") && first.contains([',', '\t', ';']);
    if header || matches!(ending.as_str(), "csv" | "tsv") {
        let code = format!(
            "import pandas; pandas.read_csv('{0}', sep=None, engine='python').to_parquet('{0}.parquet')",
            file.trim_matches('\'')
        );
        return Some((
            "it is a table of text (CSV)".into(),
            format!("write it as Parquet or as JSON lines first: `python3 -c \"{code}\"`"),
        ));
    }
    if matches!(ending.as_str(), "yaml" | "yml") || first.trim() == "---" {
        return Some(("it is YAML".into(), "write it as JSON first".into()));
    }
    if head.contains(&0) {
        return Some((
            "it holds bytes of no known kind".into(),
            "is it the file that was meant? fetch it again".into(),
        ));
    }
    // A few words and nothing else are what a server said: `Entry not found`.
    let words = head.len() < HEAD_BYTES
        && !head.contains(&b'{')
        && first.starts_with(|c: char| c.is_alphabetic());
    let value = serde_json::from_str::<serde_json::Value>(first.trim()).is_ok();
    (words && !value).then(|| {
        let shown: String = first.trim().chars().take(SHOWN).collect();
        let kind = format!("it is a few words of text: `{}`", shown.escape_debug());
        (
            kind,
            "is it what a server said instead of the file? download it again".into(),
        )
    })
}

/// A path as a shell takes it.
fn shell_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "_./-+=:@%,".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, head: &[u8]) -> String {
        other_kind(head, Path::new(name)).unwrap_or_default()
    }

    #[test]
    fn a_file_of_another_kind_is_called_by_its_name_and_says_what_to_do() {
        let mut tar = vec![b'a'; 300];
        tar[257..262].copy_from_slice(b"ustar");
        for (name, head, kind, hint) in [
            (
                "a/v.parquet",
                &b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 7\n"[..],
                "Git LFS: the file itself (7 bytes)",
                "git -C a lfs pull --include v.parquet",
            ),
            (
                "v.json",
                b"/annex/objects/MD5E-s1--a",
                "git-annex",
                "annex get v.json",
            ),
            ("v.parquet", b"", "it is empty", "written to its end"),
            (
                "v.parquet",
                b"\n<!DOCTYPE html><html>",
                "a page of HTML",
                "download it again",
            ),
            (
                "v.parquet",
                b"<?xml version=\"1.0\"?><Error>",
                "XML",
                "download it again",
            ),
            (
                "v.parquet",
                b"Entry not found",
                "`Entry not found`",
                "download it again",
            ),
            (
                "v.jsonl.gz",
                b"\x1f\x8b\x08\0",
                "gzip",
                "gzip -dk v.jsonl.gz",
            ),
            (
                "my v.tar.gz",
                b"\x1f\x8b\x08\0",
                "tar archive, compressed with gzip",
                "tar -xf 'my v.tar.gz'",
            ),
            ("v.jsonl.zst", b"\x28\xb5\x2f\xfd", "zstd", "zstd -d v"),
            ("v.xz", b"\xfd7zXZ\0", "xz", "xz -dk v.xz"),
            ("v.zip", b"PK\x03\x04", "zip", "unzip v.zip"),
            ("v", &tar, "a tar archive", "tar -xf v"),
            ("v.csv", b"a,b\n1,2\n", "CSV", "read_csv('v.csv'"),
            ("v", b"repo,instance_id,patch\n", "CSV", "read_csv('v'"),
            ("v.pkl", b"\x80\x04\x95", "pickle", "read_pickle('v.pkl')"),
            (
                "v.db",
                b"SQLite format 3\0\x10",
                "SQLite",
                "sqlite3 -json v.db",
            ),
            (
                "v.arrow",
                b"ARROW1\0\0",
                "Arrow IPC",
                "ipc.open_file('v.arrow')",
            ),
            (
                "v.arrow",
                b"\xff\xff\xff\xff\x10",
                "stream of Arrow",
                "ipc.open_stream('v.arrow')",
            ),
            ("v.yaml", b"instance_id: a\n", "YAML", "JSON"),
            ("v.bin", b"\x01\0\x02", "no known kind", "fetch it again"),
            ("v", b"\xff\xfe{\0", "UTF-16", "iconv"),
        ] {
            let told = told(name, head);
            assert!(
                told.contains(kind) && told.contains("\nhint: ") && told.contains(hint),
                "{name}: {told}"
            );
        }
    }

    #[test]
    fn a_file_that_was_never_fetched_is_told_from_weights() {
        let path = std::env::temp_dir().join(format!("kind-{}.safetensors", std::process::id()));
        let told = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("writes");
            not_fetched(&path)
        };
        let pointer = told(b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 9\n");
        assert!(pointer.is_some_and(|told| told.contains("(9 bytes)")));
        assert!(told(b"<html>").is_some());
        // The length of a header may look like the beginning of anything.
        assert_eq!(
            (
                told(b"\x80\x02\0\0\0\0\0\0{"),
                told(b"\x1f\x8b\0\0\0\0\0\0{"),
                told(b"")
            ),
            (None, None, None)
        );
        std::fs::remove_file(path).expect("cleans up");
    }

    #[test]
    fn rows_are_no_other_kind() {
        for head in [
            &b"{\"a\": 1}\n"[..],
            b"[\n",
            b" \n{",
            b"7\n",
            b"null\n",
            b"\xef\xbb\xbf{}",
            b"{\"instance_id\": 1, 2}",
        ] {
            assert_eq!(other_kind(head, Path::new("v.jsonl")), None, "{head:?}");
        }
        assert_eq!(other_kind(b"{\"a\": 1}\n", Path::new("v.csv")), None);
    }
}
