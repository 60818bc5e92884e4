//! What a template makes of a conversation, turn by turn: its tokens, and which of them the assistant writes.
//!
//! The assistant's turn begins where the prompt for it ends, and ends behind the first marker at which a model stops.
//! The text is cut where a turn begins: a model is asked there, so no token may reach across.
//! Example: of `[INST] hi [/INST] ho</s>` the prompt is all up to `[/INST]`, and ` ho</s>` is trained.

use std::ops::Range;

use super::dialog::{Dialog, Turns};
use super::guard::{Guarded, Markers};
use super::json::Json;
use super::{Model, TemplateError, check};
use crate::tokenizer::{Part, Tokenizer};

/// Whether the tokens are for training, all answers or those that can be, or for a model to continue, and then whether the
/// assistant's turn is begun.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Training,
    Answers,
    Prompt,
    Turns,
}

/// The tokens of a conversation, and true on what the assistant writes.
pub(super) fn encode(
    model: &Model,
    tokenizer: &Tokenizer,
    dialog: &Dialog,
    purpose: For,
) -> Result<(Vec<u32>, Vec<bool>), TemplateError> {
    let Answers {
        tokens,
        turns,
        failed,
        ..
    } = encode_answers(model, tokenizer, dialog, purpose)?;
    match failed.into_iter().next() {
        Some((_, error)) if purpose == For::Training => Err(error),
        _ => Ok((
            tokens,
            turns.into_iter().map(|turn| turn.is_some()).collect(),
        )),
    }
}

/// The tokens of a conversation, and whose they are.
pub struct Answers {
    /// In their order.
    pub tokens: Vec<u32>,
    /// The message whose answer each token belongs to, its end of turn included, counted from 0; none for all else.
    pub turns: Vec<Option<usize>>,
    /// The answers that cannot be told in these tokens, and why: the template writes them another way later on.
    pub failed: Vec<(usize, TemplateError)>,
    /// The answers whose reasoning the template leaves out.
    pub unreasoned: Vec<usize>,
}

/// As [`encode`], and which answer each token belongs to.
pub(super) fn encode_answers(
    model: &Model,
    tokenizer: &Tokenizer,
    dialog: &Dialog,
    purpose: For,
) -> Result<Answers, TemplateError> {
    let markers = Markers::new(tokenizer.specials());
    let guarded = Guarded::new(dialog, &markers).ok_or_else(|| {
        model.unfit("the messages contain every code point from U+FDD2 to U+FDEF")
    })?;
    let said = guarded.dialog.whole();
    let text = model.render(said, purpose == For::Prompt)?;
    if guarded.disarmed()
        && model.render(dialog.whole(), purpose == For::Prompt)? != guarded.restored(&text)
    {
        return Err(
            model.unfit("a message contains a special token, and the template changes such a text")
        );
    }
    let (mut turns, mut failed, mut unreasoned) = (Vec::new(), Vec::new(), Vec::new());
    for at in (0..said.messages.len()).filter(|at| said.is_answer(*at)) {
        match turn(model, &markers, said, at, &text)
            .and_then(|turn| called(model, said, at, &text[turn.clone()]).map(|()| turn))
        {
            Ok(turn) => {
                if check::reasoning(&said.messages[at])
                    .is_some_and(|thought| !text[turn.clone()].contains(thought))
                {
                    unreasoned.push(at);
                }
                turns.push((at, turn));
            }
            Err(error) => {
                // An earlier answer that later prompts show otherwise; what a model is asked is still exact.
                let begin = begin(model, said, at, &text).ok().flatten();
                turns.extend(begin.map(|begin| (at, begin..begin)));
                failed.push((at, error));
                if purpose == For::Training {
                    break;
                }
            }
        }
    }
    if purpose != For::Training || failed.is_empty() {
        check::complete(model, said, &text, purpose)?;
    }
    let (parts, of) = parts(&text, &markers.find(&text), &turns, &guarded);
    let (mut tokens, mut turns) = (Vec::new(), Vec::new());
    for (ids, turn) in tokenizer.encode_parts(&parts).into_iter().zip(of) {
        turns.resize(turns.len() + ids.len(), turn);
        tokens.extend(ids);
    }
    Ok(Answers {
        tokens,
        turns,
        failed,
        unreasoned,
    })
}

/// Refuses a template that leaves out the calls of an answer, which is `written`.
fn called(model: &Model, said: Turns, at: usize, written: &str) -> Result<(), TemplateError> {
    let Some(Json::List(calls)) = said.messages[at].get("tool_calls") else {
        return Ok(());
    };
    let name = |call: &Json| {
        call.get("function")?
            .get("name")?
            .as_str()
            .map(str::to_owned)
    };
    match calls
        .iter()
        .filter_map(name)
        .find(|name| !written.contains(name.as_str()))
    {
        None => Ok(()),
        Some(name) => Err(model.unfit(&format!(
            "it leaves out the call of `{name}` in message {}",
            at + 1
        ))),
    }
}

/// The byte of `text` at which the answer in turn `at` begins; none where its prompt is no prefix of the text.
fn begin(
    model: &Model,
    said: Turns,
    at: usize,
    text: &str,
) -> Result<Option<usize>, TemplateError> {
    let prompt = model.render(said.first(at), true)?;
    Ok(text.starts_with(&prompt).then_some(prompt.len()))
}

/// Where the answer in turn `at` stands in `text`, its end of turn included.
fn turn(
    model: &Model,
    markers: &Markers,
    said: Turns,
    at: usize,
    text: &str,
) -> Result<Range<usize>, TemplateError> {
    let number = at + 1;
    let asked = begin(model, said, at, text).map_err(|error| match at {
        0 => model.unfit(
            "it begins with an answer, and the template makes no prompt where nothing was asked",
        ),
        _ => error,
    })?;
    let begin = asked.ok_or_else(|| {
        model.unfit(&format!(
            "message {number} does not go on from its own prompt, so a model would never see what it is trained on"
        ))
    })?;
    let then = model.render(said.first(at + 1), false)?;
    let written = then.get(begin..).filter(|_| then[..begin] == text[..begin]);
    let written = written
        .ok_or_else(|| model.unfit(&format!("message {number} changes what stands before it")))?;
    let found = markers.find(written);
    let stop = found
        .iter()
        .find(|(_, _, id)| model.stops.contains(id))
        .or(found.last());
    let (place, name, _) = stop.ok_or_else(|| {
        model.unfit(&format!(
            "message {number} ends without a special token, so a model would never stop"
        ))
    })?;
    let turn = begin..begin + place + name.len();
    if text.get(turn.clone()) != then.get(turn.clone()) {
        return Err(model.unfit(&format!(
            "message {number} is written another way once the conversation goes on (some templates drop earlier reasoning): \
             make one sample of each answer"
        )));
    }
    Ok(turn)
}

/// The text cut at its markers and where a turn begins, and for each part the answer that it belongs to.
fn parts(
    text: &str,
    markers: &[(usize, &str, u32)],
    turns: &[(usize, Range<usize>)],
    guarded: &Guarded,
) -> (Vec<Part>, Vec<Option<usize>>) {
    let (mut parts, mut of) = (Vec::new(), Vec::new());
    let mut push = |range: Range<usize>, special: Option<u32>| {
        if !range.is_empty() {
            of.push(
                turns
                    .iter()
                    .find(|(_, turn)| turn.contains(&range.start))
                    .map(|(at, _)| *at),
            );
            parts.push(
                special.map_or_else(|| Part::Text(guarded.restored(&text[range])), Part::Special),
            );
        }
    };
    let mut from = 0;
    let end = [(text.len(), "", None)];
    let markers = markers.iter().map(|(at, name, id)| (*at, *name, Some(*id)));
    for (at, name, id) in markers.chain(end) {
        let begins = turns.iter().map(|(_, turn)| turn.start);
        let inside: Vec<usize> = begins
            .filter(|begin| (from + 1..at).contains(begin))
            .collect();
        for begin in inside {
            push(from..begin, None);
            from = begin;
        }
        push(from..at, None);
        push(at..at + name.len(), id);
        from = at + name.len();
    }
    (parts, of)
}
