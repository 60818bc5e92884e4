//! What a model is shown and how its answer is read: one trait, so that tries, queues and rules are written once.
//!
//! In: a [`View`] of the task. Out: the first turn of a conversation; of an answer, the files that it changes.
//! `edits` shows a repository and takes search and replace over any number of files; `line` shows the function that the
//! task points at and takes one line, for tiny models; `shell` runs commands in a work tree.

use data::edit::EditError;
use data::edit::tree::Anchor;
use data::retrieve::{Index, Related};
use data::{FileChange, Message, Role, Task};
use serde::{Deserialize, Serialize};

use super::state::WorkTree;

mod edits;
mod line;
pub mod shell;

pub use edits::Edits;
pub(crate) use edits::cut;
pub use line::Line;
pub use shell::Shell;

/// Which scaffold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaffoldKind {
    /// A repository in, search and replace out.
    #[default]
    Edits,
    /// The function that the task points at in, one line out.
    Line,
    /// A shell in a work tree, until the model submits.
    Shell,
}

impl ScaffoldKind {
    /// The scaffold itself.
    pub fn scaffold(self) -> &'static dyn Scaffold {
        match self {
            ScaffoldKind::Edits => &Edits,
            ScaffoldKind::Line => &Line,
            ScaffoldKind::Shell => &Shell,
        }
    }
}

/// What is known when a conversation begins.
pub struct View<'a> {
    /// The task.
    pub task: &'a Task,
    /// The files as they are now.
    pub tree: &'a WorkTree,
    /// All files of the repository.
    pub index: &'a Index,
    /// The most related files, the first first.
    pub related: &'a [Related],
    /// Files that have to be shown, whatever is related.
    pub wanted: &'a [String],
    /// What the latest tests said, and what rules add.
    pub notes: &'a [String],
    /// Tokens that the turn may have.
    pub budget: usize,
    /// How many tokens a text has.
    pub tokens: &'a dyn Fn(&str) -> usize,
}

/// Why an answer changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It holds no edit.
    NoEdit(String),
    /// An edit does not fit its file.
    DoesNotFit(EditError, Option<String>),
    /// It leads to what is there already.
    NoChange,
}

/// What a model is shown and how its answer is read.
pub trait Scaffold: Sync {
    /// As configs and records name it.
    fn name(&self) -> &'static str;

    /// Whether it shows what the task points at (oracle localization).
    fn uses_focus(&self) -> bool;

    /// Whether what the tests say is the next turn. Else every try stands alone and starts from the passing state.
    fn converses(&self) -> bool;

    /// Whether a try goes on from the tree as the one before left it.
    fn keeps_tree(&self) -> bool {
        self.converses()
    }

    /// The first turn.
    ///
    /// # Errors
    ///
    /// In words, when not even the least of it fits into the budget, or a file is missing.
    fn open(&self, view: &View<'_>) -> Result<String, String>;

    /// The files that an answer changes, as they are then.
    ///
    /// # Errors
    ///
    /// When it changes nothing.
    fn read(
        &self,
        answer: &str,
        task: &Task,
        tree: &WorkTree,
        anchor: Anchor,
    ) -> Result<Vec<FileChange>, Unread>;

    /// The form of an answer in few words.
    fn reminder(&self) -> String;
}

/// A conversation: it begins with what the scaffold shows, and goes on with what the tests say.
#[derive(Clone, Debug, Default)]
pub struct Talk(Vec<Message>);

impl Talk {
    /// What was said.
    pub fn messages(&self) -> &[Message] {
        &self.0
    }

    /// True before the first turn.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets what was said.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Another turn of the one who asks.
    pub fn ask(&mut self, text: String) {
        self.0.push(Message::new(Role::User, text));
    }

    /// Says the last turn in other words.
    pub fn replace_last(&mut self, text: String) {
        if let Some(last) = self.0.last_mut() {
            last.content = text;
        }
    }

    /// The answer to it.
    pub fn answered(&mut self, text: String) {
        self.0.push(Message::new(Role::Assistant, text));
    }
}
