//! Whether a template writes down what it is given: the text of every message, and the beginning of an answer.
//!
//! In: a conversation and what the template made of it. Out: an error that names what is missing; a model that is trained
//! or asked without it would seem to work.
//! Example: a template for models that see images goes through the parts of a message and finds none in a plain text.

use super::dialog::{Dialog, Turns};
use super::json::{Fields, Json};
use super::turns::For;
use super::{Model, TemplateError};
use crate::message::{Message, Role};

/// Texts up to this length may stand in a template's own words by chance.
const SHORT: usize = 16;
/// Ends the reasoning before an answer, which many templates leave out of later prompts.
const REASONED: &str = "</think>";
/// Words by which a person turns a switch of a template, and which it takes out.
const SWITCHES: [&str; 4] = ["/think", "/no_think", "/nothink", "/system_override"];

/// A word that no template contains.
pub(super) fn word(number: usize) -> String {
    format!("qxw{number}sx")
}

/// Refuses a template that left out the text of a message, or that does not begin the turn of the assistant.
pub(super) fn complete(
    model: &Model,
    said: Turns,
    text: &str,
    purpose: For,
) -> Result<(), TemplateError> {
    let probed = probe(model, said, purpose);
    let missing: Vec<String> = (0..said.messages.len())
        .filter(|at| {
            let texts = texts(&said.messages[*at], purpose);
            let written = texts.iter().all(|one| is_written(one, text));
            !written
                || probed.as_ref().is_some_and(|probed| {
                    texts.iter().any(|one| is_short(one)) && !probed.contains(&word(*at))
                })
        })
        .map(|at| (at + 1).to_string())
        .collect();
    if !missing.is_empty() {
        let of = if missing.len() == 1 {
            "message"
        } else {
            "messages"
        };
        return Err(model.unfit(&format!(
            "it leaves out the text of {of} {}",
            missing.join(" and ")
        )));
    }
    match model.no_generation_prompt.get_or_init(|| no_generation_prompt(model)) {
        Some(begin) => Err(model.unfit(&format!(
            "it has no generation prompt: `add_generation_prompt` changes nothing, though an answer begins with `{}`",
            begin.escape_debug()
        ))),
        None => Ok(()),
    }
}

/// What was said in a turn, less what a template leaves out on purpose.
fn texts(turn: &Fields, purpose: For) -> Vec<&str> {
    let answer = turn.get("role").and_then(Json::as_str) == Some(Role::Assistant.name());
    if answer && purpose == For::Prompt && turn.contains_key("tool_calls") {
        return Vec::new();
    }
    let texts = match turn.get("content") {
        Some(Json::Text(text)) => vec![text.as_str()],
        Some(Json::List(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .collect(),
        _ => Vec::new(),
    };
    // An answer that is trained is looked at on its own, and told where its reasoning is left out.
    let reasoned = answer && matches!(purpose, For::Prompt | For::Answers);
    let said = |text: &str| {
        text.rfind(REASONED)
            .filter(|_| reasoned)
            .map_or(0, |at| at + REASONED.len())
    };
    texts
        .into_iter()
        .map(|text| text[said(text)..].trim())
        .filter(|text| !text.is_empty())
        .collect()
}

/// What was thought before an answer; none where nothing was.
pub(super) fn reasoning(turn: &Fields) -> Option<&str> {
    let field = turn.get("reasoning_content").and_then(Json::as_str);
    let within = || {
        let content = turn.get("content")?.as_str()?;
        let before = &content[..content.rfind(REASONED)?];
        Some(
            before
                .trim_start()
                .strip_prefix("<think>")
                .unwrap_or(before),
        )
    };
    field
        .or_else(within)
        .map(str::trim)
        .filter(|thought| !thought.is_empty())
}

fn is_short(text: &str) -> bool {
    text.len() <= SHORT
}

/// Whether `said` stands in `text`: as it is, as JSON, or word by word where a template changes the blanks between.
fn is_written(said: &str, text: &str) -> bool {
    let json = serde_json::to_string(said).unwrap_or_default();
    let all = |said: &str| {
        said.split_whitespace()
            .filter(|word| !SWITCHES.contains(word))
            .all(|word| text.contains(word))
    };
    text.contains(said) || text.contains(json.trim_matches('"')) || all(said)
}

/// The same conversation with words that no template contains in place of short texts; none where there is no short one,
/// or where the template takes the words as something else.
fn probe(model: &Model, said: Turns, purpose: For) -> Option<String> {
    let mut messages = said.messages.to_vec();
    let mut changed = false;
    for (at, turn) in messages.iter_mut().enumerate() {
        if !texts(turn, purpose).iter().any(|one| is_short(one)) {
            continue;
        }
        changed = true;
        match turn.get_mut("content") {
            Some(Json::Text(text)) => *text = word(at),
            Some(Json::List(parts)) => {
                for part in parts.iter_mut().filter_map(Json::as_object_mut) {
                    part.entry("text".into())
                        .and_modify(|text| *text = Json::text(word(at)));
                }
            }
            _ => {}
        }
    }
    if !changed {
        return None;
    }
    model
        .render(
            Turns {
                messages: &messages,
                ..said
            },
            purpose == For::Prompt,
        )
        .ok()
}

/// The words with which an answer begins, where no prompt has them.
fn no_generation_prompt(model: &Model) -> Option<String> {
    let messages = [
        Message::new(Role::User, word(0)),
        Message::new(Role::Assistant, word(1)),
    ];
    let dialog = Dialog {
        given: model.given.clone(),
        ..Dialog::from(&messages[..])
    };
    let render = |count, prompt| model.render(dialog.whole().first(count), prompt).ok();
    let (asked, plain, whole) = (render(1, true)?, render(1, false)?, render(2, false)?);
    let written = whole
        .strip_prefix(asked.as_str())
        .filter(|_| asked == plain)?;
    let begin = written[..written.find(&word(1))?].trim();
    begin
        .contains(char::is_alphanumeric)
        .then(|| begin.to_owned())
}
