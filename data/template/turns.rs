//! What a template makes of a conversation, turn by turn: its tokens, and which of them the assistant writes.
//!
//! The assistant's turn begins where the prompt for it ends, and ends behind the first marker at which a model stops.
//! The text is cut where a turn begins: a model is asked there, so no token may reach across.
//! Example: of `[INST] hi [/INST] ho</s>` the prompt is all up to `[/INST]`, and ` ho</s>` is trained.

use std::ops::Range;

use super::dialog::{Dialog, Turns};
use super::guard::{Guarded, Markers};
use super::{Model, TemplateError, check};
use crate::tokenizer::{Part, Tokenizer};

/// Whether the tokens are for training or for a model to continue, and then whether the assistant's turn is begun.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Training,
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
    let markers = Markers::new(tokenizer.specials());
    let guarded = Guarded::new(dialog, &markers)
        .ok_or_else(|| model.unfit("the messages contain every code point from U+FDD2 to U+FDEF"))?;
    let said = guarded.dialog.whole();
    let text = model.render(said, purpose == For::Prompt)?;
    if guarded.disarmed() && model.render(dialog.whole(), purpose == For::Prompt)? != guarded.restored(&text) {
        return Err(model.unfit("a message contains a special token, and the template changes such a text"));
    }
    let mut turns = Vec::new();
    for at in 0..said.messages.len() {
        if said.is_answer(at) {
            match turn(model, &markers, said, at, &text) {
                Ok(turn) => turns.push(turn),
                Err(error) if purpose == For::Training => return Err(error),
                // An earlier answer that later prompts show otherwise; what a model is asked is still exact.
                Err(_) => {
                    let begin = begin(model, said, at, &text).ok().flatten();
                    turns.extend(begin.map(|begin| begin..begin));
                }
            }
        }
    }
    check::complete(model, said, &text, purpose)?;
    let (parts, trained) = parts(&text, &markers.find(&text), &turns, &guarded);
    let (mut tokens, mut mask) = (Vec::new(), Vec::new());
    for (ids, trained) in tokenizer.encode_parts(&parts).into_iter().zip(trained) {
        mask.resize(mask.len() + ids.len(), trained);
        tokens.extend(ids);
    }
    Ok((tokens, mask))
}

/// The byte of `text` at which the answer in turn `at` begins; none where its prompt is no prefix of the text.
fn begin(model: &Model, said: Turns, at: usize, text: &str) -> Result<Option<usize>, TemplateError> {
    let prompt = model.render(said.first(at), true)?;
    Ok(text.starts_with(&prompt).then_some(prompt.len()))
}

/// Where the answer in turn `at` stands in `text`, its end of turn included.
fn turn(model: &Model, markers: &Markers, said: Turns, at: usize, text: &str) -> Result<Range<usize>, TemplateError> {
    let number = at + 1;
    let asked = begin(model, said, at, text).map_err(|error| match at {
        0 => model.unfit("it begins with an answer, and the template makes no prompt where nothing was asked"),
        _ => error,
    })?;
    let begin = asked.ok_or_else(|| {
        model.unfit(&format!(
            "message {number} does not go on from its own prompt, so a model would never see what it is trained on"
        ))
    })?;
    let then = model.render(said.first(at + 1), false)?;
    let written = then.get(begin..).filter(|_| then[..begin] == text[..begin]);
    let written = written.ok_or_else(|| model.unfit(&format!("message {number} changes what stands before it")))?;
    let found = markers.find(written);
    let stop = found.iter().find(|(_, _, id)| model.stops.contains(id)).or(found.last());
    let (place, name, _) = stop.ok_or_else(|| {
        model.unfit(&format!("message {number} ends without a special token, so a model would never stop"))
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

/// The text cut at its markers and where a turn begins, and for each part whether the assistant writes it.
fn parts(
    text: &str,
    markers: &[(usize, &str, u32)],
    turns: &[Range<usize>],
    guarded: &Guarded,
) -> (Vec<Part>, Vec<bool>) {
    let (mut parts, mut trained) = (Vec::new(), Vec::new());
    let mut push = |range: Range<usize>, special: Option<u32>| {
        if !range.is_empty() {
            trained.push(turns.iter().any(|turn| turn.contains(&range.start)));
            parts.push(special.map_or_else(|| Part::Text(guarded.restored(&text[range])), Part::Special));
        }
    };
    let mut from = 0;
    let end = [(text.len(), "", None)];
    let markers = markers.iter().map(|(at, name, id)| (*at, *name, Some(*id)));
    for (at, name, id) in markers.chain(end) {
        let begins = turns.iter().map(|turn| turn.start);
        let inside: Vec<usize> = begins.filter(|begin| (from + 1..at).contains(begin)).collect();
        for begin in inside {
            push(from..begin, None);
            from = begin;
        }
        push(from..at, None);
        push(at..at + name.len(), id);
        from = at + name.len();
    }
    (parts, trained)
}
