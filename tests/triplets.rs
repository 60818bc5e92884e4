//! Patches become as small as they can be, and triplets are what they say they are: in a real sandbox.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use data::triplet::{Split, Triplet, read_triplets, size};
use data::{Patch, Task};
use serde_json::Value;

use crate::stopped::{interrupted, planted, same};
use crate::support::*;

fn line(tasks: &Path, out: &Path) -> String {
    let few = "--per-task 2 --hold-package numerals --hold-kind none";
    format!(
        "data triplets --tasks {} {few} --out {}",
        tasks.display(),
        out.display()
    )
}

/// Triplets of ten planted tasks, built once for all tests of this file.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let out = std::env::temp_dir().join(format!("train-triplets-{}", std::process::id()));
        run(&line(planted(), &out)).succeeds();
        out
    })
}

fn rows() -> Vec<Triplet> {
    read_triplets(built())
        .expect("reads")
        .into_values()
        .flatten()
        .collect()
}

fn task(id: &str) -> Task {
    let set = data::source::jsonl::read_tasks(planted()).expect("tasks");
    set.find(id).expect("the task of a triplet").clone()
}

/// `train minimize` for the task of a triplet.
fn minimize(folder: &Folder, id: &str, patch: &str, more: &str) -> Said {
    let patch = folder.write("it.diff", patch);
    run(&format!(
        "minimize --task {} --id {id} --patch {} {more}",
        planted().display(),
        patch.display()
    ))
}

#[test]
fn triplets_that_were_stopped_end_like_triplets_that_were_not() {
    if !python("building triplets is resumed") {
        return;
    }
    let folder = Folder::new("stopped-triplets");
    let out = folder.join("out");
    interrupted(
        &line(planted(), &out),
        &out.join(".resume.jsonl"),
        &[1, 3, 5],
        &folder.join("log"),
    );
    same(&out, built());
    let again = run(&format!("{} --resume", line(planted(), &out))).succeeds();
    assert!(again.err.contains("finished already"), "{}", again.err);
    run(&format!("{} --resume --seed 9", line(planted(), &out))).refuses(&["`seed` was 7, is 9"]);
}

#[test]
fn a_triplet_is_long_fails_without_a_part_and_is_one_minimal() {
    if !python("triplets hold") {
        return;
    }
    let rows = rows();
    assert!(rows.len() >= 12, "{} triplets of ten tasks", rows.len());
    for row in &rows {
        assert!(size(&row.refined) < size(&row.long), "{}", row.id);
        assert!(
            row.failure.contains(" failed\n"),
            "{}: {}",
            row.id,
            row.failure
        );
        assert_eq!(
            (row.proof.long.as_str(), row.proof.refined.as_str()),
            ("resolved", "resolved")
        );
        assert_ne!(row.proof.failing, "resolved");
        let kept: Vec<bool> = (1..=row.long.parts().len())
            .map(|part| row.kept.contains(&part))
            .collect();
        let parts = row.long.keeping(&kept).parts();
        assert_eq!(parts.len(), row.proof.parts);
        assert!(!row.failing.parts().is_empty() && row.kept.contains(&row.lacking));
    }
    let independent = rows
        .iter()
        .filter(|row| row.proof.found_by == data::triplet::FoundBy::Repair);
    assert!(independent.clone().count() > 0 && independent.clone().all(|row| row.proof.calls <= 2));
    // A package that is held out is in no row that is trained on.
    let splits = read_triplets(built()).expect("reads");
    assert!(
        splits[&Split::Train]
            .iter()
            .all(|row| row.repo != "numerals")
    );
    assert!(
        splits[&Split::HeldOutPackage]
            .iter()
            .all(|row| row.repo == "numerals")
    );
    let card: Value =
        serde_json::from_slice(&fs::read(built().join("dataset.json")).expect("reads"))
            .expect("JSON");
    assert_eq!(card["triplets"].as_u64(), Some(rows.len() as u64));
    let dropped: u64 = card["dropped"]
        .as_object()
        .expect("reasons")
        .values()
        .filter_map(Value::as_u64)
        .sum();
    assert_eq!(
        rows.len() as u64 + dropped,
        20,
        "what is not there is counted with its reason"
    );
}

#[test]
fn a_second_look_runs_everything_again() {
    if !python("triplets are looked at again") {
        return;
    }
    let folder = Folder::new("recheck");
    let said = run(&format!(
        "{} --recheck 6",
        line(planted(), &folder.join("out"))
    ))
    .succeeds();
    let summary: Value = serde_json::from_str(said.out.trim()).expect("JSON");
    let recheck = &summary["recheck"];
    assert_eq!(
        (recheck["rows"].as_u64(), recheck["one_minimal"].as_u64()),
        (Some(6), Some(6)),
        "{recheck}"
    );
    assert_eq!(
        (
            recheck["wrong_trims"].as_u64(),
            recheck["failing_passes"].as_u64()
        ),
        (Some(0), Some(0))
    );
}

#[test]
fn the_smallest_patch_is_printed_as_git_takes_it() {
    if !python("a patch is made smaller") {
        return;
    }
    let folder = Folder::new("minimize");
    let rows = rows();
    let row = rows
        .iter()
        .find(|row| row.long.parts().len() >= 5)
        .expect("a long patch");
    let said = minimize(&folder, &row.task_id, row.long.text(), "--check-order").succeeds();
    let small = Patch::parse(&said.out).expect("nothing but a patch on standard output");
    assert_eq!(small, row.refined, "{}", said.err);
    for word in [
        "parts are left",
        "calls (",
        " s, of which",
        "the opposite order ends with the same patch",
    ] {
        assert!(
            said.err.contains(word),
            "`{word}` is not said in:\n{}",
            said.err
        );
    }
    // The repair itself cannot become smaller.
    let gold = task(&row.task_id).gold;
    let said = minimize(&folder, &row.task_id, gold.text(), "").succeeds();
    assert_eq!(
        Patch::parse(&said.out).expect("a patch").parts().len(),
        gold.parts().len()
    );
    let short = minimize(&folder, &row.task_id, row.long.text(), "--max-calls 3").succeeds();
    assert!(short.err.contains("the budget is spent"), "{}", short.err);
    assert!(Patch::parse(&short.out).is_ok_and(|patch| !patch.is_empty()));
}

#[test]
fn a_patch_that_cannot_be_made_smaller_says_why() {
    if !python("a patch is refused") {
        return;
    }
    let folder = Folder::new("minimize-bad");
    let rows = rows();
    let row = &rows[0];
    let test_file = row.proof.fail_to_pass[0]
        .split("::")
        .next()
        .expect("a file")
        .to_string();
    let only_tests = format!("--- a/{test_file}\n+++ b/{test_file}\n@@ -1 +1,2 @@\n+x = 1\n \n");
    let binary = "diff --git a/a.bin b/a.bin\nnew file mode 100644\nindex 000..111\nGIT binary patch\nliteral 3\nKcmZQz\n";
    // The names end as ever, and the lines do not: a file with other line ends was meant.
    let is_head = |line: &str| {
        ["--- ", "+++ ", "@@", "diff ", "new file "]
            .iter()
            .any(|head| line.starts_with(head))
    };
    let ends = |line: &str| if is_head(line) { "\n" } else { "\r\n" };
    let crlf: String = row
        .long
        .text()
        .lines()
        .map(|line| format!("{line}{}", ends(line)))
        .collect();
    let huge = format!(
        "--- a/x.py\n+++ b/x.py\n@@ -0,0 +1 @@\n+{}\n",
        "x".repeat(2 << 20)
    );
    for (patch, words) in [
        (row.failing.text(), vec!["does not pass", "repair it first"]),
        (
            "--- a/none.py\n+++ b/none.py\n@@ -1 +1 @@\n-a\n+b\n",
            vec!["does not apply", "`none.py` does not exist"],
        ),
        (
            only_tests.as_str(),
            vec!["touches nothing but what judges it", &test_file],
        ),
        (binary, vec!["hint: "]),
        (crlf.as_str(), vec!["CRLF"]),
        (huge.as_str(), vec!["the limit is"]),
        ("", vec!["it is empty"]),
        ("no patch\n", vec!["hint: "]),
    ] {
        let said = minimize(&folder, &row.task_id, patch, "");
        assert!(said.out.is_empty(), "{}", said.out);
        said.refuses(&words);
    }
    minimize(&folder, &row.task_id, row.long.text(), "--max-calls 2")
        .refuses(&["a budget of 2", "--max-calls"]);
    // As `patch` does it: a patch that ends its lines so from the first to the last is one of a mailer.
    let mailed = row.long.text().replace('\n', "\r\n");
    let said = minimize(&folder, &row.task_id, &mailed, "").succeeds();
    assert!(!said.out.contains('\r'), "{}", said.out);
    minimize(&folder, "none", row.long.text(), "").refuses(&["there is no task `none`"]);
}

#[test]
fn tasks_that_give_no_triplet_are_counted_by_reason() {
    if !python("dropped tasks are counted") {
        return;
    }
    let folder = Folder::new("dropped");
    let mut tasks = data::source::jsonl::read_tasks(planted())
        .expect("tasks")
        .tasks;
    tasks.truncate(3);
    // One whose repair repairs nothing any more, and one that was there before.
    let other = tasks[0].gold.clone();
    tasks[1] = Task {
        id: "gone".into(),
        gold: Patch::between("NEW.txt", "", "x\n"),
        ..tasks[1].clone()
    };
    tasks[2] = Task {
        gold: other,
        ..tasks[0].clone()
    };
    let set = folder.join("set");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(planted())
        .arg(&set)
        .status();
    assert!(copied.expect("starts").success());
    data::source::jsonl::write_rows(&set.join("tasks.jsonl"), &tasks).expect("writes");
    let said = run(&format!(
        "data triplets --tasks {} --per-task 1 --out {}",
        set.display(),
        folder.join("out").display()
    ));
    for word in [
        "the id `",
        "stands in row 1 already",
        "dropped: 1 triplets: the task's repair",
    ] {
        assert!(
            said.err.contains(word),
            "`{word}` is not said in:\n{}",
            said.err
        );
    }
    // What an evaluation set holds is not trained on.
    let line = format!(
        "{} --against {}",
        line(planted(), &folder.join("barred")),
        planted().display()
    );
    run(&line).refuses(&[
        "the repository is one of an evaluation set",
        "no triplet came of 10 tasks",
    ]);
}

#[test]
fn patch_lite_learns_from_triplets() {
    if !python("a student is trained on triplets") {
        return;
    }
    let folder = Folder::new("distill");
    let out = folder.join("out");
    let few = "--set sft.steps=2 --set sft.samples_per_step=4 --set data.max_tokens=900";
    let sets = format!(
        "--model checkpoints/base --triplets {} --out {} {few}",
        built().display(),
        out.display()
    );
    run(&format!("distill {sets}")).succeeds();
    let samples: Value =
        serde_json::from_slice(&fs::read(out.join("samples.json")).expect("reads")).expect("JSON");
    assert!(samples["samples"].as_u64() >= Some(8), "{samples}");
    assert!(
        checkpoint(&out.join("model"), 2)
            .join("model.safetensors")
            .exists()
    );
    // Scored beside no trim, which is as long as it was, and ddmin, which never loses a pass.
    let score = folder.join("trim.json");
    let of = format!(
        "--tasks {} --trim {} --trim-rows 2",
        planted().display(),
        built().display()
    );
    run(&format!(
        "eval --model {} {of} --trim-answers 4 --cascade 0.5 --out {}",
        out.join("model").display(),
        score.display()
    ))
    .succeeds();
    let scores: Value = serde_json::from_slice(&fs::read(&score).expect("reads")).expect("JSON");
    let split = &scores["splits"]["held_out_package"];
    let number = |who: &str, what: &str| split[who][what]["estimate"].as_f64().expect("a number");
    assert_eq!(
        (
            number("ddmin", "pass_after_trim"),
            number("ddmin", "size_ratio")
        ),
        (1.0, 1.0),
        "{split}"
    );
    assert!(
        number("none", "cascade_size_ratio") > 1.0 && number("none", "excess_edit") > 0.0,
        "{split}"
    );
    assert!(
        number("model", "cascade_size_ratio") <= number("none", "cascade_size_ratio") + 1e-9,
        "{split}"
    );
    // Through the refiner's seat no pass is lost, and the surer a trim has to be the less is left out.
    assert_eq!(number("cascade", "pass_after_trim"), 1.0, "{split}");
    assert!(
        number("cascade", "cascade_size_ratio") <= number("none", "cascade_size_ratio") + 1e-9,
        "{split}"
    );
    assert!(
        number("model at 0.99", "trimmed") <= number("model at 0.3", "trimmed"),
        "{split}"
    );
    let bad = folder.join("empty");
    fs::create_dir_all(&bad).expect("a folder");
    let line = format!(
        "distill --model checkpoints/base --triplets {} --out {}",
        bad.display(),
        folder.join("x").display()
    );
    run(&line).refuses(&["holds no finished triplets"]);
}
