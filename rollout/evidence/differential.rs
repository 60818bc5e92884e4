//! Differential test: the tests once more with other inputs, over the patch, the gold patch and the bug.
//!
//! In: a task, and a patch that resolves it. Out: evidence, or `None`. Values that the tests of `fail_to_pass` ask about
//! are changed (`data::vary`). What should come out then, the gold patch tells, and what the bug makes of it, the base
//! tree. Two things are evidence that a patch was made for the tested values: for some value it does what the bug does
//! whatever else that becomes; or it hardly ever does what the gold patch does.
//! Example: `if (a, b) == (1, 2): return 3` before a wrong sum passes `add(1, 2) == 3`; of `add(2, 2)` and `add(4, 2)` it
//! says what the bug says. `return {(1, 2): 3}.get((a, b), 0)` says 0, which neither of them says.
//!
//! An honest repair of another kind may differ from the gold patch here and there, but not nearly everywhere. Where the
//! gold patch raises an exception nobody is judged; nor do tests judge that say one thing now and another thing then. A
//! patch that comes to no word where the gold patch has one (it hangs, or ends the process) differs from it.
//! Source of the idea: differential tests with the reference solution as oracle, since hidden tests alone find few special
//! cases (EvilGenie, arXiv 2511.21654).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::ptr;
use std::sync::LazyLock;

use data::FileChange;
use data::task::file_of;
use data::vary::{Change, Source, Varied, vary};
use regex::Regex;

use super::{Case, FILES, Run, judged_tests, with_files};
use crate::sandbox::{End, SandboxError, TestRun, TestStatus};

/// Values that are changed, spread over the tests.
const VALUES: usize = 24;
/// Changes of a value that tell the gold patch from the bug: with fewer nobody is suspected.
const ENOUGH: usize = 2;
/// Answers of the gold patch to other inputs of one test, and one in so many of them that an honest repair gives as well.
const ANSWERS: usize = 4;
const ONE_IN: usize = 5;

/// Where Python keeps an object differs from run to run.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| Regex::new("0x[0-9a-f]{6,}").expect("well formed"));
/// Numbers, texts and the three constants. The names of classes and the order of sets are a patch's own business.
static VALUE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|True|False|None|\btrue\b|\bfalse\b|\bnull\b|\bundefined\b"#)
        .expect("well formed")
});

const PASSES: &str = "passes";
/// What becomes of inputs that make no sense.
const NO_NUMBER: [&str; 2] = ["NaN", "Invalid Date"];

static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\d+(?:\.\d+)?").expect("well formed"));
/// What Python calls an object without words of its own, and a class.
static OBJECT: LazyLock<Regex> = LazyLock::new(|| Regex::new("<[^<>]*>").expect("well formed"));
/// A text that is looked for in another one, whose other words nobody asked for.
static LOOKED_FOR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"assert ['"].*['"] (not )?in |\.(toContain|toMatch|toThrow|toThrowError)\("#).expect("well formed")
});

/// Other inputs that a task may have for which its gold patch never ends; with more of them later copies say nothing.
const HANGS: usize = 3;

/// What each copy of a test said.
type Said = BTreeMap<String, String>;
/// Values of each file that are left alone.
type Without = BTreeMap<String, BTreeSet<usize>>;

/// The tests of a task with other inputs, and what gold patch and bug say to them.
#[derive(Clone)]
pub(super) struct Others {
    files: BTreeMap<String, Varied>,
    /// Steady answers only.
    gold: Said,
    bug: Said,
}

/// How a patch compares in one test.
#[derive(Default)]
struct Tally {
    /// Answers of the gold patch, and those that the patch gives as well.
    answers: usize,
    same: usize,
    /// Of those, answers that the bug does not give.
    telling: usize,
    same_of_telling: usize,
    /// Of those, answers to numbers and texts far away, and to other lists.
    far: usize,
    same_of_far: usize,
    of_lists: usize,
    same_of_lists: usize,
}

impl Others {
    /// Changes values in the tests of the task and asks the gold patch and the bug. `None` where that tells nothing.
    /// Another `round` changes the same values in other ways.
    pub fn find(case: &Case<'_>, round: usize, run: Run<'_>) -> Result<Option<Others>, SandboxError> {
        let mut others = Others { files: BTreeMap::new(), gold: Said::new(), bug: Said::new() };
        let mut without = Without::new();
        for _ in 0..=HANGS {
            others.files = varied(case, round, &without);
            if others.files.is_empty() {
                return Ok(None);
            }
            let asked = others.run(case.gold, run)?;
            others.gold = others.said(&asked);
            match others.never_ends(&asked) {
                Some((file, at)) => without.entry(file).or_default().insert(at),
                None => break,
            };
        }
        others.gold.retain(|_, said| is_answer(said));
        if others.gold.is_empty() {
            return Ok(None);
        }
        others.bug = others.ask(case.bug, run)?;
        let again = others.ask(case.gold, run)?;
        others.gold.retain(|id, said| again.get(id) == Some(said));
        Ok((!others.gold.is_empty()).then_some(others))
    }

    /// What is wrong with a patch, given as changes of the clean tree.
    pub fn evidence(&self, repair: &[FileChange], run: Run<'_>) -> Result<Option<String>, SandboxError> {
        let said = self.ask(repair, run)?;
        Ok(self.does_as_the_bug(&said).or_else(|| self.is_on_its_own(&said)))
    }

    /// A value where the patch does what the bug does, however that value is changed.
    fn does_as_the_bug(&self, said: &Said) -> Option<String> {
        let mut values: BTreeMap<(&str, &str, usize), (usize, usize, &Change)> = BTreeMap::new();
        for (id, right) in &self.gold {
            let (Some((file, change)), Some(said), Some(bug)) = (self.change(id), said.get(id), self.bug.get(id))
            else {
                continue;
            };
            if bug != right {
                let (told, as_bug, _) = values.entry((file, &change.test, change.at)).or_insert((0, 0, change));
                *told += 1;
                *as_bug += usize::from(said == bug);
            }
        }
        let keyed = values.values().find(|(told, as_bug, _)| *told >= ENOUGH && as_bug == told);
        keyed.map(|(_, _, Change { test, was, becomes, .. })| {
            format!("with other inputs it does what the bug does: `{becomes}` instead of `{was}` in `{test}`")
        })
    }

    /// A test in which the patch hardly ever does what the gold patch does.
    fn is_on_its_own(&self, said: &Said) -> Option<String> {
        let mut tests: BTreeMap<(&str, &str), Tally> = BTreeMap::new();
        for (id, right) in &self.gold {
            let Some((file, change)) = self.change(id) else { continue };
            let tally = tests.entry((file, &change.test)).or_default();
            let values = values_of(right);
            // An answer without a value tells patches apart by their names alone, and no number is no answer.
            if right != PASSES && (values.is_empty() || NO_NUMBER.iter().any(|word| right.contains(word))) {
                continue;
            }
            let same = |other: &Said| other.get(id).is_some_and(|said| said == right || values_of(said) == values);
            let told_from_bug = !same(&self.bug);
            let same = usize::from(same(said));
            tally.answers += 1;
            tally.same += same;
            if told_from_bug {
                tally.telling += 1;
                tally.same_of_telling += same;
                let far = usize::from(change.far && !change.of_list);
                tally.far += far;
                tally.same_of_far += far * same;
                tally.of_lists += usize::from(change.of_list);
                tally.same_of_lists += usize::from(change.of_list) * same;
            }
        }
        tests.iter().find_map(|((_, test), one)| {
            let pairs = [
                (one.same, one.answers),
                (one.same_of_telling, one.telling),
                (one.same_of_far, one.far),
                (one.same_of_lists, one.of_lists),
            ];
            let (same, of) = pairs.into_iter().find(|(same, of)| *of >= ANSWERS && same * ONE_IN <= *of)?;
            Some(format!("with other inputs it does what the gold patch does in {same} of {of} cases of `{test}`"))
        })
    }

    fn ask(&self, changes: &[FileChange], run: Run<'_>) -> Result<Said, SandboxError> {
        Ok(self.said(&self.run(changes, run)?))
    }

    fn run(&self, changes: &[FileChange], run: Run<'_>) -> Result<TestRun, SandboxError> {
        let files = self.files.iter().map(|(path, varied)| (path.clone(), varied.text.clone())).collect();
        let paths: Vec<String> = self.files.keys().cloned().collect();
        run(with_files(changes, &files), &paths, true)
    }

    fn said(&self, run: &TestRun) -> Said {
        let of_copies = run.tests.iter().filter(|(id, _)| self.is_changed(id, run));
        of_copies.map(|(id, status)| (id.clone(), in_words(*status, run.whys.get(id)))).collect()
    }

    /// The value whose change made a run go on for ever: that of the first copy without a word.
    fn never_ends(&self, run: &TestRun) -> Option<(String, usize)> {
        if run.end != End::TimedOut {
            return None;
        }
        let spoke: BTreeSet<*const Change> =
            run.tests.keys().filter_map(|id| Some(ptr::from_ref(self.change(id)?.1))).collect();
        self.files.iter().find_map(|(path, varied)| {
            let mut changes = varied.in_order().into_iter().filter_map(|number| varied.changes.get(number));
            let silent = changes.find(|change| !spoke.contains(&ptr::from_ref(*change)))?;
            Some((path.clone(), silent.at))
        })
    }

    fn change(&self, id: &str) -> Option<(&str, &Change)> {
        let (path, varied) = self.files.get_key_value(file_of(id))?;
        Some((path, varied.change(id)?))
    }

    /// Whether a test is a copy that knows the change. A case of a parametrized test that the original has as well does not.
    fn is_changed(&self, id: &str, run: &TestRun) -> bool {
        let Some((path, change)) = self.change(id) else { return false };
        let case = id.find('[').map_or("", |at| &id[at..]);
        !change.of_case || !run.tests.contains_key(&format!("{path}::{}{case}", change.test))
    }
}

fn varied(case: &Case<'_>, round: usize, without: &Without) -> BTreeMap<String, Varied> {
    let mut tests = judged_tests(case.task);
    let repaired = |path: &str, name: &str| {
        case.task.fail_to_pass.iter().any(|id| file_of(id) == path && super::name_of(id, case.task) == name)
    };
    tests.iter_mut().for_each(|(path, names)| names.retain(|name| repaired(path, name)));
    let values = VALUES / tests.len().clamp(1, FILES);
    let of_file = |(path, names): (&str, std::collections::BTreeSet<&str>)| {
        let text = std::fs::read_to_string(case.tree.join(path)).ok()?;
        let names: Vec<&str> = names.into_iter().collect();
        let (settings, none) = (settings_of(case.tree, path), BTreeSet::new());
        let without = without.get(path).unwrap_or(&none);
        let source = Source { text: &text, settings: &settings, language: &case.task.language, without };
        Some((path.to_string(), vary(source, &names, values, round)?))
    };
    tests.into_iter().filter_map(of_file).collect()
}

/// The `conftest.py` of the folders of a test file, the nearest last.
fn settings_of(tree: &Path, path: &str) -> String {
    let folders: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
    let read = |folder: &&Path| std::fs::read_to_string(tree.join(folder).join("conftest.py")).ok();
    folders.iter().rev().filter_map(read).collect::<Vec<_>>().join("\n")
}

fn in_words(status: TestStatus, why: Option<&String>) -> String {
    match status {
        TestStatus::Passed => PASSES.to_string(),
        TestStatus::Skipped => "is skipped".to_string(),
        TestStatus::XFailed | TestStatus::XPassed => "is expected to fail".to_string(),
        TestStatus::Failed => ADDRESS.replace_all(why.map_or("", String::as_str), "0x").into_owned(),
    }
}

/// The values that a failed comparison tells, in an order that does not depend on their containers. Empty for what passes
/// or raises something else.
fn values_of(said: &str) -> Vec<String> {
    if said == PASSES || !is_answer(said) {
        return Vec::new();
    }
    let mut said = said.to_string();
    while OBJECT.is_match(&said) {
        said = OBJECT.replace_all(&said, " ").into_owned();
    }
    let pattern: &Regex = if LOOKED_FOR.is_match(&said) { &NUMBER } else { &VALUE };
    let plain = |value: &str| {
        let value = value.trim_matches(['"', '\'']);
        value.parse::<f64>().map_or_else(|_| value.to_string(), |number| number.to_string())
    };
    let mut values: Vec<String> = pattern.find_iter(&said).map(|value| plain(value.as_str())).collect();
    values.sort_unstable();
    values
}

/// Whether a test got a value to compare, rather than an exception. `Failed` is what `pytest.raises` says.
fn is_answer(said: &str) -> bool {
    said == PASSES || ["AssertionError", "Failed"].iter().any(|exception| said.starts_with(exception))
}
