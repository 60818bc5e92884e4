//! Inputs and outputs are looked at before any work: one check for all commands.
//!
//! In: what a command will read and write, under the names that were said at the terminal. Out: nothing, or one error
//! that names everything that is wrong. Nothing stays written.
//! Example: `Paths::new().reads("--tasks", &tasks).writes_file("--out", &out).check()?`.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::checkpoint::how_to_download;

/// What a command reads and writes.
#[derive(Debug, Default)]
pub struct Paths {
    faults: Vec<Fault>,
    inputs: Vec<(String, PathBuf)>,
    outputs: Vec<(String, PathBuf)>,
}

#[derive(Debug)]
struct Fault {
    said: String,
    hint: String,
}

const SLIP: &str =
    "look for a slip in the path; it is read from the folder that this was started in";
const ANOTHER: &str = "choose another `--out`";

impl Paths {
    /// Nothing yet.
    pub fn new() -> Self {
        Paths::default()
    }

    /// A file or a folder that is read; `name` is how it was named, such as `--tasks`.
    #[must_use]
    pub fn reads(mut self, name: &str, path: &Path) -> Self {
        let found = fs::metadata(path).and_then(|about| match about.is_dir() {
            true => fs::read_dir(path).map(drop),
            false => File::open(path).map(drop),
        });
        if let Err(error) = found {
            let download = Some(path)
                .filter(|_| name == "--model")
                .and_then(how_to_download);
            self.fault(
                format!("{name}: `{}` cannot be read: {error}", path.display()),
                download.as_deref().unwrap_or(SLIP),
            );
        }
        self.inputs.push((name.to_owned(), path.to_path_buf()));
        self
    }

    /// As [`Paths::reads`], of a path that need not be given.
    #[must_use]
    pub fn may_read(self, name: &str, path: Option<&Path>) -> Self {
        match path {
            Some(path) => self.reads(name, path),
            None => self,
        }
    }

    /// A file that is read: a folder in its place is refused.
    #[must_use]
    pub fn reads_file(mut self, name: &str, path: &Path) -> Self {
        if path.is_dir() {
            self.fault(
                format!(
                    "{name}: `{}` is a folder, and a file is read",
                    path.display()
                ),
                "name a file in it",
            );
        }
        self.reads(name, path)
    }

    /// A folder that is read: a file in its place is refused.
    #[must_use]
    pub fn reads_folder(mut self, name: &str, path: &Path) -> Self {
        if path.is_file() {
            self.fault(
                format!(
                    "{name}: `{}` is a file, and a folder is read",
                    path.display()
                ),
                "name its folder",
            );
        }
        self.reads(name, path)
    }

    /// A folder that is written; it is made where it is missing.
    #[must_use]
    pub fn writes_folder(mut self, name: &str, path: &Path) -> Self {
        if let Some(fault) = folder_fault(name, path, path) {
            self.faults.push(fault);
        }
        self.outputs.push((name.to_owned(), path.to_path_buf()));
        self
    }

    /// A file that is written whole; its folder is made where it is missing.
    #[must_use]
    pub fn writes_file(mut self, name: &str, path: &Path) -> Self {
        let shown = path.display();
        let ends_as_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        match fs::symlink_metadata(path).and_then(|_| fs::metadata(path)) {
            _ if path.file_name().is_none() || ends_as_folder => {
                self.fault(
                    format!("{name}: `{shown}` names a folder, and a file is written"),
                    "name a file in it",
                );
            }
            Ok(about) if about.is_dir() => {
                self.fault(
                    format!("{name}: `{shown}` is a folder, and a file is written"),
                    "name a file in it",
                );
            }
            // The file appears under a name of its own and then takes the place of what is there.
            Ok(about) if !about.is_file() => {
                self.fault(
                    format!("{name}: `{shown}` is no plain file, and would be replaced by one"),
                    ANOTHER,
                );
            }
            _ => {
                let parent = path
                    .parent()
                    .filter(|parent| !parent.as_os_str().is_empty());
                if let Some(fault) = folder_fault(name, parent.unwrap_or(Path::new(".")), path) {
                    self.faults.push(fault);
                }
            }
        }
        self.outputs.push((name.to_owned(), path.to_path_buf()));
        self
    }

    /// Says what is wrong.
    ///
    /// # Errors
    ///
    /// When anything is.
    pub fn check(mut self) -> Result<()> {
        self.onto_inputs();
        let mut hints: Vec<&str> = self
            .faults
            .iter()
            .map(|fault| fault.hint.as_str())
            .collect();
        hints.dedup();
        let hints: String = hints
            .iter()
            .map(|hint| data::Hint(hint).to_string())
            .collect();
        match &self.faults[..] {
            [] => Ok(()),
            [Fault { said, .. }] => bail!("{said}{hints}"),
            several => {
                let lines: String = several
                    .iter()
                    .map(|fault| format!("\n{}", fault.said))
                    .collect();
                bail!("{} paths cannot be used{lines}{hints}", several.len())
            }
        }
    }

    /// What is read must not be written.
    fn onto_inputs(&mut self) {
        let place = |path: &Path| path.canonicalize().ok();
        let mut faults = Vec::new();
        for (name, out) in &self.outputs {
            let same = |(_, input): &&(String, PathBuf)| {
                place(input).is_some_and(|input| Some(input) == place(out))
            };
            if let Some((input, _)) = self.inputs.iter().find(same) {
                let said = format!("{name}: `{}` is what {input} reads", out.display());
                faults.push(Fault {
                    said,
                    hint: "give the result a place of its own".into(),
                });
            }
        }
        self.faults.extend(faults);
    }

    fn fault(&mut self, said: String, hint: &str) {
        self.faults.push(Fault {
            said,
            hint: hint.to_owned(),
        });
    }
}

/// Why nothing can be written to `folder`, for the sake of `out`: a file stands in its way, or this process may not.
fn folder_fault(name: &str, folder: &Path, out: &Path) -> Option<Fault> {
    let fault = |said: String, hint: &str| {
        Some(Fault {
            said: format!("{name}: {said}"),
            hint: hint.to_owned(),
        })
    };
    let shown = out.display();
    if out.as_os_str().is_empty() {
        return fault("an empty path names nothing".into(), ANOTHER);
    }
    // The longest part that is there already.
    for part in folder.ancestors() {
        let part = if part.as_os_str().is_empty() {
            Path::new(".")
        } else {
            part
        };
        match fs::metadata(part) {
            Ok(about) if !about.is_dir() && part == out => {
                return fault(format!("`{shown}` is a file"), ANOTHER);
            }
            Ok(about) if !about.is_dir() => {
                return fault(
                    format!(
                        "`{shown}` needs a folder, but `{}` is a file",
                        part.display()
                    ),
                    ANOTHER,
                );
            }
            Ok(_) => {
                let error = tried(part).err()?;
                let said = format!(
                    "`{shown}` cannot be written: nothing can be made in `{}`: {error}",
                    part.display()
                );
                return fault(
                    said,
                    "choose another `--out`, or a user who may write there",
                );
            }
            Err(_) if fs::symlink_metadata(part).is_ok_and(|about| about.is_symlink()) => {
                return fault(
                    format!("`{}` is a link to nothing", part.display()),
                    ANOTHER,
                );
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return fault(format!("`{shown}` cannot be written: {error}"), ANOTHER),
        }
    }
    None
}

/// Whether something can be made in a folder: rights say less than a try, as on `/proc`, a full disk or a network.
fn tried(folder: &Path) -> std::io::Result<()> {
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    fs::create_dir(&probe)?;
    fs::remove_dir(&probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("paths-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(path.join("folder")).expect("a folder");
            fs::write(path.join("file"), "x").expect("a file");
            std::os::unix::fs::symlink("nowhere", path.join("link")).expect("a link");
            Folder(path)
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn said(paths: Paths) -> String {
        paths.check().expect_err("is refused").to_string()
    }

    #[test]
    fn what_cannot_be_written_is_told_before_any_work() {
        let folder = Folder::new("written");
        let file = |name: &str| said(Paths::new().writes_file("--out", &folder.at(name)));
        assert!(file("folder").contains("is a folder, and a file is written"));
        assert!(file("new/").contains("names a folder"));
        assert!(file("file/below/it.json").contains("needs a folder, but"));
        assert!(file("link/x").contains("is a link to nothing"));
        assert!(
            said(Paths::new().writes_file("--out", Path::new("/dev/null")))
                .contains("no plain file")
        );
        let whole = |name: &str| said(Paths::new().writes_folder("--out", &folder.at(name)));
        assert!(whole("file").contains("is a file"));
        assert!(whole("link").contains("is a link to nothing"));
        // Nobody may make folders there, not even root.
        assert!(
            said(Paths::new().writes_folder("--out", Path::new("/proc/run"))).contains("--out")
        );
    }

    #[test]
    fn what_can_be_written_is_not_made_yet() {
        let folder = Folder::new("fine");
        let (file, whole) = (folder.at("a/b/c.json"), folder.at("d/e"));
        Paths::new()
            .writes_file("--out", &file)
            .writes_folder("--logs", &whole)
            .check()
            .expect("is fine");
        Paths::new()
            .writes_file("--out", &folder.at("file"))
            .check()
            .expect("a file is replaced");
        assert!(!folder.at("a").exists() && !folder.at("d").exists());
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let folder = Folder::new("all");
        let paths = Paths::new()
            .reads("--tasks", &folder.at("no"))
            .may_read("--against", Some(&folder.at("none")));
        let text = said(
            paths
                .reads_folder("--model", &folder.at("file"))
                .writes_folder("--out", &folder.at("file")),
        );
        for word in [
            "5 paths",
            "--tasks: ",
            "--against: ",
            "--model: ",
            "--out: ",
            "is what --model reads",
            "hint: ",
        ] {
            assert!(text.contains(word), "{word} is not in {text}");
        }
    }
}
