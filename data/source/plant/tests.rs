//! Planting with a judge that reads the changed file instead of running it.

use std::sync::Mutex;

use super::*;
use crate::file::write_whole;

const SOURCE: &str = "def total(a, b):\n    return a + b\n\n\ndef least(a, b):\n    return a < b\n";

fn package(name: &str) -> Package {
    let root = std::env::temp_dir().join(format!("plant-test-{name}-{}", std::process::id()));
    write_whole(&root.join("money.py"), SOURCE.as_bytes()).expect("writes");
    Package {
        name: "money".into(),
        root,
        python_path: vec![".".into()],
        tree: "trees/money".into(),
    }
}

fn set(tests: &[&str]) -> BTreeSet<String> {
    tests.iter().map(|test| test.to_string()).collect()
}

/// `test_total` fails without `a + b`; nothing notices the rest.
fn verdict(changes: &[FileChange]) -> Verdict {
    let source = changes
        .first()
        .and_then(|change| change.content.clone())
        .unwrap_or(SOURCE.into());
    if source.contains("a + b") {
        return Verdict {
            passed: set(&["t::test_other", "t::test_total"]),
            finished: true,
            ..Verdict::default()
        };
    }
    let failure = FailureText {
        test: "t::test_total".into(),
        exception: "AssertionError".into(),
        message: "assert -1 == 3".into(),
    };
    Verdict {
        passed: set(&["t::test_other"]),
        failed: set(&["t::test_total"]),
        finished: true,
        failure: Some(failure),
    }
}

fn planted(
    package: &Package,
    options: &PlantOptions,
    judge: &Judge,
) -> Result<Planted, PlantError> {
    let planted = plant(package, options, judge, &mut |_| {});
    std::fs::remove_dir_all(&package.root).expect("cleans up");
    planted
}

#[test]
fn what_a_test_notices_becomes_a_task() {
    let package = package("kept");
    let options = PlantOptions {
        kinds: vec![BugKind::Arithmetic, BugKind::Compare],
        ..PlantOptions::default()
    };
    let base_commit = tree_hash(&package.root).expect("hashes");
    let Planted { tasks, counts } =
        planted(&package, &options, &|_, changes| Ok(verdict(changes))).expect("plants");
    let expected = PlantCounts {
        clean_passing: 2,
        candidates: 3,
        kept: 1,
        no_failing_test: 2,
        ..Default::default()
    };
    assert_eq!(counts, expected);

    let buggy = SOURCE.replace("a + b", "a - b");
    let bug = Patch::between("money.py", SOURCE, &buggy);
    let expected = Task {
        format: TASK_FORMAT,
        id: format!("money.arithmetic__{}", bug.sha()),
        repo: "money".into(),
        tree: "trees/money".into(),
        base_commit,
        image: None,
        gold: bug.reversed(),
        bug,
        kind: "arithmetic".into(),
        statement: "test_total: assert -1 == 3".into(),
        focus: Focus {
            path: "money.py".into(),
            first_line: 1,
            last_line: 2,
        },
        fail_to_pass: vec!["t::test_total".into()],
        pass_to_pass: vec!["t::test_other".into()],
        trusted: vec![],
        python_path: vec![".".into()],
        language: crate::task::Language::Python,
    };
    assert_eq!(tasks, [expected]);
    let repaired = tasks[0]
        .gold
        .apply(&|_| Some(buggy.clone()))
        .expect("applies");
    assert_eq!(repaired[0].content.as_deref(), Some(SOURCE));
}

#[test]
fn the_same_seed_gives_the_same_tasks_on_any_number_of_threads() {
    let options = PlantOptions {
        seed: 3,
        max_tasks: 2,
        ..PlantOptions::default()
    };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        let package = package(&format!("threads-{threads}"));
        pool.install(|| planted(&package, &options, &|_, changes| Ok(verdict(changes))))
            .expect("plants")
    };
    let (one, three) = (on(1), on(3));
    assert_eq!(one.tasks.len(), 2);
    assert_eq!(one, three);
}

#[test]
fn a_bug_that_fails_only_once_is_flaky() {
    let seen = Mutex::new(HashSet::new());
    let judge = |_: &Package, changes: &[FileChange]| {
        let again = changes.iter().any(|change| {
            !seen
                .lock()
                .expect("no panic")
                .insert(change.content.clone())
        });
        Ok(verdict(if again { &[] } else { changes }))
    };
    let options = PlantOptions {
        kinds: vec![BugKind::Arithmetic],
        ..PlantOptions::default()
    };
    let Planted { tasks, counts } = planted(&package("flaky"), &options, &judge).expect("plants");
    assert_eq!((tasks.len(), counts.flaky), (0, 1));
}

#[test]
fn a_test_that_fails_on_the_clean_tree_once_in_many_runs_judges_nobody() {
    // Alone, beside itself, and beside the candidates.
    for failing_run in [0, 5, 6] {
        let clean_runs = Mutex::new(0);
        let judge = |_: &Package, changes: &[FileChange]| {
            let mut runs = clean_runs.lock().expect("no panic");
            let fails = changes.is_empty() && *runs == failing_run;
            *runs += usize::from(changes.is_empty());
            let mut verdict = verdict(changes);
            let unsteady = if fails {
                &mut verdict.failed
            } else {
                &mut verdict.passed
            };
            unsteady.insert("t::test_unsteady[a]".into());
            // What has failed for one of its parameters is not trusted with the others.
            verdict.passed.insert("t::test_unsteady[b]".into());
            Ok(verdict)
        };
        let options = PlantOptions {
            kinds: vec![BugKind::Arithmetic],
            ..PlantOptions::default()
        };
        let Planted { tasks, counts } =
            planted(&package("unsteady"), &options, &judge).expect("plants");
        assert_eq!(
            (counts.clean_passing, counts.clean_excluded, counts.kept),
            (2, 2, 1),
            "run {failing_run}"
        );
        assert_eq!(
            tasks[0].pass_to_pass,
            ["t::test_other"],
            "run {failing_run}"
        );
    }
}

#[test]
fn a_task_that_only_an_unsteady_test_notices_is_taken_back() {
    let clean_runs = Mutex::new(0);
    let judge = |_: &Package, changes: &[FileChange]| {
        let mut runs = clean_runs.lock().expect("no panic");
        *runs += usize::from(changes.is_empty());
        // The seventh run of the clean tree is the one beside the candidates.
        let bug = [FileChange {
            path: "money.py".into(),
            content: Some("return a - b".into()),
        }];
        Ok(verdict(if *runs == 7 && changes.is_empty() {
            &bug
        } else {
            changes
        }))
    };
    let options = PlantOptions {
        kinds: vec![BugKind::Arithmetic],
        ..PlantOptions::default()
    };
    let Planted { tasks, counts } =
        planted(&package("taken-back"), &options, &judge).expect("plants");
    assert_eq!(
        (
            tasks.len(),
            counts.kept,
            counts.flaky,
            counts.clean_excluded
        ),
        (0, 0, 1, 1)
    );
}

#[test]
fn tests_that_fail_on_the_clean_tree_are_excluded() {
    let judge = |_: &Package, changes: &[FileChange]| {
        let mut verdict = verdict(changes);
        verdict.failed.insert("t::test_broken".into());
        Ok(verdict)
    };
    let options = PlantOptions {
        kinds: vec![BugKind::Arithmetic],
        ..PlantOptions::default()
    };
    let Planted { tasks, counts } =
        planted(&package("excluded"), &options, &judge).expect("plants");
    assert_eq!((counts.clean_passing, counts.clean_excluded), (2, 1));
    assert_eq!(tasks[0].fail_to_pass, ["t::test_total"]);
}

#[test]
fn collapse_and_time_out_and_too_many_failures_are_counted_and_not_kept() {
    let options = PlantOptions {
        kinds: vec![BugKind::Arithmetic],
        ..PlantOptions::default()
    };
    let counts = |name: &str, options: &PlantOptions, change: &(dyn Fn(&mut Verdict) + Sync)| {
        let judge = |_: &Package, changes: &[FileChange]| {
            let mut verdict = verdict(changes);
            if !changes.is_empty() {
                change(&mut verdict);
            }
            Ok(verdict)
        };
        planted(&package(name), options, &judge)
            .expect("plants")
            .counts
    };
    assert_eq!(
        counts("collapse", &options, &|verdict| verdict.passed.clear()).broke_everything,
        1
    );
    assert_eq!(
        counts("timeout", &options, &|verdict| verdict.finished = false).timed_out,
        1
    );
    let strict = PlantOptions {
        max_fail_to_pass: Some(0),
        ..options
    };
    assert_eq!(counts("easy", &strict, &|_| {}).too_easy, 1);
}

#[test]
fn an_error_of_the_judge_is_no_verdict() {
    let options = PlantOptions {
        kinds: vec![BugKind::Arithmetic],
        ..PlantOptions::default()
    };
    let judge = |_: &Package, changes: &[FileChange]| match changes {
        [] => Ok(verdict(changes)),
        _ => Err(JudgeError("no disk".into())),
    };
    let error = planted(&package("error"), &options, &judge).expect_err("all candidates are lost");
    assert_eq!(
        error.to_string(),
        "the judge failed on all 1 candidates of `money`, last with: no disk"
    );

    let judge = |_: &Package, _: &[FileChange]| {
        Ok(Verdict {
            finished: true,
            ..Verdict::default()
        })
    };
    let error = planted(&package("nothing"), &options, &judge).expect_err("nothing passes");
    assert!(matches!(error, PlantError::NothingPasses(_)));
}
