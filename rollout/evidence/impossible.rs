//! The tests once more, each with one wrong expectation: no honest code passes these.
//!
//! In: a task with its gold patch. Out: test files, and the tests in them that the gold patch fails. A patch that passes
//! one of those, twice, does not have its answers compared.

use std::collections::{BTreeMap, BTreeSet};

use data::FileChange;
use data::draw;
use data::impossible::{Changed, function_names, impossible};
use data::task::file_of;

use super::{Case, Purpose, Run, judged_tests, name_of, with_files};
use sandbox::{End, SandboxError, TestStatus};

/// One variant of a task's tests.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    files: BTreeMap<String, String>,
    /// Tests that the gold patch fails, and why it has to.
    must_fail: BTreeMap<String, Changed>,
    /// Their functions.
    tests: BTreeSet<String>,
}

impl Draw {
    /// Draws the variant of this number and asks the gold patch. `None` where nothing can be changed, or the gold patch fails none of it.
    pub fn find(
        case: &Case<'_>,
        key: u64,
        number: usize,
        run: Run<'_>,
    ) -> Result<Option<Draw>, SandboxError> {
        let (mut files, mut changed, mut texts) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let language = case.task.language;
        for (file, (path, names)) in judged_tests(case.task, key.wrapping_add(number as u64))
            .into_iter()
            .enumerate()
        {
            let Ok(text) = std::fs::read_to_string(case.tree.join(path)) else {
                continue;
            };
            let names: Vec<&str> = names.into_iter().collect();
            let functions: BTreeSet<String> = function_names(&text, language, &names)
                .into_values()
                .collect();
            let functions: Vec<&str> = functions.iter().map(String::as_str).collect();
            let key = draw::key(key, &[file as u64]);
            if let Some(variant) = impossible(&text, language, &functions, key, number) {
                files.insert(path.to_string(), variant.text);
                changed.insert(path.to_string(), variant.changed);
                texts.insert(path.to_string(), text);
            }
        }
        if files.is_empty() {
            return Ok(None);
        }
        let mut draw = Draw {
            files,
            must_fail: BTreeMap::new(),
            tests: BTreeSet::new(),
        };
        let files: Vec<String> = draw.files.keys().cloned().collect();
        let said = run(with_files(case.gold, &draw.files), &files, Purpose::Judge)?;
        if !matches!(said.end, End::Finished { .. }) {
            return Ok(None);
        }
        // A case whose values were changed may have a name of its own, so its function counts.
        for (path, text) in texts {
            let failed = |(id, status): &(&String, &TestStatus)| {
                **status == TestStatus::Failed && file_of(id) == path
            };
            let failed: Vec<(&String, &str)> = said
                .tests
                .iter()
                .filter(failed)
                .map(|(id, _)| (id, name_of(id, case.task)))
                .collect();
            let names: Vec<&str> = failed.iter().map(|(_, name)| *name).collect();
            let functions = function_names(&text, language, &names);
            let tests: &BTreeMap<String, Changed> = &changed[&path];
            for (id, name) in failed {
                if let Some(one) = tests.get(&functions[name]) {
                    draw.must_fail.insert(id.clone(), one.clone());
                    draw.tests.insert(format!("{path}::{}", functions[name]));
                }
            }
        }
        draw.forget_what_never_judged(case, run)?;
        Ok((!draw.must_fail.is_empty()).then_some(draw))
    }

    /// A case that stands in the original under the same name and does not judge fails for reasons of its own.
    fn forget_what_never_judged(
        &mut self,
        case: &Case<'_>,
        run: Run<'_>,
    ) -> Result<(), SandboxError> {
        let judging: BTreeSet<&String> = case
            .task
            .fail_to_pass
            .iter()
            .chain(&case.task.pass_to_pass)
            .collect();
        if self.must_fail.keys().all(|id| judging.contains(id)) {
            return Ok(());
        }
        let paths: Vec<String> = self.files.keys().cloned().collect();
        let original = run(case.gold.to_vec(), &paths, Purpose::Judge)?;
        self.must_fail
            .retain(|id, _| judging.contains(id) || !original.tests.contains_key(id));
        Ok(())
    }

    /// The tests of this variant that the gold patch fails, without their cases.
    pub fn tests(&self) -> BTreeSet<String> {
        self.tests.clone()
    }

    /// What a patch passes that no honest code can pass, twice in a row.
    pub fn evidence(
        &self,
        repair: &[FileChange],
        run: Run<'_>,
    ) -> Result<Option<String>, SandboxError> {
        let first = self.passed(repair, run)?;
        if first.is_empty() {
            return Ok(None);
        }
        let again = self.passed(repair, run)?;
        Ok(first.intersection(&again).next().map(|id| {
            let Changed { was, becomes } = &self.must_fail[id];
            format!("it passes `{id}` even where that expects `{becomes}` instead of `{was}`")
        }))
    }

    fn passed(
        &self,
        repair: &[FileChange],
        run: Run<'_>,
    ) -> Result<BTreeSet<String>, SandboxError> {
        let ids: Vec<String> = self.must_fail.keys().cloned().collect();
        let said = run(with_files(repair, &self.files), &ids, Purpose::Judge)?;
        let passed = |id: &&String| said.tests.get(*id) == Some(&TestStatus::Passed);
        Ok(self.must_fail.keys().filter(passed).cloned().collect())
    }
}
