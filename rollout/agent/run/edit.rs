//! What an answer makes of the tree, and what the tests say about that.

use std::time::Duration;

use data::edit::tree::Anchor;
use data::{FileChange, Patch};

use super::{Agent, AgentError, Try, Working};
use crate::agent::check::Checked;
use crate::agent::scaffold::Unread;
use crate::agent::state::WorkTree;
use crate::agent::writer::Written;
use crate::outcome::Status;

/// Why an answer made no edit.
pub(super) enum Refused {
    Truncated,
    Unread(Unread),
    /// All of it is about files that judge.
    Guarded(Vec<String>),
}

impl Agent<'_> {
    /// The candidate without the files that the tests do not need; the candidate stands where the tests need all of them.
    pub(super) fn without_needless_files(
        &self,
        working: &Working,
        candidate: Patch,
    ) -> Result<Patch, AgentError> {
        let mut kept = candidate;
        for path in kept
            .paths()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
        {
            let (smaller, _) = kept.without(&|one| one == path);
            let mut tree = working.tree.clone();
            if smaller.is_empty() || tree.set(&smaller).is_err() {
                continue;
            }
            let best = self.task.fail_to_pass.len();
            let checked =
                self.checker
                    .check(self.root, self.task, &tree, &smaller, best, working.apart)?;
            if checked.status == Status::Pass && checked.suspicion.is_none() {
                kept = smaller;
            }
        }
        Ok(kept)
    }

    /// Makes the edits of an answer, without those of files that judge, which are named.
    pub(super) fn edit(
        &self,
        written: &Written,
        anchor: Anchor,
        tree: &mut WorkTree,
    ) -> Result<Vec<String>, Refused> {
        if written.stop.is_truncated() {
            return Err(Refused::Truncated);
        }
        let changes = self
            .scaffold()
            .read(&written.text, self.task, tree, anchor)
            .map_err(Refused::Unread)?;
        self.make(changes, tree)
    }

    /// Makes the edits of a try in a shell again, as far as they go.
    pub(super) fn again(&self, known: &Try, tree: &mut WorkTree) -> Result<Vec<String>, Refused> {
        tree.set(&known.patch)
            .map_err(|error| Refused::Unread(Unread::DoesNotFit(error, None)))?;
        Ok(known.guarded.clone())
    }

    /// Makes changes, without those of files that judge, which are named.
    pub(super) fn make(
        &self,
        changes: Vec<FileChange>,
        tree: &mut WorkTree,
    ) -> Result<Vec<String>, Refused> {
        if changes.is_empty() {
            return Err(Refused::Unread(Unread::NoChange));
        }
        let of = |change: &FileChange| {
            Patch::change(
                &change.path,
                tree.read(&change.path).as_deref(),
                change.content.as_deref(),
            )
        };
        let judged = |change: &FileChange| !self.task.judged(&of(change)).1.is_empty();
        let (guarded, kept): (Vec<FileChange>, Vec<FileChange>) =
            changes.into_iter().partition(judged);
        let guarded: Vec<String> = guarded.into_iter().map(|change| change.path).collect();
        if kept.is_empty() {
            return Err(Refused::Guarded(guarded));
        }
        let before = tree.checkpoint();
        tree.edit(kept);
        if let Err(error) = tree.patch() {
            tree.roll_back(&before);
            return Err(Refused::Unread(Unread::DoesNotFit(error, None)));
        }
        Ok(guarded)
    }

    /// What the tests say about the edits; nothing runs for an answer that made none.
    pub(super) fn judged(
        &self,
        edited: &Result<Vec<String>, Refused>,
        patch: &Patch,
        best: usize,
        working: &Working,
    ) -> Result<(Checked, Vec<String>), AgentError> {
        let guarded = match edited {
            Ok(guarded) | Err(Refused::Guarded(guarded)) => guarded.clone(),
            Err(Refused::Truncated | Refused::Unread(_)) => Vec::new(),
        };
        let status = match edited {
            Ok(_) => None,
            Err(Refused::Truncated) => Some(Status::Truncated),
            Err(Refused::Guarded(_) | Refused::Unread(Unread::NoEdit(_) | Unread::NoChange)) => {
                Some(Status::NoPatch)
            }
            Err(Refused::Unread(Unread::DoesNotFit(..))) => Some(Status::NotApplied),
        };
        let checked = match status {
            None => self.checker.check(
                self.root,
                self.task,
                &working.tree,
                patch,
                best,
                working.apart,
            )?,
            Some(status) => unrun(status),
        };
        Ok((checked, guarded))
    }
}

/// What is known of a try whose edits were never made. Nothing passes that did not run.
fn unrun(status: Status) -> Checked {
    Checked {
        status,
        passing: 0,
        ran: Vec::new(),
        broken: false,
        failure: None,
        output: String::new(),
        suspicion: None,
        wall: Duration::ZERO,
        failed_at: None,
    }
}
