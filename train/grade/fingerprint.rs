//! The fingerprint of a verdict: equal fingerprints mean equal verdicts.
//!
//! In: what tests run on, a task and an answer. Out: 32 hexadecimal digits. They change with the sandbox, its image and
//! its Python, with the base tree, with the answer, with the gold patch, with the tests and with the version of what
//! judges; not with the name of a run or of a model.

use data::Task;
use data::source::prediction::Answer;

/// Part of what a verdict rests on: a grader that judges otherwise has another number.
const GRADER: u32 = 8;

/// The key of a verdict. Each part is hashed with its length, so that no two can run together.
pub fn key(environment: &str, id: &str, task: Option<&Task>, answer: &Answer) -> String {
    let mut hash = blake3::Hasher::new();
    let mut part = |name: &str, text: &str| {
        for text in [name, text] {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
    };
    part("grader", &GRADER.to_string());
    part("environment", environment);
    // Of rows that make no task nothing else is known.
    part("id", id);
    if let Some(task) = task {
        // The tree stands in for the image where there is none; with an image, both say what the tests run on.
        part("image", task.image.as_deref().unwrap_or_default());
        part("tree", &task.base_commit);
        part("bug", task.bug.text());
        // Changed tests are tried on it, too.
        part("gold", task.gold.text());
        part("task", &task.id);
        task.python_path
            .iter()
            .for_each(|folder| part("path", folder));
        task.fail_to_pass
            .iter()
            .for_each(|test| part("fail_to_pass", test));
        task.pass_to_pass
            .iter()
            .for_each(|test| part("pass_to_pass", test));
        task.trusted.iter().for_each(|file| part("trusted", file));
    }
    match answer {
        Answer::Diff(diff) => part("diff", diff),
        Answer::Refused(reason) => part("refused", reason),
        Answer::Files(files) => files.iter().for_each(|(path, text)| {
            part("file", path);
            match text {
                Some(text) => part("text", text),
                None => part("no text", ""),
            }
        }),
    }
    hash.finalize().to_hex()[..32].to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use data::task::TASK_FORMAT;
    use data::{Focus, Patch};

    use super::*;

    fn task() -> Task {
        Task {
            format: TASK_FORMAT,
            id: "money-1".into(),
            repo: "money".into(),
            tree: "money".into(),
            base_commit: "t1".into(),
            image: None,
            bug: Patch::between("money.py", "a\n", "b\n"),
            gold: Patch::between("money.py", "b\n", "a\n"),
            kind: "operator".into(),
            statement: "sums are wrong".into(),
            focus: Focus {
                path: "money.py".into(),
                first_line: 1,
                last_line: 1,
            },
            fail_to_pass: vec!["t.py::a".into()],
            pass_to_pass: vec!["t.py::b".into()],
            trusted: Vec::new(),
            python_path: vec![".".into()],
            language: data::task::Language::Python,
        }
    }

    #[test]
    fn whatever_may_change_a_verdict_changes_its_key() {
        let answer = || Answer::Diff("d".into());
        let change = |change: fn(&mut Task)| {
            let mut task = task();
            change(&mut task);
            key("e", "money-1", Some(&task), &answer())
        };
        let keys = [
            key("e", "money-1", Some(&task()), &answer()),
            key("f", "money-1", Some(&task()), &answer()),
            key("e", "money-1", None, &answer()),
            key("e", "money-2", None, &answer()),
            key("e", "money-1", Some(&task()), &Answer::Diff("e".into())),
            key(
                "e",
                "money-1",
                Some(&task()),
                &Answer::Files(vec![("d".into(), None)]),
            ),
            key(
                "e",
                "money-1",
                Some(&task()),
                &Answer::Files(vec![("d".into(), Some(String::new()))]),
            ),
            change(|task| task.image = Some("sha256:1".into())),
            change(|task| task.base_commit = "t2".into()),
            change(|task| task.bug = Patch::default()),
            change(|task| task.gold = Patch::default()),
            change(|task| task.fail_to_pass.push("t.py::c".into())),
            change(|task| task.pass_to_pass.push("t.py::c".into())),
            change(|task| task.pass_to_pass.clear()),
            change(|task| task.trusted.push("data.json".into())),
            change(|task| task.python_path.push("src".into())),
        ];
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
    }

    #[test]
    fn what_is_only_told_changes_nothing() {
        let told = Task {
            statement: "other".into(),
            ..task()
        };
        let answer = Answer::Diff("d".into());
        assert_eq!(
            key("e", "money-1", Some(&told), &answer),
            key("e", "money-1", Some(&task()), &answer)
        );
    }
}
