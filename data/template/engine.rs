//! Fills in a template, as `transformers` does: same language, same settings, same functions.
//!
//! Nothing can be read from inside: there is no loader, so whatever file is asked for is not there. Steps, depth and
//! output are bounded; memory is bounded by the process that this runs in, see `template/renderer.rs`.

use std::io::{self, Write};

use chrono::NaiveDateTime;
use chrono::format::{Item, StrftimeItems};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State};
use serde::{Deserialize, Serialize};

use super::dialog::Turns;
use super::{dumps, python, rewrite, words};

/// Steps of one rendering; a chat template takes some dozens for a message.
const STEPS: u64 = 10_000_000;
/// How deep loops, conditions and macros may stand in each other.
const DEPTH: usize = 120;
/// The longest text that comes out.
pub(super) const MAX_OUTPUT: usize = 16 << 20;
/// The name of the template in its own error messages.
const NAME: &str = "chat template";

/// What a template is filled in with, whatever the conversation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Source {
    /// The template.
    pub(super) text: String,
    /// `bos_token` and the like.
    pub(super) names: Vec<(String, String)>,
    /// What `strftime_now` tells: seconds since 1970.
    pub(super) now: i64,
}

/// Why there is no text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fault {
    /// The template is broken, or made to do harm.
    Broken(String),
    /// The template says that it does not take this conversation.
    Refused(String),
}

/// A template that is ready.
pub(super) struct Engine {
    environment: Environment<'static>,
    names: Vec<(String, String)>,
}

impl Engine {
    /// Compiles a template.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub(super) fn new(source: &Source) -> Result<Engine, Fault> {
        let mut environment = Environment::new();
        let theirs = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(fault)?;
        let ours = SyntaxConfig::builder()
            .keep_trailing_newline(true)
            .build()
            .map_err(fault)?;
        environment.set_syntax(ours);
        environment.set_fuel(Some(STEPS));
        environment.set_recursion_limit(DEPTH);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_formatter(format_value);
        environment.set_unknown_method_callback(words::method);
        words::add_to(&mut environment);
        environment.add_function(rewrite::MOD, python::modulo);
        environment.add_function(rewrite::SLICE, python::slice);
        environment.add_function(rewrite::ITERATE, python::iterate);
        environment.add_function(rewrite::CONTAINS, |part: Value, whole: Value| {
            python::contains(&part, &whole)
        });
        environment.add_function(rewrite::NEGATE, python::negate);
        environment.add_function(rewrite::LESS, |left: Value, right: Value| {
            python::is_less(&left, &right)
        });
        environment.add_function(rewrite::AT_MOST, |left: Value, right: Value| {
            python::is_at_most(&left, &right)
        });
        environment.add_filter("tojson", dumps::to_json);
        environment.add_function("raise_exception", raise_exception);
        let now = chrono::DateTime::from_timestamp(source.now, 0)
            .unwrap_or_default()
            .naive_utc();
        environment.add_function("strftime_now", move |format: String| date(now, &format));
        let text =
            rewrite::rewrite(&without_generation(&source.text), NAME, theirs).map_err(fault)?;
        environment.add_template_owned(NAME, text).map_err(fault)?;
        Ok(Engine {
            environment,
            names: source.names.clone(),
        })
    }

    /// Whether the template asks for `name`.
    pub(super) fn asks_for(&self, name: &str) -> bool {
        // As a word of it: a template may set a name that it was not given.
        let in_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        self.environment.get_template(NAME).is_ok_and(|template| {
            template.source().match_indices(name).any(|(at, _)| {
                let (before, after) = (
                    &template.source()[..at],
                    &template.source()[at + name.len()..],
                );
                !before.ends_with(in_word) && !after.starts_with(in_word)
            })
        })
    }

    /// The conversation as text.
    ///
    /// # Errors
    ///
    /// When the template refuses it, is broken, or does not come to an end.
    pub(super) fn render(
        &self,
        dialog: Turns,
        add_generation_prompt: bool,
    ) -> Result<String, Fault> {
        // Most templates ask for tools, and most conversations have none.
        let nothing = ["tools", "documents"].map(|name| (name, Value::from(())));
        let names = self
            .names
            .iter()
            .map(|(name, text)| (name.as_str(), Value::from(text.as_str())));
        let given = dialog
            .given
            .iter()
            .map(|(name, value)| (name.as_str(), Value::from(Serde(value))));
        let own = [
            ("messages", Value::from(Serde(dialog.messages))),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
        ];
        // What comes later holds.
        let all = Value::from_pairs(nothing.into_iter().chain(names).chain(given).chain(own));
        let mut text = Bounded(Vec::new());
        let template = self.environment.get_template(NAME).map_err(fault)?;
        let rendered = template.render_captured_to(all, &mut text).map(|_| ());
        rendered.map_err(fault)?;
        String::from_utf8(text.0).map_err(|error| Fault::Broken(error.to_string()))
    }
}

/// `{% generation %}` marks what is trained; here the mask comes from the text, so that it can stand for nothing.
fn without_generation(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        plain.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        let (tag, after) = tag.split_at(end);
        match tag
            .trim_start_matches(['{', '%', '-', '+'])
            .trim_end_matches(['}', '%', '-', '+'])
            .trim()
        {
            "generation" => plain.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => plain.push_str(&tag.replace("endgeneration", "endif")),
            _ => plain.push_str(tag),
        }
        rest = after;
    }
    plain.push_str(rest);
    plain
}

fn fault(error: Error) -> Fault {
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if let Some(Refusal(said)) = cause.downcast_ref::<Refusal>() {
        return Fault::Refused(said.clone());
    }
    let line = error
        .line()
        .map(|line| format!("line {line}: "))
        .unwrap_or_default();
    let reason = match error.kind() {
        ErrorKind::OutOfFuel => {
            format!("it takes more than {STEPS} steps, so it most likely never ends")
        }
        ErrorKind::WriteFailure => format!("its text is longer than {} MiB", MAX_OUTPUT >> 20),
        ErrorKind::TemplateNotFound => {
            "it asks for another file, which no chat template may".to_string()
        }
        kind => match error.detail() {
            Some(detail) => format!("{kind}: {detail}"),
            None => kind.to_string(),
        },
    };
    Fault::Broken(format!("{line}{reason}"))
}

/// What a template says when it does not take a conversation.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

fn raise_exception(said: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, "raise_exception").with_source(Refusal(said)))
}

fn date(now: NaiveDateTime, format: &str) -> Result<String, Error> {
    if StrftimeItems::new(format).any(|item| matches!(item, Item::Error)) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("`{format}` is no format of a date"),
        ));
    }
    Ok(now.format(format).to_string())
}

/// Nothing and truth are written as Python writes them.
fn format_value(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None => out.write_str("None").map_err(Error::from),
        ValueKind::Bool => out
            .write_str(if value.is_true() { "True" } else { "False" })
            .map_err(Error::from),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// A text that does not grow beyond [`MAX_OUTPUT`].
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
