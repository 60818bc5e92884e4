//! Images with a jest of their own, and without one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use sandbox::docker::{Docker, DockerOptions};
use sandbox::image::{BuildOptions, ImageSpec, build, ensure_in_engine};
use sandbox::runner::pytest::MODULES;
use sandbox::{End, Job, Runner, Sandbox, SandboxError, TestStatus};
use serde_json::{Value, json};

use super::support::*;

/// Set to build real images from this machine's Debian mirror and package index.
const ASKED: &str = "TRAIN_TEST_IMAGE_BUILD";

/// A sandbox of an image with these packages of Debian; none, said aloud, where nobody asked for images.
fn sandbox_with(debian: &[&str]) -> Option<Docker> {
    let (python, Some(_)) = (python()?, sandbox()) else {
        return None;
    };
    if std::env::var_os(ASKED).is_none() {
        eprintln!(
            "SKIPPED, no image was built: set `{ASKED}=1` where there is a Debian mirror and a package index"
        );
        return None;
    }
    let debian: Vec<String> = debian.iter().map(ToString::to_string).collect();
    let spec = ImageSpec::new("3.11", &["attrs==24.2.0".to_string()], &debian).expect("a spec");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("images");
    let options = BuildOptions {
        out,
        mirror: None,
        python: "python3".into(),
        unpack: true,
        resume: false,
        stopped: || false,
    };
    let image = build(&spec, &options, &|line| eprintln!("{line}")).expect("builds");
    let image = Some(ensure_in_engine(&image).expect("is loaded"));
    Some(
        Docker::new(DockerOptions {
            image,
            jest: None,
            ..super::support::options(python)
        })
        .expect("a sandbox"),
    )
}

fn tree() -> Tree {
    Tree::new(&[
        ("money.js", "export const add = (a, b) => a + b;\n"),
        (
            "x.test.js",
            "import { add } from './money';\ntest('sum', () => { expect(add(1, 2)).toBe(3); });\n",
        ),
        (
            "test_it.py",
            "import attr\ndef test_a(): assert attr.__version__ == '24.2.0'\n",
        ),
    ])
}

#[test]
fn an_image_with_jest_runs_tests_of_both_languages() {
    let Some(sandbox) = sandbox_with(&["jest", "nodejs"]) else {
        return;
    };
    assert!(
        sandbox
            .jest_version()
            .is_some_and(|version| version.starts_with("29."))
    );
    let tree = tree();
    let run = sandbox
        .run(&Job {
            runner: Runner::Jest,
            ..tree.job()
        })
        .expect("a run");
    assert_eq!(run.end, End::Finished { exit: 0 }, "{run:#?}");
    assert_eq!(
        run.tests,
        BTreeMap::from([("x.test.js::sum".to_string(), TestStatus::Passed)])
    );
    assert_eq!(
        sandbox.run(&tree.job()).expect("a run").end,
        End::Finished { exit: 0 }
    );
}

#[test]
fn an_image_without_jest_is_named_and_gives_no_verdict() {
    let Some(sandbox) = sandbox_with(&[]) else {
        return;
    };
    let tree = tree();
    let error = sandbox
        .run(&Job {
            runner: Runner::Jest,
            ..tree.job()
        })
        .expect_err("there is no jest");
    assert!(matches!(error, SandboxError::Environment(_)), "{error}");
    for part in [
        "train-image:",
        "Node.js is at none of `/usr/bin/node`",
        "hint: `train image build --jest`",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(
        sandbox.run(&tree.job()).expect("a run").end,
        End::Finished { exit: 0 }
    );
}

/// What the runner of a container says about these places.
fn look(python: &Path, places: &Value) -> Value {
    let (_, text) = MODULES
        .iter()
        .find(|(name, _)| *name == "jest")
        .expect("it is one of them");
    let text = format!(
        "{text}\nprint(json.dumps(look(json.loads({:?}))))",
        places.to_string()
    );
    let output = Command::new(python)
        .args(["-B", "-c", &text])
        .output()
        .expect("Python starts");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[test]
fn the_first_jest_that_fits_is_taken_and_what_is_missing_is_named() {
    let Some(python) = python() else { return };
    let tree = Tree::new(&[
        ("old/@jest/core/package.json", r#"{"version": "27.5.1"}"#),
        ("broken/@jest/core/package.json", "{"),
        ("good/@jest/core/package.json", r#"{"version": "29.7.0"}"#),
        ("beside/x.js", ""),
    ]);
    let place = |name: &str| tree.0.join(name).display().to_string();
    let asked = |nodes: &[&str], modules: &[&[&str]]| {
        let modules: Vec<Vec<String>> = modules
            .iter()
            .map(|names| names.iter().map(|name| place(name)).collect())
            .collect();
        look(
            python.program(),
            &json!({"nodes": nodes, "modules": modules, "major": "29."}),
        )
    };
    let all: [&[&str]; 4] = [
        &["none"],
        &["broken"],
        &["old"],
        &["good", "beside", "none"],
    ];
    let path = format!("{}:{}", place("good"), place("beside"));
    let shell = std::fs::canonicalize("/bin/sh").expect("a shell");
    assert_eq!(
        asked(&["/nowhere", "/bin/sh"], &all),
        json!({"node": shell, "path": path, "version": "29.7.0"})
    );
    let missing = |told: Value| told["missing"].as_str().unwrap_or_default().to_string();
    assert_eq!(
        missing(asked(&["/nowhere", "/no"], &all)),
        "Node.js is at none of `/nowhere`, `/no`"
    );
    let others = missing(asked(&["/bin/sh"], &all[..3]));
    assert_eq!(
        others,
        format!(
            "`{}` holds jest 27.5.1, and our parts fit into jest 29",
            place("old")
        )
    );
    assert_eq!(
        missing(asked(&["/bin/sh"], &all[..2])),
        format!(
            "there is no jest in `{}`, `{}`",
            place("none"),
            place("broken")
        )
    );
}
