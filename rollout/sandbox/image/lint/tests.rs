use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;

/// A small clean root.
fn clean_root() -> TempDir {
    let root = tempfile::tempdir().expect("folder");
    let path = root.path();
    plant(path, "usr/bin/tool", "#!/bin/sh\n");
    plant(
        path,
        "usr/lib/python3/dist-packages/toolz/core.py",
        "x = 1\n",
    );
    plant(
        path,
        "usr/lib/python3/dist-packages/toolz-1.0.0.dist-info/METADATA",
        "Name: toolz\nVersion: 1.0.0\n",
    );
    for open in ["tmp", "repo", "run/train"] {
        fs::create_dir_all(path.join(open)).expect("folder");
        fs::set_permissions(path.join(open), Permissions::from_mode(0o1777)).expect("mode");
    }
    root
}

fn plant(root: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("has one")).expect("folder");
    fs::write(&path, text).expect("writes");
    path
}

fn options() -> LintOptions {
    LintOptions {
        package: Some("toolz==1.0.0".parse().expect("a package")),
        allow: BTreeSet::new(),
    }
}

/// `rule path` of every finding.
fn found(root: &Path) -> Vec<String> {
    let findings = lint(root, &options()).expect("reads");
    for finding in &findings {
        assert!(
            !finding.what.is_empty() && !finding.cure.is_empty(),
            "{finding:?}"
        );
    }
    findings
        .iter()
        .map(|finding| format!("{} {}", finding.rule, finding.path))
        .collect()
}

/// What is found after one file was planted in a clean root.
fn after(name: &str, text: impl AsRef<[u8]>) -> Vec<String> {
    let root = clean_root();
    plant(root.path(), name, text);
    found(root.path())
}

#[test]
fn a_clean_root_has_no_finding() {
    assert_eq!(found(clean_root().path()), Vec::<String>::new());
}

#[test]
fn a_setuid_file_is_found() {
    let root = clean_root();
    fs::set_permissions(
        root.path().join("usr/bin/tool"),
        Permissions::from_mode(0o4755),
    )
    .expect("mode");
    assert_eq!(found(root.path()), ["setuid /usr/bin/tool"]);
}

#[test]
fn what_anyone_may_write_is_found_unless_it_is_tmp() {
    let root = clean_root();
    let open = plant(root.path(), "usr/lib/open", "");
    fs::set_permissions(open, Permissions::from_mode(0o666)).expect("mode");
    let scratch = plant(root.path(), "tmp/scratch", "");
    fs::set_permissions(scratch, Permissions::from_mode(0o666)).expect("mode");
    let left = plant(root.path(), "repo/left", "");
    fs::set_permissions(left, Permissions::from_mode(0o666)).expect("mode");
    assert_eq!(
        found(root.path()),
        ["world-writable /repo/left", "world-writable /usr/lib/open"]
    );
}

#[test]
fn an_engines_socket_is_found() {
    assert_eq!(after("run/docker.sock", ""), ["socket /run/docker.sock"]);
    let root = clean_root();
    let _socket =
        std::os::unix::net::UnixListener::bind(root.path().join("usr/agent")).expect("binds");
    assert_eq!(found(root.path()), ["socket /usr/agent"]);
}

#[test]
fn a_newer_release_is_found_however_it_lies_there() {
    let packages = "usr/lib/python3/dist-packages";
    for (name, text) in [
        (
            "usr/lib/python3/dist-packages/toolz-1.0.1.dist-info",
            "METADATA",
        ),
        (
            "usr/lib/python3/dist-packages/toolz-1.0.1-py3.11.egg-info",
            "PKG-INFO",
        ),
    ] {
        assert_eq!(
            after(&format!("{name}/{text}"), "Version: 1.0.1\n"),
            [format!("newer-release /{name}")]
        );
    }
    let egg = format!("{packages}/toolz.egg-info");
    assert_eq!(
        after(&format!("{egg}/PKG-INFO"), "Name: toolz\nVersion: 1.1\n"),
        [format!("newer-release /{egg}")]
    );
    for archive in [
        "srv/Toolz-1.10.0-py3-none-any.whl",
        "srv/toolz-1.0.1.tar.gz",
    ] {
        assert_eq!(after(archive, ""), [format!("newer-release /{archive}")]);
    }
    for harmless in [
        "srv/toolz-0.12.0.tar.gz",
        "srv/toolz-1.0.0rc1.tar.gz",
        "srv/cytoolz-2.0.tar.gz",
        "srv/toolz.zip",
    ] {
        assert_eq!(after(harmless, ""), Vec::<String>::new(), "{harmless}");
    }
}

#[test]
fn what_pip_kept_is_found() {
    assert_eq!(
        after("root/.cache/pip/http/a", ""),
        ["package-cache /root/.cache/pip"]
    );
}

#[test]
fn byte_code_without_its_source_is_found() {
    let orphan = "usr/lib/python3/dist-packages/toolz/__pycache__/fixed.cpython-311.pyc";
    assert_eq!(after(orphan, ""), [format!("stale-pyc /{orphan}")]);
    let alone = "usr/lib/python3/dist-packages/toolz/fixed.pyc";
    assert_eq!(after(alone, ""), [format!("stale-pyc /{alone}")]);
}

#[test]
fn byte_code_of_another_source_is_found_and_its_own_is_not() {
    let name = "usr/lib/python3/dist-packages/toolz/__pycache__/core.cpython-311.pyc";
    let magic = 168_627_623_u32.to_le_bytes();
    // Not checked by Python, with the hash of `x = 1`.
    let own = [
        &magic[..],
        &1_u32.to_le_bytes(),
        &[0x4c, 0x03, 0x72, 0xaa, 0x93, 0xf7, 0x52, 0x52],
        b"code",
    ]
    .concat();
    assert_eq!(after(name, &own), Vec::<String>::new());
    let mut other = own.clone();
    other[8] ^= 1;
    assert_eq!(after(name, &other), [format!("stale-pyc /{name}")]);
    // Believed for its time and size.
    let timed = |size: u32| {
        let root = clean_root();
        let source = root
            .path()
            .join("usr/lib/python3/dist-packages/toolz/core.py");
        let modified = source
            .metadata()
            .expect("is there")
            .modified()
            .expect("has a time");
        let seconds = modified
            .duration_since(std::time::UNIX_EPOCH)
            .expect("is later")
            .as_secs() as u32;
        let code = [
            magic,
            0_u32.to_le_bytes(),
            seconds.to_le_bytes(),
            size.to_le_bytes(),
        ]
        .concat();
        plant(root.path(), name, code);
        found(root.path())
    };
    assert_eq!(timed(6), Vec::<String>::new());
    assert_eq!(timed(7), [format!("stale-pyc /{name}")]);
}

#[test]
fn what_loads_itself_into_python_is_found_unless_it_is_allowed() {
    let packages = "usr/lib/python3/dist-packages";
    let pth = format!("{packages}/hook.pth");
    assert_eq!(after(&pth, "import hook"), [format!("pth /{pth}")]);
    assert_eq!(
        after("srv/theano.pth", "weights"),
        Vec::<String>::new(),
        "Python never reads it there"
    );
    let site = "usr/lib/python3.11/sitecustomize.py";
    assert_eq!(after(site, ""), [format!("sitecustomize /{site}")]);
    let plugin = format!("{packages}/pytest_evil-1.0.dist-info/entry_points.txt");
    assert_eq!(
        after(&plugin, "[pytest11]\nevil = evil\n"),
        [format!("pytest-plugin /{plugin}")]
    );
    assert_eq!(
        after(&plugin, "[console_scripts]\nevil = evil:main\n"),
        Vec::<String>::new()
    );
    let root = clean_root();
    plant(root.path(), &plugin, "[pytest11]\nevil = evil\n");
    plant(root.path(), &pth, "import hook");
    let allow = ["pytest-evil", "hook.pth"].map(String::from).into();
    assert_eq!(
        lint(root.path(), &LintOptions { allow, ..options() }).expect("reads"),
        []
    );
}

/// A repository with one commit and nothing else at `/repo`.
fn root_with_repository() -> TempDir {
    let root = clean_root();
    plant(root.path(), "repo/a.py", "x = 1\n");
    git(
        root.path(),
        &["init", "--quiet", "--initial-branch", "base"],
    );
    git(root.path(), &["config", "core.logAllRefUpdates", "false"]);
    commit(root.path(), "base");
    root
}

fn git(root: &Path, words: &[&str]) {
    let mut command = Command::new("git");
    command
        .current_dir(root.join("repo"))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "a")
            .env(format!("GIT_{role}_EMAIL"), "a@example.org");
    }
    let output = command.args(words).output().expect("git is installed");
    assert!(
        output.status.success(),
        "git {words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn commit(root: &Path, message: &str) {
    git(root, &["add", "--all"]);
    git(root, &["commit", "--quiet", "--message", message]);
}

#[test]
fn a_repository_with_one_commit_is_clean() {
    assert_eq!(found(root_with_repository().path()), Vec::<String>::new());
}

#[test]
fn a_second_commit_is_found_on_any_branch() {
    let root = root_with_repository();
    git(root.path(), &["checkout", "--quiet", "-b", "fix"]);
    plant(root.path(), "repo/a.py", "x = 2\n");
    commit(root.path(), "fix");
    git(root.path(), &["checkout", "--quiet", "base"]);
    assert_eq!(found(root.path()), ["git-history /repo/.git"]);
}

#[test]
fn a_later_object_is_found_after_its_branch_is_gone() {
    let root = root_with_repository();
    plant(root.path(), "repo/a.py", "x = 2\n");
    commit(root.path(), "fix");
    git(root.path(), &["reset", "--quiet", "--hard", "HEAD~1"]);
    assert_eq!(
        found(root.path()),
        [
            "git-head /repo/.git/ORIG_HEAD",
            "git-unreachable /repo/.git"
        ]
    );
    git(root.path(), &["repack", "-adkq"]);
    fs::remove_file(root.path().join("repo/.git/ORIG_HEAD")).expect("removes");
    assert_eq!(
        found(root.path()),
        ["git-unreachable /repo/.git"],
        "packed or not"
    );
}

#[test]
fn a_reflog_is_found() {
    let root = root_with_repository();
    git(root.path(), &["config", "core.logAllRefUpdates", "true"]);
    git(
        root.path(),
        &["commit", "--quiet", "--amend", "--message", "again"],
    );
    git(root.path(), &["prune"]);
    let found = found(root.path());
    assert!(
        found.contains(&"git-reflog /repo/.git/logs".to_string()),
        "{found:?}"
    );
}

#[test]
fn a_remote_and_what_was_fetched_are_found() {
    let root = root_with_repository();
    git(
        root.path(),
        &["remote", "add", "origin", "https://example.org/a.git"],
    );
    plant(root.path(), "repo/.git/FETCH_HEAD", "");
    git(
        root.path(),
        &["update-ref", "refs/remotes/origin/main", "HEAD"],
    );
    assert_eq!(
        found(root.path()),
        [
            "git-head /repo/.git/FETCH_HEAD",
            "git-remote /repo/.git/config",
            "git-remote /repo/.git/refs/remotes"
        ]
    );
}

#[test]
fn a_stash_is_found() {
    let root = root_with_repository();
    plant(root.path(), "repo/a.py", "x = 2\n");
    git(root.path(), &["stash", "--quiet"]);
    let found = found(root.path());
    assert!(
        found.contains(&"git-stash /repo/.git/refs/stash".to_string()),
        "{found:?}"
    );
    assert!(
        found.contains(&"git-history /repo/.git".to_string()),
        "{found:?}"
    );
}

#[test]
fn objects_that_lie_elsewhere_are_found() {
    let root = root_with_repository();
    plant(
        root.path(),
        "repo/.git/objects/info/alternates",
        "/srv/objects\n",
    );
    plant(
        root.path(),
        "srv/work/.git",
        "gitdir: /srv/main/.git/worktrees/work\n",
    );
    assert_eq!(
        found(root.path()),
        [
            "git-link /repo/.git/objects/info/alternates",
            "git-link /srv/work/.git"
        ]
    );
}

#[test]
fn a_repository_without_a_work_tree_is_looked_into() {
    let root = root_with_repository();
    plant(root.path(), "repo/a.py", "x = 2\n");
    commit(root.path(), "fix");
    fs::create_dir_all(root.path().join("srv")).expect("folder");
    git(
        root.path(),
        &["clone", "--quiet", "--bare", ".", "../srv/mirror"],
    );
    let found = found(root.path());
    assert!(
        found.contains(&"git-history /srv/mirror".to_string()),
        "{found:?}"
    );
}

#[test]
fn an_archive_is_looked_into_like_a_folder() {
    let root = clean_root();
    plant(root.path(), "run/docker.sock", "");
    let packed = tempfile::tempdir().expect("folder");
    let archive = packed.path().join("rootfs.tar.zst");
    tree::pack(root.path(), &archive).expect("packs");
    let subject = Subject::open(archive.to_str().expect("a plain path")).expect("unpacks");
    assert_eq!(found(&subject.roots[0]), ["socket /run/docker.sock"]);
}

#[test]
fn a_path_that_is_missing_is_not_looked_for_in_the_engine() {
    for name in ["/no/such/path", "./none", "none.tar.gz", "work/images/"] {
        let error = Subject::open(name)
            .map(drop)
            .expect_err("is refused")
            .to_string();
        assert!(
            error.contains(name) && error.contains("no such file or folder"),
            "{error}"
        );
    }
    assert!(!is_path("train-image:3f2a") && !is_path("registry.example/a/b:1.0"));
}
