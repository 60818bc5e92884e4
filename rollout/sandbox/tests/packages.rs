//! Real packages from the index: fetched with what they declare, unpacked, and their own suites passing in the sandbox.

use std::path::Path;

use sandbox::embedded::{Embedded, EmbeddedOptions};
use sandbox::environment::package::{Package, PackageError};
use sandbox::environment::python::PythonEnv;
use sandbox::{End, Limits, Sandbox, TestStatus};

/// A package and how its tests end. tinydb does not declare the PyYAML without which it skips a test; inflect declares
/// three packages that its tests cannot do without.
struct Expected {
    spec: &'static str,
    passed: usize,
    /// Skipped, expected to fail, or unexpectedly passing.
    others: usize,
}

const PACKAGES: [Expected; 5] = [
    Expected {
        spec: "cachetools==6.1.0",
        passed: 213,
        others: 0,
    },
    Expected {
        spec: "tinydb==4.8.2",
        passed: 203,
        others: 1,
    },
    Expected {
        spec: "toolz==1.0.0",
        passed: 180,
        others: 0,
    },
    Expected {
        spec: "sqlparse==0.5.3",
        passed: 461,
        others: 3,
    },
    Expected {
        spec: "inflect==7.6.0",
        passed: 273,
        others: 16,
    },
];

#[test]
fn the_suites_of_five_packages_end_in_the_sandbox_as_they_should() {
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
    for Expected {
        spec,
        passed,
        others,
    } in PACKAGES
    {
        let package = match Package::fetch(spec, &cache.join("packages"), &python, &|line| {
            eprintln!("{line}")
        }) {
            Ok(package) => package,
            Err(error @ (PackageError::Fetch { .. } | PackageError::Python(_))) => {
                eprintln!("SKIPPED {spec}: {error}");
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let run = sandbox
            .run(&package.suite(&Limits::default()))
            .expect("a run");
        eprintln!(
            "{spec}: {} tests in {:?}, {:?}",
            run.tests.len(),
            run.wall,
            package
        );
        assert_eq!(
            run.end,
            End::Finished { exit: 0 },
            "{spec}: {:?}\n{}",
            run.first_failure,
            run.output
        );
        let count = |wanted: fn(&TestStatus) -> bool| {
            run.tests.values().filter(|status| wanted(status)).count()
        };
        let passed_over = count(|status| *status != TestStatus::Passed);
        assert_eq!(
            (count(|status| *status == TestStatus::Passed), passed_over),
            (passed, others),
            "{spec}"
        );
    }
}
