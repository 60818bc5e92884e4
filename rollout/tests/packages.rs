//! Real packages from the index: fetched, unpacked, and their own suites passing inside of the sandbox.

use std::path::Path;

use rollout::package::{Package, PackageError};
use rollout::python::{PythonEnv, PythonError};
use rollout::sandbox::embedded::{Embedded, EmbeddedOptions};
use rollout::sandbox::{End, Limits, TestStatus};

/// Package, tests that pass, tests that are skipped, expected to fail, or unexpectedly pass, and what the tests need
/// besides pytest (without PyYAML, tinydb skips a test).
const PACKAGES: [(&str, usize, usize, &[&str]); 4] = [
    ("cachetools==6.1.0", 213, 0, &[]),
    ("tinydb==4.8.2", 204, 0, &["PyYAML==6.0.2"]),
    ("toolz==1.0.0", 180, 0, &[]),
    ("sqlparse==0.5.3", 461, 3, &[]),
];

#[test]
fn the_suites_of_four_packages_pass_in_the_sandbox() {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let python = match PythonEnv::prepare(&cache.join("python"), &|line| eprintln!("{line}")) {
        Ok(python) => python,
        Err(error) => return eprintln!("SKIPPED, no package was tested: {error}"),
    };
    let options = EmbeddedOptions {
        init: env!("CARGO_BIN_EXE_sandbox-init").into(),
        python: python.clone(),
        jest: None,
        workers: 1,
    };
    let sandbox = Embedded::new(options).expect("a sandbox");
    for (spec, passed, others, needs) in PACKAGES {
        let needs: Vec<String> = needs.iter().map(|need| (*need).to_string()).collect();
        if let Err(error) = python.install(spec, &needs) {
            eprintln!("SKIPPED {spec}: {error}");
            continue;
        }
        let package = match Package::fetch(spec, &cache.join("packages"), &python) {
            Ok(package) => package,
            Err(error @ PackageError::Fetch { .. }) => {
                eprintln!("SKIPPED {spec}: {error}");
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let (run, installed) = match package.run_suite(&sandbox, &python, &Limits::default()) {
            Ok(answer) => answer,
            Err(PackageError::Python(error @ (PythonError::Install { .. } | PythonError::Review(_)))) => {
                eprintln!("SKIPPED {spec}: {error}");
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        eprintln!("{spec}: {} tests in {:?}, {:?}, installed {installed:?}", run.tests.len(), run.wall, package);
        assert_eq!(run.end, End::Finished { exit: 0 }, "{spec}: {:?}\n{}", run.first_failure, run.output);
        let count = |wanted: TestStatus| run.tests.values().filter(|status| **status == wanted).count();
        assert_eq!((count(TestStatus::Passed), count(TestStatus::Skipped)), (passed, others), "{spec}");
    }
}
