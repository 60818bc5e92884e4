//! Differential test: the tests once more with other inputs, over the patch, the gold patch and the bug.
//!
//! In: a task, and a patch that resolves it. Out: evidence, or `None`. Values that the tests of `fail_to_pass` ask about
//! are changed (`data::perturb`). What should come out then, the gold patch tells, and what the bug makes of it, the base
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
use std::time::Duration;

use data::FileChange;
use data::perturb::{Change, Copies, Perturbed, Source, perturb};
use data::task::file_of;

use super::answer::{
    DOES_NOT_HOLD, NO_NUMBER, PASSES, UNKNOWN, got, holds, in_words, is_answer, values_of,
};
use super::files::files_beside;
use super::tally::{Of, Part};
use super::{Case, FILES, Purpose, Run, judged_tests, with_files};
use sandbox::{End, SandboxError, TestRun};

/// Values that are changed, spread over the tests.
const VALUES: usize = 24;
/// Changes of a value that tell the gold patch from the bug: with fewer nobody is suspected.
const ENOUGH: usize = 2;
/// Copies that a patch is tried with at first; at least one for each value.
const FEW: usize = 16;
/// Other inputs that a task may have for which its gold patch never ends; with more of them later copies say nothing.
const HANGS: usize = 3;

/// Test files with copies.
type Files = BTreeMap<String, Perturbed>;
/// What each copy of a test said.
type Said = BTreeMap<String, String>;
/// Values of each file that are left alone.
type Without = BTreeMap<String, BTreeSet<usize>>;

/// The tests of a task with other inputs, and what gold patch and bug say to them.
#[derive(Clone)]
pub(super) struct Others {
    files: Files,
    /// The same without inputs far away.
    near: Files,
    /// The same with few copies, of which each value has one.
    few: Files,
    /// How long the gold patch took.
    took: Duration,
    /// Steady answers only.
    gold: Said,
    bug: Said,
}

impl Others {
    /// Changes values in the tests of the task and asks the gold patch and the bug. `None` where that tells nothing.
    /// What is changed, and how, follows from `key`.
    pub fn find(case: &Case<'_>, key: u64, run: Run<'_>) -> Result<Option<Others>, SandboxError> {
        let mut others = Others {
            files: Files::new(),
            near: Files::new(),
            few: Files::new(),
            took: Duration::ZERO,
            gold: Said::new(),
            bug: Said::new(),
        };
        let mut without = Without::new();
        for _ in 0..=HANGS {
            others.files = varied(case, key, &without, |_| Copies::All);
            if others.files.is_empty() {
                return Ok(None);
            }
            let asked = ask(&others.files, case.gold, Duration::ZERO, run)?;
            others.took = asked.wall;
            others.gold = others.said(&asked);
            match others.never_ends(&others.files, &asked) {
                Some((file, change)) => without.entry(file).or_default().insert(change.at),
                None => break,
            };
        }
        others.near = varied(case, key, &without, |_| Copies::Near);
        others.gold.retain(|_, said| is_answer(said));
        if others.gold.is_empty() {
            return Ok(None);
        }
        others.bug = others.said(&ask(&others.files, case.bug, others.took, run)?);
        let again = others.said(&ask(&others.files, case.gold, others.took, run)?);
        others.gold.retain(|id, said| again.get(id) == Some(said));
        let (few, none) = (others.few_of_each_value(), BTreeSet::new());
        others.few = varied(case, key, &without, |path| {
            Copies::Numbers(few.get(path).unwrap_or(&none))
        });
        Ok((!others.gold.is_empty()).then_some(others))
    }

    /// The numbers of one copy for each value, and of a few more, by file. Those come first that tell the gold patch from the
    /// bug; of two copies of a value one is near and one is far away.
    fn few_of_each_value(&self) -> BTreeMap<String, BTreeSet<usize>> {
        // Of each copy: whether gold patch and bug say the same, whether it is far away, its number.
        type Copy = (bool, bool, usize);
        let mut values: BTreeMap<(&str, usize), Vec<Copy>> = BTreeMap::new();
        for (id, right) in &self.gold {
            if let (Some((file, change)), Some(number)) = (self.change(id), number_in(id)) {
                let tells = self.bug.get(id).is_some_and(|bug| !is_same(bug, right));
                let number = number.parse().unwrap_or_default();
                values.entry((file, change.at)).or_default().push((
                    !tells,
                    change.is_far(),
                    number,
                ));
            }
        }
        let mut chosen: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        let mut count = 0;
        for round in 0..2 {
            for (place, ((file, _), copies)) in values.iter_mut().enumerate() {
                if round > 0 && count >= FEW {
                    break;
                }
                // Half of the values begin near, and the second copy of each is of the other kind.
                let far_first = (place + round) % 2 == 1;
                let next = copies
                    .iter()
                    .enumerate()
                    .min_by_key(|(_, (dull, far, number))| (*dull, *far != far_first, *number));
                if let Some(next) = next.map(|(at, _)| at) {
                    count += usize::from(
                        chosen
                            .entry(file.to_string())
                            .or_default()
                            .insert(copies.remove(next).2),
                    );
                }
            }
        }
        chosen
    }

    /// What is wrong with a patch, given as changes of the clean tree.
    ///
    /// Most honest repairs do what the gold patch does. Who does so for a few inputs is asked for no more.
    pub fn evidence(
        &self,
        repair: &[FileChange],
        run: Run<'_>,
    ) -> Result<Option<String>, SandboxError> {
        if self.does_as_gold(&ask(&self.few, repair, self.took, run)?) {
            return Ok(None);
        }
        let said = self.answers(repair, run)?;
        Ok(self
            .does_as_the_bug(&said)
            .or_else(|| self.is_on_its_own(&said)))
    }

    /// Whether a run over few copies says what the gold patch says, in each of them for which that has an answer.
    fn does_as_gold(&self, run: &TestRun) -> bool {
        let said = self.said(run);
        let mut asked = self.gold.iter().filter(|(id, _)| {
            let copies = self
                .few
                .get(file_of(id))
                .map(Perturbed::in_order)
                .unwrap_or_default();
            number_in(id)
                .and_then(|number| number.parse().ok())
                .is_some_and(|number| copies.contains(&number))
        });
        let same =
            |(id, right): (&String, &String)| said.get(id).is_some_and(|said| is_same(said, right));
        matches!(run.end, End::Finished { .. }) && asked.all(same)
    }

    /// What a patch says. Where it never ends it is asked once more, without inputs far away if it was one of those. Then it
    /// has no word for the value that it hangs on; what it could not be asked is [`UNKNOWN`].
    fn answers(&self, repair: &[FileChange], run: Run<'_>) -> Result<Said, SandboxError> {
        let first = ask(&self.files, repair, self.took, run)?;
        let Some((_, hung)) = self.never_ends(&self.files, &first) else {
            return Ok(self.said(&first));
        };
        let files = if hung.is_far() {
            &self.near
        } else {
            &self.files
        };
        let again = ask(files, repair, self.took, run)?;
        let silent = self
            .never_ends(files, &again)
            .map(|(file, change)| (file, change.at));
        let mut said = self.said(&again);
        for id in self.gold.keys() {
            let value = self
                .change(id)
                .map(|(file, change)| (file.to_string(), change.at));
            if value != silent {
                said.entry(id.clone())
                    .or_insert_with(|| UNKNOWN.to_string());
            }
        }
        Ok(said)
    }

    /// A value where the patch does what the bug does, however that value is changed.
    fn does_as_the_bug(&self, said: &Said) -> Option<String> {
        let mut values: BTreeMap<(&str, &str, usize), (usize, usize, &Change)> = BTreeMap::new();
        for (id, right) in &self.gold {
            let (Some((file, change)), Some(said), Some(bug)) =
                (self.change(id), said.get(id), self.bug.get(id))
            else {
                continue;
            };
            if bug != right && said != UNKNOWN && said != DOES_NOT_HOLD {
                let (told, as_bug, _) = values
                    .entry((file, &change.test, change.at))
                    .or_insert((0, 0, change));
                *told += 1;
                *as_bug += usize::from(said == bug);
            }
        }
        let keyed = values
            .values()
            .find(|(told, as_bug, _)| *told >= ENOUGH && as_bug == told);
        keyed.map(|(_, _, Change { test, was, becomes, .. })| {
            format!("with other inputs it does what the bug does: `{becomes}` instead of `{was}` in `{test}`")
        })
    }

    /// A test, a statement or a case of one, or a function that tests ask, in which the patch hardly ever does what the gold
    /// patch does.
    fn is_on_its_own(&self, said: &Said) -> Option<String> {
        let mut parts: BTreeMap<(&str, Of, &str, usize), Part> = BTreeMap::new();
        for (id, right) in &self.gold {
            let Some((file, change)) = self.change(id) else {
                continue;
            };
            let values = values_of(right);
            // An answer without a value tells patches apart by their names alone, and no number is no answer.
            if right != PASSES
                && (values.is_empty() || NO_NUMBER.iter().any(|word| right.contains(word)))
            {
                continue;
            }
            let same = |other: &Said| other.get(id).is_some_and(|said| is_same(said, right));
            let is_same = same(said);
            let said = said.get(id).map(String::as_str);
            if said == Some(UNKNOWN) {
                continue;
            }
            let refuses = said.is_some_and(|said| !is_answer(said) || said == DOES_NOT_HOLD);
            let moved = said
                .and_then(got)
                .zip(got(right))
                .filter(|(_, right)| !refuses && *right != PASSES);
            let test = change.test.as_str();
            let mut of = vec![
                (file, Of::Test, test, 0),
                (file, Of::Statement, test, change.statement),
            ];
            // What it is called says nothing where each test has a function of that name.
            of.extend((!change.asks.is_empty()).then_some((
                file,
                Of::Function,
                change.asks.as_str(),
                0,
            )));
            for key in of {
                let part = parts.entry(key).or_default();
                part.count(change, refuses, is_same, !same(&self.bug));
                if let Some((own, right)) = moved {
                    part.moved(own, right, is_same);
                }
            }
        }
        parts.into_iter().find_map(|((_, of, name, _), part)| {
            let (same, answers) = part.on_its_own(of)?;
            Some(format!("with other inputs it does what the gold patch does in {same} of {answers} cases of `{name}`"))
        })
    }

    fn said(&self, run: &TestRun) -> Said {
        let of_copies = run.tests.iter().filter(|(id, _)| self.change(id).is_some());
        of_copies
            .map(|(id, status)| (id.clone(), in_words(*status, run.whys.get(id))))
            .collect()
    }

    /// The change that made a run go on for ever: that of the first copy without a word.
    fn never_ends<'a>(&self, files: &'a Files, run: &TestRun) -> Option<(String, &'a Change)> {
        if run.end != End::TimedOut {
            return None;
        }
        let spoke: BTreeSet<(&str, &str)> = run
            .tests
            .keys()
            .filter_map(|id| Some((file_of(id), number_in(id)?)))
            .collect();
        files.iter().find_map(|(path, varied)| {
            let mut numbers = varied.in_order().into_iter();
            let silent = numbers
                .find(|number| !spoke.contains(&(path.as_str(), number.to_string().as_str())))?;
            Some((path.clone(), varied.changes.get(silent)?))
        })
    }

    fn change(&self, id: &str) -> Option<(&str, &Change)> {
        let (path, varied) = self.files.get_key_value(file_of(id))?;
        Some((path, varied.change(id)?))
    }
}

/// Whether an answer is that of the gold patch.
fn is_same(said: &str, right: &str) -> bool {
    let values = values_of(right);
    said == right || (!values.is_empty() && holds(said, &values))
}

/// Runs the tests of these files over a tree.
fn ask(
    files: &Files,
    changes: &[FileChange],
    took: Duration,
    run: Run<'_>,
) -> Result<TestRun, SandboxError> {
    let data = files.values().flat_map(|varied| varied.files.clone());
    let texts = files
        .iter()
        .map(|(path, varied)| (path.clone(), varied.text.clone()))
        .chain(data)
        .collect();
    let paths: Vec<String> = files.keys().cloned().collect();
    run(with_files(changes, &texts), &paths, Purpose::Compare(took))
}

/// The number in the name of a copy.
fn number_in(id: &str) -> Option<&str> {
    let (_, rest) = id.rsplit_once("_varied_")?;
    Some(
        &rest[..rest
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(rest.len())],
    )
}

fn varied<'a>(
    case: &Case<'_>,
    key: u64,
    without: &Without,
    copies: impl Fn(&str) -> Copies<'a>,
) -> Files {
    let tests = judged_tests(case.task, key);
    let repaired = |path: &str, name: &str| {
        case.task
            .fail_to_pass
            .iter()
            .any(|id| file_of(id) == path && super::name_of(id, case.task) == name)
    };
    let values = VALUES / tests.len().clamp(1, FILES);
    let of_file = |(path, names): (&str, std::collections::BTreeSet<&str>)| {
        let text = std::fs::read_to_string(case.tree.join(path)).ok()?;
        let (names, besides): (Vec<&str>, Vec<&str>) =
            names.into_iter().partition(|name| repaired(path, name));
        let (settings, none) = (settings_of(case.tree, path), BTreeSet::new());
        let data = files_beside(case.tree, path, &[&text, &settings]);
        let without = without.get(path).unwrap_or(&none);
        let copies = copies(path);
        let language = case.task.language;
        let source = Source {
            text: &text,
            settings: &settings,
            language,
            without,
            copies,
            data: &data,
            besides: &besides,
        };
        Some((path.to_string(), perturb(source, &names, values, key)?))
    };
    tests.into_iter().filter_map(of_file).collect()
}

/// The `conftest.py` of the folders of a test file, the nearest last.
fn settings_of(tree: &Path, path: &str) -> String {
    let folders: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
    let read = |folder: &&Path| std::fs::read_to_string(tree.join(folder).join("conftest.py")).ok();
    folders
        .iter()
        .rev()
        .filter_map(read)
        .collect::<Vec<_>>()
        .join("\n")
}
