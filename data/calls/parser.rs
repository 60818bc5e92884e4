//! Reads calls out of an answer while it is written.
//!
//! In: pieces of text. Out: what is surely no call, and every call as soon as it is whole. What only looks like a call, or
//! is cut off, is text; the calls before it stay calls.

use crate::template::Fields;

use super::scan::{Found, Scan};
use super::{Call, Form};

/// What a call is written between, by Hermes and Qwen.
pub const TAGS: [&str; 2] = ["<tool_call>", "</tool_call>"];
/// What stands before calls of Mistral's models, and, in their newer form, between the name and the arguments.
pub const TOOL_CALLS: &str = "[TOOL_CALLS]";
const CALL_ID: &str = "[CALL_ID]";
pub const ARGS: &str = "[ARGS]";
/// What may stand before a call of Llama 3.
pub const PYTHON: &str = "<|python_tag|>";

/// An answer that is read piece by piece.
#[derive(Clone, Debug)]
pub struct ToolCallParser {
    form: Option<Form>,
    /// What was neither told as text nor as a call.
    held: String,
    state: State,
    /// The object that is being read, from `object` on in `held`.
    scan: Scan,
    /// Calls so far.
    calls: usize,
    /// Calls that are told; more are left out.
    most: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Text, in which a call may begin. Llama's must begin the answer.
    Text,
    /// `held` begins with the marker before a call.
    Call,
    /// Behind a call of Mistral's list: a comma or the end of the list.
    List,
    /// Behind a call: its closing tag may follow.
    Closing,
    /// Nothing is a call any more.
    Plain,
}

/// What became sure.
enum Step {
    /// So many bytes are text.
    Text(usize),
    /// So many bytes are a call, and this is what follows.
    Call(usize, Call, State),
    /// So many bytes say nothing.
    Skip(usize, State),
    /// The next byte decides.
    Wait,
}

/// What stands before an object.
enum Head {
    /// The object begins here, perhaps with the name of its tool before it.
    Object(usize, Option<String>),
    /// More must come.
    Open,
    /// No object follows.
    Wrong,
}

impl ToolCallParser {
    /// Reads calls of `form`, and tells `most` of them; without a form all is text.
    pub fn new(form: Option<Form>, most: usize) -> Self {
        let state = if form.is_some() {
            State::Text
        } else {
            State::Plain
        };
        ToolCallParser {
            form,
            held: String::new(),
            state,
            scan: Scan::default(),
            calls: 0,
            most,
        }
    }

    /// Takes a piece; `ended` says that it was the last. Returns the text and the calls that are sure now.
    pub fn push(&mut self, piece: &str, ended: bool) -> (String, Vec<Call>) {
        self.held.push_str(piece);
        let (mut text, mut calls) = (String::new(), Vec::new());
        while !self.held.is_empty() {
            match self.step(ended) {
                Step::Text(bytes) => text.extend(self.held.drain(..bytes)),
                Step::Skip(bytes, state) => {
                    self.held.drain(..bytes);
                    self.state = state;
                }
                Step::Call(bytes, call, state) => {
                    self.held.drain(..bytes);
                    self.state = state;
                    self.scan = Scan::default();
                    self.calls += 1;
                    calls.extend((self.calls <= self.most).then_some(call));
                }
                Step::Wait => break,
            }
        }
        (text, calls)
    }

    fn step(&mut self, ended: bool) -> Step {
        match (self.form, self.state) {
            (None, _) | (_, State::Plain) => Step::Text(self.held.len()),
            (Some(Form::Hermes), State::Text) => self.text(TAGS[0], ended),
            (Some(Form::Mistral), State::Text) => self.text(TOOL_CALLS, ended),
            (Some(Form::Llama), State::Text) => self.bare(ended),
            (_, State::Closing) => self.closing(ended),
            (_, State::List) => self.list(ended),
            (Some(form), State::Call) => self.call(form, ended),
        }
    }

    /// Looks for the marker before a call. Blanks before it, and at the end of an answer with calls, are no text.
    fn text(&mut self, marker: &str, ended: bool) -> Step {
        let held = &self.held;
        if let Some(at) = held.find(marker) {
            let said = held[..at].trim_end().len();
            return match (said, at) {
                (0, at) => Step::Skip(at, State::Call),
                (said, _) => Step::Text(said),
            };
        }
        let begun = if ended { 0 } else { overlap(held, marker) };
        let sure = &held[..held.len() - begun];
        let blank = sure.len() - sure.trim_end().len();
        match (sure.len() - blank, ended) {
            (0, true) if self.calls > 0 => Step::Skip(held.len(), State::Text),
            (0, true) => Step::Text(held.len()),
            (said, true) if self.calls > 0 => Step::Text(said),
            (_, true) => Step::Text(held.len()),
            (0, false) => Step::Wait,
            (said, false) => Step::Text(said),
        }
    }

    /// Behind a call its closing tag is skipped, with the blanks before it.
    fn closing(&mut self, ended: bool) -> Step {
        let rest = self.held.trim_start();
        let blank = self.held.len() - rest.len();
        if rest.starts_with(TAGS[1]) {
            Step::Skip(blank + TAGS[1].len(), State::Text)
        } else if !ended && TAGS[1].starts_with(rest) {
            Step::Wait
        } else {
            Step::Skip(0, State::Text)
        }
    }

    /// Behind an object of a list comes another one, or the list ends.
    fn list(&mut self, ended: bool) -> Step {
        let rest = self.held.trim_start();
        let blank = self.held.len() - rest.len();
        match rest.chars().next() {
            Some(']') => Step::Skip(blank + 1, State::Text),
            Some(',') => match head_of_object(&self.held, blank + 1) {
                Head::Object(at, _) => self.object(at, None, State::List, ended),
                Head::Open if !ended => Step::Wait,
                Head::Open | Head::Wrong => self.give_up(),
            },
            None if !ended => Step::Wait,
            _ => self.give_up(),
        }
    }

    /// Behind a marker comes a call, or it was none.
    fn call(&mut self, form: Form, ended: bool) -> Step {
        let marker = if form == Form::Mistral {
            TOOL_CALLS
        } else {
            TAGS[0]
        };
        let rest = self.held[marker.len()..].trim_start();
        let from = self.held.len() - rest.len();
        let list = form == Form::Mistral && rest.starts_with('[');
        let (head, next) = match form {
            Form::Mistral if list => (head_of_object(&self.held, from + 1), State::List),
            Form::Mistral if !rest.is_empty() => (head_of_name(&self.held, from), State::Text),
            _ => (head_of_object(&self.held, from), State::Closing),
        };
        match head {
            Head::Object(at, name) => self.object(at, name, next, ended),
            Head::Open if !ended => Step::Wait,
            Head::Open | Head::Wrong => self.no_call(marker.len()),
        }
    }

    /// The object at `at` of `held`; with a `name` it is the arguments.
    fn object(&mut self, at: usize, name: Option<String>, next: State, ended: bool) -> Step {
        let text = &self.held[at..];
        let (length, read) = match self.scan.look(text) {
            Found::More if ended => (text.len(), None),
            Found::More => return Step::Wait,
            Found::Bad(length) => (length, None),
            Found::End(length) => (length, read(&text[..length], name)),
        };
        match read {
            Some(call) => Step::Call(at + length, call, next),
            None => self.no_call(at + length),
        }
    }

    /// A whole answer of Llama: objects with `;` between them and nothing else.
    fn bare(&mut self, ended: bool) -> Step {
        let rest = self.held.trim_start();
        if !ended && (rest.is_empty() || PYTHON.starts_with(rest)) {
            return Step::Wait;
        }
        let rest = rest.strip_prefix(PYTHON).unwrap_or(rest).trim_start();
        let at = self.held.len() - rest.len();
        if rest.is_empty() && self.calls > 0 {
            return Step::Skip(self.held.len(), State::Text);
        }
        if !rest.starts_with('{') {
            return if rest.is_empty() && !ended {
                Step::Wait
            } else {
                self.give_up()
            };
        }
        // The scan stops at the end of the object, and says so again when it is asked again.
        let length = match self.scan.clone().look(rest) {
            Found::End(length) => length,
            Found::More if !ended => {
                self.scan.look(rest);
                return Step::Wait;
            }
            Found::More | Found::Bad(_) => return self.give_up(),
        };
        let Some(call) = read_bare(&rest[..length]) else {
            return self.give_up();
        };
        let after = rest[length..].trim_start();
        let end = self.held.len() - after.len();
        match after.chars().next() {
            None if !ended => Step::Wait,
            None => Step::Call(end, call, State::Text),
            Some(';') => Step::Call(end + 1, call, State::Text),
            Some('{') => Step::Call(end, call, State::Text),
            Some(_) if self.calls > 0 => Step::Call(at + length, call, State::Plain),
            Some(_) => self.give_up(),
        }
    }

    /// What was held is text, and a call may follow.
    fn no_call(&mut self, bytes: usize) -> Step {
        self.state = State::Text;
        self.scan = Scan::default();
        Step::Text(bytes)
    }

    /// What was held is text, as is all that follows.
    fn give_up(&mut self) -> Step {
        self.state = State::Plain;
        Step::Text(self.held.len())
    }
}

/// Blanks, then an object.
fn head_of_object(held: &str, from: usize) -> Head {
    let rest = held[from..].trim_start();
    match rest.chars().next() {
        None => Head::Open,
        Some('{') => Head::Object(held.len() - rest.len(), None),
        Some(_) => Head::Wrong,
    }
}

/// `name[ARGS]{`, `name[CALL_ID]id[ARGS]{` or `name{`.
fn head_of_name(held: &str, from: usize) -> Head {
    let is_name = |letter: char| letter.is_alphanumeric() || "_-.:/ ".contains(letter);
    let rest = &held[from..];
    let name = &rest[..rest.find(|letter| !is_name(letter)).unwrap_or(rest.len())];
    let mut after = &rest[name.len()..];
    if let Some(id) = after.strip_prefix(CALL_ID) {
        after = &id[id.find(|letter| !is_name(letter)).unwrap_or(id.len())..];
    }
    let open = [CALL_ID, ARGS]
        .into_iter()
        .any(|marker| marker.starts_with(after));
    let object = after.strip_prefix(ARGS).unwrap_or(after).trim_start();
    match object.chars().next() {
        Some('{') if !name.trim().is_empty() => {
            Head::Object(held.len() - object.len(), Some(name.trim().to_owned()))
        }
        None => Head::Open,
        Some('[') if open && !name.trim().is_empty() => Head::Open,
        Some(_) => Head::Wrong,
    }
}

fn read(text: &str, name: Option<String>) -> Option<Call> {
    let object: Fields = serde_json::from_str(text).ok()?;
    match name {
        None => Call::from_object(&object),
        Some(name) => Some(Call {
            name,
            arguments: serde_json::to_string(&object).ok()?,
        }),
    }
}

/// Any answer in JSON may have a name; a call of Llama has parameters, too.
fn read_bare(text: &str) -> Option<Call> {
    let object: Fields = serde_json::from_str(text).ok()?;
    object.get("parameters").or(object.get("arguments"))?;
    Call::from_object(&object)
}

/// How many of the last bytes of `text` are the beginning of `marker`.
fn overlap(text: &str, marker: &str) -> usize {
    (1..marker.len())
        .rev()
        .find(|&length| text.ends_with(&marker[..length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
