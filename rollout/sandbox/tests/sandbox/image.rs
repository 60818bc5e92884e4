//! A real image, built of real packages, and tests that run in it.

use std::path::{Path, PathBuf};

use sandbox::embedded::Embedded;
use sandbox::environment::python::PythonEnv;
use sandbox::image::lint::{LintOptions, Subject, lint};
use sandbox::image::{BuildOptions, Image, ImageSpec, build};
use sandbox::{End, Job, Runner, Sandbox, SandboxError};

use super::support::*;

/// Set to build a real image from this machine's Debian mirror and package index.
const ASKED: &str = "TRAIN_TEST_IMAGE_BUILD";

fn spec(debian: &[&str]) -> ImageSpec {
    let debian: Vec<String> = debian.iter().map(ToString::to_string).collect();
    ImageSpec::new("3.11", &["attrs==24.2.0".to_string()], &debian).expect("a spec")
}

fn options(out: PathBuf) -> BuildOptions {
    BuildOptions {
        out,
        mirror: None,
        python: "python3".into(),
        unpack: true,
        resume: false,
        stopped: || false,
    }
}

/// Built once for all tests; none, said aloud, where nobody asked for it.
fn image() -> Option<Image> {
    image_with(&[])
}

/// The same with packages of Debian.
fn image_with(debian: &[&str]) -> Option<Image> {
    if std::env::var_os(ASKED).is_none() {
        eprintln!(
            "SKIPPED, no image was built: set `{ASKED}=1` where there is a Debian mirror and a package index"
        );
        return None;
    }
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("images");
    Some(build(&spec(debian), &options(out), &|line| eprintln!("{line}")).expect("builds"))
}

#[test]
fn an_image_holds_what_was_asked_for_and_nothing_that_it_should_not() {
    let Some(image) = image() else { return };
    assert_eq!(
        image.manifest.python.get("attrs").map(String::as_str),
        Some("24.2.0")
    );
    assert_eq!(
        image.manifest.python.get("pytest").map(String::as_str),
        Some("8.4.2")
    );
    let subject = Subject::open(image.folder.to_str().expect("a plain path")).expect("unpacks");
    assert_eq!(subject.roots.len(), 2, "the archive and the unpacked tree");
    for root in &subject.roots {
        for path in [
            "usr/bin/git",
            "usr/bin/timeout",
            "usr/bin/bash",
            "usr/bin/awk",
            "repo",
            "tmp",
            "run/train",
        ] {
            assert!(root.join(path).exists(), "{path}");
        }
        for path in ["var/lib/apt", "usr/share/doc", "usr/share/man"] {
            assert!(!root.join(path).exists(), "{path}");
        }
        assert_eq!(lint(root, &LintOptions::default()).expect("reads"), []);
    }
}

#[test]
fn the_same_packages_make_the_same_bytes() {
    let Some(image) = image() else { return };
    let out = tempfile::tempdir().expect("folder");
    let options = BuildOptions {
        unpack: false,
        ..options(out.path().to_path_buf())
    };
    let again = build(&spec(&[]), &options, &|line| eprintln!("{line}")).expect("builds");
    assert_eq!(again.manifest, image.manifest);
}

#[test]
fn tests_see_the_image_instead_of_the_machine() {
    let Some(image) = image() else { return };
    let python = PythonEnv::in_image(&image).expect("has a Python");
    let sandbox = Embedded::new(super::support::options(&python)).expect("a sandbox");
    let tree = Tree::new(&[(
        "test_it.py",
        r#"
import os, subprocess, sys
def test_python():
    import attr, pytest
    assert sys.executable.startswith("/usr/bin/python3.11")
    assert attr.__version__ == "24.2.0" and pytest.__version__ == "8.4.2"
    assert pytest.__file__ == "/usr/lib/python3/dist-packages/pytest/__init__.py"
    assert pytest.__cached__ and os.path.exists(pytest.__cached__)
def test_programs():
    for words in [["git", "--version"], ["timeout", "5", "true"], ["awk", "BEGIN { }"], ["bash", "-c", "true"]]:
        subprocess.run(words, check=True)
def test_nothing_of_the_machine():
    assert not os.path.exists("/usr/bin/apt-get") and not os.path.exists("/usr/share/doc")
"#,
    )]);
    let run = sandbox.run(&tree.job()).expect("the sandbox does its part");
    assert_eq!(run.end, End::Finished { exit: 0 }, "{run:#?}");
    assert_eq!(run.tests.len(), 3, "{run:#?}");
}

#[test]
fn an_image_with_jest_runs_it_and_one_without_gives_no_verdict() {
    let tree = Tree::new(&[
        ("money.js", "module.exports = (a, b) => a + b;\n"),
        (
            "x.test.js",
            "const add = require('./money'), fs = require('fs');\n\
            test('sum', () => { expect(add(1, 2)).toBe(3); });\n\
            test('image', () => { expect(fs.existsSync('/usr/bin/apt-get')).toBe(false); });\n",
        ),
    ]);
    let job = Job {
        runner: Runner::Jest,
        ..tree.job()
    };
    // This machine's jest is there for neither.
    let sandbox = |image: &Image| {
        let python = PythonEnv::in_image(image).expect("has a Python");
        Embedded::new(super::support::options(&python)).expect("a sandbox")
    };
    let Some(image) = image_with(&["jest", "nodejs"]) else {
        return;
    };
    let run = sandbox(&image).run(&job).expect("a run");
    assert_eq!(run.end, End::Finished { exit: 0 }, "{run:#?}");
    assert_eq!(run.tests.len(), 2);
    let Some(image) = image_with(&[]) else { return };
    let error = sandbox(&image).run(&job).expect_err("there is no jest");
    assert!(matches!(error, SandboxError::Environment(_)), "{error}");
    for part in [
        "Node.js is at none of `/usr/bin/node`",
        "hint: `train image build --jest`",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
}
