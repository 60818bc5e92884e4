//! What ends a turn, decided once for a model folder.
//!
//! In: the marker that the chat template writes behind an answer, `eos_token` of `tokenizer_config.json`, and
//! `eos_token_id` of `generation_config.json` and `config.json`. Out: [`EndOfTurn`], which samples, the audit, training,
//! sampling, serving and the export ask.
//! Example: a base model whose files name `<|endoftext|>` and whose template is ChatML is trained to write `<|im_end|>`,
//! so both end its turn.

use std::path::Path;

use serde_json::{Map, Value};

use super::folder::object;
use super::{ChatTemplate, Form, TemplateError};
use crate::message::{Message, Role};
use crate::tokenizer::{END, END_OF_TEXT, Tokenizer};

/// The tokens that end a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndOfTurn {
    trained: Option<u32>,
    all: Vec<u32>,
}

impl EndOfTurn {
    /// The marker that is trained, and what is told besides.
    pub fn new(trained: Option<u32>, told: &[u32]) -> Self {
        let mut all: Vec<u32> = Vec::new();
        for id in trained.iter().chain(told) {
            if !all.contains(id) {
                all.push(*id);
            }
        }
        EndOfTurn { trained, all }
    }

    /// The marker that the chat template writes behind an answer, and that is trained; none where it writes no marker.
    pub fn trained(&self) -> Option<u32> {
        self.trained
    }

    /// Every token that ends a turn: the trained one first, then those that the files of the folder name.
    pub fn all(&self) -> &[u32] {
        &self.all
    }

    /// Whether `id` ends a turn.
    pub fn contains(&self, id: u32) -> bool {
        self.all.contains(&id)
    }
}

impl ChatTemplate {
    /// What ends a turn of a model with this template and this tokenizer.
    pub fn end_of_turn(&self, tokenizer: &Tokenizer) -> EndOfTurn {
        EndOfTurn::new(self.trained_end(tokenizer).ok(), self.told_ends())
    }

    /// What ends a text that is no conversation: `eos_token` of the folder, else `<|endoftext|>`, else what ends a turn.
    pub fn end_of_text(&self, tokenizer: &Tokenizer) -> Option<u32> {
        let told = self.told_ends().first().copied();
        told.or_else(|| tokenizer.special(END_OF_TEXT))
            .or_else(|| self.trained_end(tokenizer).ok())
    }

    /// The marker that ends an answer.
    ///
    /// # Errors
    ///
    /// When the template has none, or does not take a question and an answer.
    pub(super) fn trained_end(&self, tokenizer: &Tokenizer) -> Result<u32, TemplateError> {
        let messages = [
            Message::new(Role::User, "a"),
            Message::new(Role::Assistant, "b"),
        ];
        let (tokens, mask) = self.encode(tokenizer, &messages)?;
        let last = tokens.iter().zip(mask).rfind(|(_, trained)| *trained);
        let end = last.map(|(id, _)| *id).filter(|id| {
            tokenizer
                .specials()
                .iter()
                .any(|(_, special)| special == id)
        });
        end.ok_or(TemplateError::NoMarker(END))
    }

    /// What the files of the folder name.
    fn told_ends(&self) -> &[u32] {
        match &self.form {
            Form::ChatMl => &self.told_ends,
            Form::Model(model) => &model.stops,
        }
    }
}

/// What the files of a folder name as the end: `eos_token`, then the ids of `generation_config.json`, then the markers
/// among the ids of `config.json`. (A `config.json` may lack the key, or keep the one of another tokenizer.)
pub(super) fn told(
    folder: &Path,
    tokenizer: &Tokenizer,
    eos_token: Option<&str>,
) -> Result<Vec<u32>, TemplateError> {
    let mut told: Vec<u32> = eos_token
        .and_then(|token| tokenizer.special(token))
        .into_iter()
        .collect();
    told.extend(ids(
        &object(&folder.join("generation_config.json"))?.unwrap_or_default()
    ));
    let config = object(&folder.join("config.json"))?.unwrap_or_default();
    let text = config.get("text_config").and_then(Value::as_object);
    let of_config = ids(&config)
        .into_iter()
        .chain(text.map(ids).unwrap_or_default());
    let specials = tokenizer.specials();
    told.extend(of_config.filter(|id| specials.iter().any(|(_, special)| special == id)));
    Ok(told)
}

/// `eos_token_id`: one id or a list.
fn ids(file: &Map<String, Value>) -> Vec<u32> {
    let told = file.get("eos_token_id").cloned().unwrap_or_default();
    let told = told.as_array().cloned().unwrap_or_else(|| vec![told]);
    told.iter()
        .filter_map(|id| u32::try_from(id.as_u64()?).ok())
        .collect()
}
