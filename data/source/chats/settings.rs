//! `[data.chats]`: how conversations become samples.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::form::Form;
use super::names::Names;
use crate::message::Role;

/// How conversations become samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChatSettings {
    /// The form of the rows (short: `--format`). Where it is not said, each row tells by its columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Form>,
    /// Which turns are trained; `train` or `weight` of a message says otherwise for that message.
    pub train_on: TrainOn,
    /// The longest sample, in tokens. Where it is not said, the context of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<usize>,
    /// What happens to a sample that is longer.
    pub too_long: TooLong,
    /// What happens when a row makes no sample: a broken line, a role nobody knows, an image.
    pub bad_rows: Unusable,
    /// Whether a conversation that came before is left out.
    pub drop_duplicates: bool,
    /// What happens to standing instructions.
    pub system: SystemTurn,
    /// What a prompt and a completion that are texts become.
    pub prompt: PlainPrompt,
    /// The share of conversations that are not trained on and asked by validation instead, drawn by their hash.
    pub validation: f64,
    /// What the rows call our columns and fields: `messages = "dialogue"`, `role = "speaker"`.
    pub columns: BTreeMap<String, String>,
    /// Whose turns a role of theirs marks: `robot = "assistant"`.
    pub roles: BTreeMap<String, Role>,
}

/// Which turns are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainOn {
    /// Every turn of the assistant.
    #[default]
    Assistant,
    /// The last turn of the assistant.
    Last,
    /// Every token, whoever wrote it.
    All,
}

/// What happens to a sample with too many tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TooLong {
    /// Nothing is trained; the row is named.
    Refuse,
    /// It is left out, and counted.
    #[default]
    Drop,
    /// Its beginning is cut off.
    TruncateLeft,
    /// Its end is cut off.
    TruncateRight,
    /// It becomes several samples.
    Split,
}

/// What happens when a row makes no sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unusable {
    /// Nothing is trained; every such row is named.
    #[default]
    Refuse,
    /// It is left out, counted, and named.
    Drop,
}

/// What happens to standing instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemTurn {
    /// They are a turn of their own; a template may refuse it.
    #[default]
    Keep,
    /// They stand before the first question, an empty line between.
    Merge,
}

/// What a prompt and a completion that are texts become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlainPrompt {
    /// One text without a chat template, as TRL reads them.
    #[default]
    Text,
    /// A question and an answer in the chat template.
    Chat,
}

impl Default for ChatSettings {
    fn default() -> Self {
        ChatSettings {
            format: None,
            train_on: TrainOn::default(),
            max_tokens: None,
            too_long: TooLong::default(),
            bad_rows: Unusable::default(),
            drop_duplicates: true,
            system: SystemTurn::default(),
            prompt: PlainPrompt::default(),
            validation: 0.0,
            columns: BTreeMap::new(),
            roles: BTreeMap::new(),
        }
    }
}

impl ChatSettings {
    /// Why it cannot be, if it cannot.
    pub fn problem(&self) -> Option<String> {
        if !(0.0..1.0).contains(&self.validation) {
            return Some(format!(
                "`validation` is {}, but must be at least 0 and below 1",
                self.validation
            ));
        }
        if self.max_tokens.is_some_and(|tokens| tokens < 2) {
            return Some(
                "`max_tokens` must be at least 2: the first token of a sample is given".to_string(),
            );
        }
        Names::unknown_column(&self.columns).map(|why| format!("in `columns`: {why}"))
    }

    /// What the rows call things.
    pub fn names(&self) -> Names {
        Names::new(&self.columns, &self.roles)
    }
}
