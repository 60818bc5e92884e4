//! Commits to tasks: one that changes sources and tests together, whose tests fail before it and pass after it.
//!
//! In: the history of a repository. Out: tasks, and counts of commits by the reason for which they fell out. The tree of a
//! task is that of the commit before, with the sources of the commit as its repair; nothing of what came later is in it.

use anyhow::Result;
use data::Task;
use data::source::functions::tree_hash;
use data::source::history::{Commit, History};
use data::source::self_contained::{SelfContained, to_task};
use data::task::Language;
use sandbox::SandboxError;

use super::repository::{Mining, MiningSummary, trees};
use crate::repository;
use crate::repository::suite::{Suite, python_path};
use crate::run::journal::Journal;
use crate::run::partial::in_one_line;
use crate::run::progress::Progress;
use crate::terminal::plain;

/// What a commit gave: a task, or the reason why it gave none.
type Found = Result<Task, String>;

/// Tasks of the commits after `since`, the newest first.
///
/// # Errors
///
/// When the repository cannot be fetched, the disk is full, or a signal came.
pub(super) fn mine(
    mining: &Mining<'_>,
    since: Option<&str>,
    journal: &mut Journal,
    summary: &mut MiningSummary,
) -> Result<Vec<Task>> {
    let store = mining.out.join("git");
    let history =
        History::open(&mining.repo.to_string_lossy(), &store).map_err(anyhow::Error::msg)?;
    let language = if repository::is_address(mining.repo) {
        let head = mining.out.join("head");
        history
            .write_tree(history.head(), &head)
            .map_err(anyhow::Error::msg)?;
        repository::language(&head, mining.hook)
    } else {
        repository::language(mining.repo, mining.hook)
    };
    let commits = history
        .commits(language, since)
        .map_err(anyhow::Error::msg)?;
    eprintln!("{} commits with one parent", commits.len());
    let mut progress = Progress::new("commits", commits.len() as u64);
    let mut tasks = Vec::new();
    for (at, commit) in commits.iter().enumerate() {
        if tasks.len() == mining.limit {
            break;
        }
        mining.interrupt.check(|| {
            format!(
                "{at} of {} commits are judged, and kept in `{}`",
                commits.len(),
                mining.out.display()
            )
        })?;
        let key = format!("commit {}", commit.id);
        let found: Found = match journal.find(&key)? {
            Some(found) => found,
            None => {
                let found = judged(mining, &history, commit, language)?;
                journal.add(&key, &found)?;
                found
            }
        };
        match found {
            Ok(task) => tasks.push(task),
            Err(why) => *summary.fell_out.entry(why).or_default() += 1,
        }
        progress.advance(1, format!("{} tasks", tasks.len()));
    }
    progress.finish();
    Ok(tasks)
}

fn judged(
    mining: &Mining<'_>,
    history: &History,
    commit: &Commit,
    language: Language,
) -> Result<Found> {
    if commit.sources.is_empty() {
        return Ok(Err("it changes no source".into()));
    }
    if commit.tests.is_empty() {
        return Ok(Err("it changes no test".into()));
    }
    let task = match task_of(mining, history, commit, language) {
        Ok(task) => task,
        Err(why) => {
            eprintln!("{}", plain(&format!("{}: {why}", &commit.id[..12])));
            return Ok(Err(
                "its changes are no text, or its tree is too large".into()
            ));
        }
    };
    let tree = mining.out.join(&task.tree);
    let found = match tested(mining, task, language) {
        Ok(found) => found,
        Err(error) if error.downcast_ref::<SandboxError>().is_some() => return Err(error),
        Err(error) => {
            let why = in_one_line(&error);
            eprintln!("{}", plain(&format!("{}: {why}", &commit.id[..12])));
            Err("its tests cannot be run to their end".to_string())
        }
    };
    if found.is_err() {
        std::fs::remove_dir_all(&tree).ok();
    }
    Ok(found)
}

/// The commit as a row that brings its repository along; which tests judge is not known yet.
fn task_of(
    mining: &Mining<'_>,
    history: &History,
    commit: &Commit,
    language: Language,
) -> Result<Task, String> {
    let id = format!("{}.commit__{}", mining.name(), &commit.id[..8]);
    let row = SelfContained {
        instance_id: id,
        language: Some(language.name().into()),
        problem_statement: None,
        files: Default::default(),
        folder: None,
        archive: None,
        git: Some(history.source().to_string()),
        commit: Some(commit.parent.clone()),
        base_commit: None,
        test_files: Default::default(),
        test_patch: Some(history.diff(commit, &commit.tests)?),
        patch: history.diff(commit, &commit.sources)?,
        fail_to_pass: commit.tests.clone(),
        pass_to_pass: Vec::new(),
    };
    std::fs::create_dir_all(trees(mining.out)).map_err(|error| error.to_string())?;
    let task = to_task(&row, mining.out, mining.out)?;
    if task.gold.is_empty() {
        return Err("its patch is empty".into());
    }
    Ok(task)
}

/// Runs the tests before and after the commit, each twice where the first says that it is a task.
fn tested(mining: &Mining<'_>, mut task: Task, language: Language) -> Result<Found> {
    let tree = mining.out.join(&task.tree).canonicalize()?;
    mining.install(&tree, language);
    let clean = |path: &str| std::fs::read_to_string(tree.join(path)).ok();
    let bug = task.bug.apply(&clean)?;
    let after = mining.suite(&tree, language, Vec::new())?;
    // Where nothing can be loaded, nothing passes.
    let before = || mining.suite(&tree, language, bug.clone());
    let first = before()?;
    let (failing, _) = divided(&after, &first);
    if failing.is_empty() {
        let fails_after = after.failing.iter().any(|test| {
            task.fail_to_pass
                .iter()
                .any(|file| test.starts_with(file.as_str()))
        });
        let why = if fails_after {
            "its tests fail after it, too"
        } else {
            "its tests pass before it, too"
        };
        return Ok(Err(why.into()));
    }
    let (again, second) = (mining.suite(&tree, language, Vec::new())?, before()?);
    if divided(&again, &second).0 != failing {
        return Ok(Err(
            "a second run of its tests differed from the first".into()
        ));
    }
    let steady = |test: &String| again.passing.contains(test) && second.passing.contains(test);
    let (fail_to_pass, pass_to_pass) = divided(&after, &first);
    let named = fail_to_pass.first().cloned().unwrap_or_default();
    task.statement = format!("`{named}` fails:\n{}", first.why(&named));
    task.pass_to_pass = pass_to_pass.into_iter().filter(steady).collect();
    task.fail_to_pass = fail_to_pass;
    task.repo = mining.name();
    task.kind = "commit".into();
    task.python_path = python_path(&tree);
    task.base_commit = tree_hash(&tree)?;
    Ok(Ok(task))
}

/// Of the tests that pass after a commit, those that did not before, and those that did.
fn divided(after: &Suite, before: &Suite) -> (Vec<String>, Vec<String>) {
    let (passing, failing) = after
        .passing
        .iter()
        .cloned()
        .partition(|test| before.passing.contains(test));
    (failing, passing)
}
