//! Rules that help the tries of the queue `Rescue` (R6): data in a file, no code per rule.
//!
//! In: what became of the try before. Out: what the next turn is told, and what is done before it.
//! Example: `NameError: name 'Amount' is not defined`, where `money/amount.py` defines it, becomes "`Amount` is defined in
//! `money/amount.py`, line 1: import it".

use std::collections::BTreeMap;

use data::retrieve::Index;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::state::WorkTree;
use crate::outcome::Status;

mod found;
pub mod requirements;

use found::{Found, found};

/// Rules that speak for one try at most: more would bury what the tests say.
const AT_ONCE: usize = 2;

/// When a rule may speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Whenever its pattern is found.
    #[default]
    Always,
    /// The requirements of the repository name `{module}`, and there is a wheel cache.
    Declared,
    /// The repository has `{module}` under another path.
    Module,
    /// The repository defines `{name}`.
    Defined,
    /// The repository defines a name like `{name}`.
    Similar,
    /// The repository has a file with the name of `{file}`.
    File,
}

/// What a rule does besides what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing.
    #[default]
    Say,
    /// The file that was found is in the next turn.
    Show,
    /// A package is installed from the wheel cache.
    Install,
    /// Each target test runs alone.
    Apart,
    /// Edits are anchored up to indentation.
    Loose,
    /// The tree goes back to the passing state.
    RollBack,
}

/// One rule as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Unique in its file.
    pub name: String,
    /// Statuses of a try that it looks at.
    pub on: Vec<Status>,
    /// A regular expression over what the tests or the edits said; empty for none.
    #[serde(default)]
    pub pattern: String,
    /// When it may speak.
    #[serde(default)]
    pub condition: Condition,
    /// What it does.
    #[serde(default)]
    pub action: Action,
    /// How often it speaks for one task.
    pub limit: u32,
    /// What it says in the next turn.
    pub say: String,
}

/// A file of rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesConfig {
    /// In the order in which they are tried.
    #[serde(default)]
    pub rule: Vec<RuleConfig>,
}

/// A file of rules that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The pattern of a rule is no regular expression.
    #[error("the pattern of the rule `{name}` cannot be read: {source}")]
    Pattern {
        /// The rule.
        name: String,
        /// What is wrong with it.
        source: Box<regex::Error>,
    },
    /// Two rules of one name.
    #[error("two rules are named `{0}`")]
    Twice(String),
    /// A rule never speaks.
    #[error("the rule `{0}` never speaks: its `limit` is 0, or it has no status in `on`")]
    Never(String),
}

/// Rules, ready to be asked.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<(RuleConfig, Option<Regex>)>,
}

/// What a rule looks at.
pub struct Case<'a> {
    /// How the try ended.
    pub status: Status,
    /// What the tests or the edits said.
    pub said: &'a str,
    /// The lines that are most like those that an edit searched for.
    pub near: Option<&'a str>,
    /// The form of an answer.
    pub form: &'a str,
    /// The files as they are now.
    pub tree: &'a WorkTree,
    /// What the repository defines.
    pub index: &'a Index,
    /// Whether packages can be installed.
    pub installs: bool,
}

/// A rule that speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Help {
    /// Its name.
    pub rule: String,
    /// What it does.
    pub action: Action,
    /// What the next turn is told.
    pub note: String,
    /// The file that was found.
    pub path: Option<String>,
    /// The requirement that is installed.
    pub requirement: Option<String>,
}

impl Rules {
    /// Rules as they are written.
    ///
    /// # Errors
    ///
    /// When a pattern cannot be read, a name stands twice, or a rule never speaks.
    pub fn new(config: RulesConfig) -> Result<Rules, RuleError> {
        let mut rules: Vec<(RuleConfig, Option<Regex>)> = Vec::with_capacity(config.rule.len());
        for rule in config.rule {
            if rules.iter().any(|(other, _)| other.name == rule.name) {
                return Err(RuleError::Twice(rule.name));
            }
            if rule.limit == 0 || rule.on.is_empty() {
                return Err(RuleError::Never(rule.name));
            }
            let pattern = Some(rule.pattern.as_str())
                .filter(|pattern| !pattern.is_empty())
                .map(Regex::new)
                .transpose();
            let pattern = pattern.map_err(|error| RuleError::Pattern {
                name: rule.name.clone(),
                source: Box::new(error),
            })?;
            rules.push((rule, pattern));
        }
        Ok(Rules { rules })
    }

    /// The names of all rules.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|(rule, _)| rule.name.as_str())
    }

    /// The first rules that have something to say. `used` tells how often each spoke before.
    pub fn help(&self, case: &Case<'_>, used: &BTreeMap<String, u32>) -> Vec<Help> {
        let free = |rule: &RuleConfig| used.get(&rule.name).copied().unwrap_or(0) < rule.limit;
        let mut helps: Vec<Help> = Vec::new();
        for (rule, pattern) in &self.rules {
            if !rule.on.contains(&case.status) || !free(rule) || helps.len() >= AT_ONCE {
                continue;
            }
            let Some(found) = found(rule.condition, pattern.as_ref(), case) else {
                continue;
            };
            helps.push(help(rule, found, case));
        }
        helps
    }
}

fn help(rule: &RuleConfig, found: Found, case: &Case<'_>) -> Help {
    let mut note = rule.say.clone();
    let mut words = found.words.clone();
    words.insert(
        "near".into(),
        case.near.unwrap_or("(nothing is like them)").into(),
    );
    words.insert("form".into(), case.form.into());
    for (name, value) in &words {
        note = note.replace(&format!("{{{name}}}"), value);
    }
    Help {
        rule: rule.name.clone(),
        action: rule.action,
        note,
        path: found.path,
        requirement: found.requirement,
    }
}
