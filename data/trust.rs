//! Whose hands a path is in: what others can change is neither run nor believed.
//!
//! In: the path of a program, or of a folder of ours. Out: the same path, or who could change it. Every folder above it
//! counts, and every link on the way: whoever can rename one of them chooses what lies there.
//! Example: `/tmp/train/bin/python`, where another user made `/tmp/train`, is refused.
//!
//! Trusted are root and the user who runs this program. A folder that anybody may write is passed where its sticky bit
//! keeps others from renaming what is ours, as in `/tmp`.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use nix::unistd::{Group, Uid, User, geteuid};

/// Links on the way to one path.
const MAX_LINKS: usize = 40;
const STICKY: u32 = 0o1000;
/// What the kernel shows for users who do not exist in this namespace.
const UNMAPPED: u32 = 65534;

/// A path that is not used.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` is not used: {why}{}", crate::Aside(.hint))]
pub struct Untrusted {
    /// What was asked for.
    pub path: PathBuf,
    /// Who could change it, or why nobody knows.
    pub why: String,
    /// What to do.
    pub hint: String,
}

/// A program or a folder of code that nobody else can change. Returns it without links.
///
/// # Errors
///
/// When somebody else owns it, a folder above it or a link on the way, or may write there; and when it is missing.
pub fn code(path: &Path) -> Result<PathBuf, Untrusted> {
    let refused = |why: String| Untrusted {
        path: path.to_path_buf(),
        why,
        hint: "use one that you or root own and that nobody else can write, or run as its owner"
            .to_string(),
    };
    resolve(path, &Hands::own()).map_err(refused)
}

/// A folder that is ours alone (mode 0700), made where it is missing. Returns it without links.
///
/// # Errors
///
/// When it, or a folder above it, is in the hands of others, or cannot be made.
pub fn private_folder(path: &Path) -> Result<PathBuf, Untrusted> {
    let hands = Hands::own();
    let refused = |why: String| Untrusted {
        path: path.to_path_buf(),
        why,
        hint: "remove it, or name a folder of your own with `XDG_CACHE_HOME=/path/to/folder`"
            .to_string(),
    };
    let path_here = std::path::absolute(path).map_err(|error| refused(error.to_string()))?;
    let missing: Vec<&Path> = path_here
        .ancestors()
        .take_while(|folder| folder.symlink_metadata().is_err())
        .collect();
    let above = missing
        .last()
        .and_then(|folder| folder.parent())
        .unwrap_or(&path_here);
    let mut real = resolve(above, &hands).map_err(refused)?;
    for folder in missing.iter().rev() {
        real.push(folder.file_name().unwrap_or_default());
        match DirBuilder::new().mode(0o700).create(&real) {
            // Another process of ours may have been faster; whose it is, is looked at below.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(refused(format!(
                    "`{}` cannot be made: {error}",
                    real.display()
                )));
            }
            _ => {}
        }
    }
    let real = resolve(&real, &hands).map_err(refused)?;
    let meta = fs::symlink_metadata(&real).map_err(|error| refused(error.to_string()))?;
    if !meta.is_dir() {
        return Err(refused("it is no folder".to_string()));
    }
    if meta.uid() != hands.own.as_raw() {
        return Err(refused(format!("it belongs to {}", name_of(meta.uid()))));
    }
    if meta.mode() & 0o777 != 0o700 {
        let mode = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&real, mode)
            .map_err(|error| refused(format!("it cannot be closed to others: {error}")))?;
    }
    Ok(real)
}

/// The first program of this name on `PATH` that nobody else can change; none where there is no program of that name.
///
/// # Errors
///
/// When all that were found are in the hands of others: the first of them.
pub fn program(name: &str) -> Result<Option<PathBuf>, Untrusted> {
    program_in(&std::env::var_os("PATH").unwrap_or_default(), name)
}

fn program_in(path: &OsStr, name: &str) -> Result<Option<PathBuf>, Untrusted> {
    let mut refused = None;
    for folder in std::env::split_paths(path).filter(|folder| folder.is_absolute()) {
        let place = folder.join(name);
        if !place
            .metadata()
            .is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0)
        {
            continue;
        }
        match code(&place) {
            // As it is named there: what a program does may depend on that.
            Ok(_) => return Ok(Some(place)),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    refused.map_or(Ok(None), Err)
}

/// Who is trusted.
struct Hands {
    own: Uid,
    /// The group that has nobody in it but us.
    group: Option<u32>,
    /// In a namespace of its own, root of the machine has no name.
    unmapped: bool,
}

impl Hands {
    fn own() -> Hands {
        let own = geteuid();
        let user = User::from_uid(own).ok().flatten();
        let alone = |user: User| {
            let group = Group::from_gid(user.gid).ok().flatten()?;
            (group.name == user.name && group.mem.iter().all(|member| *member == user.name))
                .then_some(group.gid.as_raw())
        };
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        Hands {
            own,
            group: user.and_then(alone),
            unmapped: !is_mapped(&map, UNMAPPED),
        }
    }

    fn owns(&self, uid: u32) -> bool {
        uid == 0 || uid == self.own.as_raw() || (self.unmapped && uid == UNMAPPED)
    }

    /// Why something is in the hands of others; nothing where it is not. Through a sticky folder others cannot reach.
    fn complaint(&self, path: &Path, meta: &Metadata, last: bool) -> Option<String> {
        let shown = path.display();
        if !self.owns(meta.uid()) {
            return Some(format!("`{shown}` belongs to {}", name_of(meta.uid())));
        }
        if meta.is_symlink() || (meta.is_dir() && meta.mode() & STICKY != 0 && !last) {
            return None;
        }
        if meta.mode() & 0o002 != 0 {
            return Some(format!("anybody can write `{shown}`"));
        }
        let others = meta.mode() & 0o020 != 0 && meta.gid() != 0 && Some(meta.gid()) != self.group;
        others.then(|| format!("the group {} can write `{shown}`", group_name(meta.gid())))
    }
}

/// Whether a user id exists in the namespace with this `uid_map`.
fn is_mapped(map: &str, uid: u32) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        matches!(numbers[..], [first, _, count] if (first..first.saturating_add(count)).contains(&u64::from(uid)))
    })
}

/// Walks to `path` from the root, following links by hand; every stop on the way is looked at.
fn resolve(path: &Path, hands: &Hands) -> Result<PathBuf, String> {
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    let mut left: VecDeque<OsString> = parts(&path);
    let (mut here, mut links) = (PathBuf::from("/"), 0);
    check(hands, &here, left.is_empty())?;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&part);
        let meta = check(hands, &next, left.is_empty())?;
        if !meta.is_symlink() {
            here = next;
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err("its links lead nowhere".to_string());
        }
        let target =
            fs::read_link(&next).map_err(|error| format!("`{}`: {error}", next.display()))?;
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        for part in parts(&target).into_iter().rev() {
            left.push_front(part);
        }
    }
    Ok(here)
}

fn check(hands: &Hands, path: &Path, last: bool) -> Result<Metadata, String> {
    let meta =
        fs::symlink_metadata(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
    hands.complaint(path, &meta, last).map_or(Ok(meta), Err)
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let named = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    named.collect()
}

fn name_of(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(
        || format!("the user {uid}"),
        |user| format!("`{}`", user.name),
    )
}

fn group_name(gid: u32) -> String {
    let group = Group::from_gid(nix::unistd::Gid::from_raw(gid))
        .ok()
        .flatten();
    group.map_or_else(|| gid.to_string(), |group| format!("`{}`", group.name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("is ours");
    }

    fn why(path: &Path) -> String {
        code(path).expect_err("is refused").to_string()
    }

    #[test]
    fn code_that_others_can_write_is_refused_and_said_why() {
        let place = folder();
        let file = place.path().join("bin/python");
        fs::create_dir(place.path().join("bin")).unwrap();
        fs::write(&file, "").unwrap();
        mode(&file, 0o755);
        assert_eq!(
            code(&file).unwrap(),
            place.path().canonicalize().unwrap().join("bin/python")
        );
        mode(&file, 0o757);
        assert!(why(&file).contains("anybody can write"), "{}", why(&file));
        mode(&file, 0o755);
        mode(&place.path().join("bin"), 0o777);
        assert!(why(&file).contains("bin` (hint:"), "{}", why(&file));
        // Sticky: others can add files there, so a folder of code it is not; a way to one it is.
        mode(&place.path().join("bin"), 0o1777);
        assert!(code(&file).is_ok());
        assert!(why(&place.path().join("bin")).contains("anybody can write"));
    }

    #[test]
    fn a_link_counts_with_all_that_it_leads_through() {
        let place = folder();
        let (open, file) = (place.path().join("open"), place.path().join("python"));
        fs::create_dir(&open).unwrap();
        fs::write(open.join("python"), "").unwrap();
        mode(&open, 0o777);
        symlink("open/python", &file).unwrap();
        assert!(why(&file).contains("anybody can write"), "{}", why(&file));
        symlink("round", place.path().join("round")).unwrap();
        assert!(why(&place.path().join("round")).contains("lead nowhere"));
        assert!(why(&place.path().join("missing")).contains("No such file"));
    }

    #[test]
    fn a_planted_program_is_passed_over_and_named_where_there_is_no_other() {
        let place = folder();
        for name in ["open", "own"] {
            let folder = place.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("git"), "").unwrap();
            mode(&folder.join("git"), 0o755);
        }
        mode(&place.path().join("open"), 0o777);
        let path = |names: &[&str]| {
            std::env::join_paths(names.iter().map(|name| place.path().join(name))).unwrap()
        };
        let own = place.path().join("own/git");
        assert_eq!(
            program_in(&path(&["open", "own"]), "git").unwrap(),
            Some(own)
        );
        assert!(
            program_in(&path(&["open"]), "git")
                .is_err_and(|error| error.to_string().contains("anybody"))
        );
        assert_eq!(program_in(&path(&["own"]), "hg").unwrap(), None);
        assert_eq!(program_in(OsStr::new("relative:"), "git").unwrap(), None);
    }

    #[test]
    fn a_private_folder_is_made_closed_and_an_open_one_is_closed() {
        let place = folder();
        let made = private_folder(&place.path().join("a/b/train")).unwrap();
        assert_eq!(fs::metadata(&made).unwrap().mode() & 0o777, 0o700);
        mode(&made, 0o755);
        private_folder(&made).unwrap();
        assert_eq!(fs::metadata(&made).unwrap().mode() & 0o777, 0o700);
        mode(&place.path().join("a"), 0o777);
        assert!(private_folder(&made).is_err());
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        let place = folder();
        let planted = place.path().join("train");
        fs::create_dir(&planted).unwrap();
        if std::os::unix::fs::chown(&planted, Some(1234), None).is_err() {
            return eprintln!(
                "SKIPPED, not tested: a folder of another user is refused: only root can give one away"
            );
        }
        let said = private_folder(&planted)
            .expect_err("is another's")
            .to_string();
        assert!(
            said.contains("belongs to the user 1234") && said.contains("XDG_CACHE_HOME"),
            "{said}"
        );
        symlink(&planted, place.path().join("link")).unwrap();
        assert!(code(&place.path().join("link")).is_err());
    }

    #[test]
    fn a_namespace_tells_which_users_it_has() {
        assert!(is_mapped("         0          0 4294967295\n", UNMAPPED));
        assert!(!is_mapped("         0       1000          1\n", UNMAPPED));
    }
}
