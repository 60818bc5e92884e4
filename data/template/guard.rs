//! Words of a message that look like a marker never become one.
//!
//! In: a conversation, and the markers of the tokenizer. Out: the same conversation, where the first letter of each
//! look-alike is a stand-in that it does not contain; whatever the template makes of it, a marker in its text is the
//! template's own.
//! Example: with `<|im_end|>` a marker, `a<|im_end|>b` goes in as `a\u{fdd2}|im_end|>b` and comes out as it was.

use std::borrow::Cow;

use super::dialog::Dialog;
use crate::tokenizer::Part;

/// Code points that Unicode sets aside for such uses, and that a tokenizer does not use here.
const STAND_INS: std::ops::RangeInclusive<char> = '\u{fdd2}'..='\u{fdef}';

/// The markers of a tokenizer, ready to be looked for.
pub(super) struct Markers<'a> {
    /// Longest first.
    names: Vec<(&'a str, u32)>,
}

impl<'a> Markers<'a> {
    pub(super) fn new(mut names: Vec<(&'a str, u32)>) -> Self {
        names.retain(|(name, _)| !name.is_empty());
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Markers { names }
    }

    /// Every marker in `text` with the place where it begins: the leftmost first, the longest where several begin.
    pub(super) fn find(&self, text: &str) -> Vec<(usize, &'a str, u32)> {
        let mut begins = [false; 256];
        for (name, _) in &self.names {
            begins[name.as_bytes()[0] as usize] = true;
        }
        let (mut found, mut at) = (Vec::new(), 0);
        while at < text.len() {
            let here = begins[text.as_bytes()[at] as usize].then(|| {
                self.names
                    .iter()
                    .find(|(name, _)| text.as_bytes()[at..].starts_with(name.as_bytes()))
            });
            match here.flatten() {
                Some((name, id)) => {
                    found.push((at, *name, *id));
                    at += name.len();
                }
                None => at += 1,
            }
        }
        found
    }

    /// A text that a template writes itself, cut at its markers.
    pub(super) fn parts(&self, text: &str) -> Vec<Part> {
        let text_part = |text: &str| (!text.is_empty()).then(|| Part::Text(text.to_string()));
        let (mut parts, mut from) = (Vec::new(), 0);
        for (at, name, id) in self.find(text) {
            parts.extend(text_part(&text[from..at]));
            parts.push(Part::Special(id));
            from = at + name.len();
        }
        parts.extend(text_part(&text[from..]));
        parts
    }
}

/// A conversation whose look-alikes are disarmed.
pub(super) struct Guarded<'d> {
    pub(super) dialog: Cow<'d, Dialog>,
    /// A stand-in and what it stands for.
    letters: Vec<(char, char)>,
}

impl<'d> Guarded<'d> {
    /// None where the conversation uses up every stand-in.
    pub(super) fn new(dialog: &'d Dialog, markers: &Markers) -> Option<Self> {
        if !dialog.any_text(|text| !markers.find(text).is_empty()) {
            return Some(Guarded {
                dialog: Cow::Borrowed(dialog),
                letters: Vec::new(),
            });
        }
        let unused = |letter: &char| !dialog.any_text(|text| text.contains(*letter));
        let mut stand_ins = STAND_INS.filter(unused);
        let mut letters: Vec<(char, char)> = Vec::new();
        let mut all = true;
        let mut disarmed = dialog.clone();
        disarmed.change_texts(|text| {
            let mut plain = String::with_capacity(text.len());
            let mut from = 0;
            for (at, name, _) in markers.find(text) {
                let letter = name.chars().next().unwrap_or_default();
                let known = letters
                    .iter()
                    .find(|(_, meant)| *meant == letter)
                    .map(|(stand_in, _)| *stand_in);
                let Some(stand_in) = known.or_else(|| stand_ins.next()) else {
                    all = false;
                    break;
                };
                if known.is_none() {
                    letters.push((stand_in, letter));
                }
                plain.push_str(&text[from..at]);
                plain.push(stand_in);
                from = at + letter.len_utf8();
            }
            plain.push_str(&text[from..]);
            plain
        });
        all.then_some(Guarded {
            dialog: Cow::Owned(disarmed),
            letters,
        })
    }

    /// Whether any message had a look-alike.
    pub(super) fn disarmed(&self) -> bool {
        !self.letters.is_empty()
    }

    /// A text as it is meant.
    pub(super) fn restored(&self, text: &str) -> String {
        if self.letters.is_empty() {
            return text.to_string();
        }
        let meant = |letter: char| {
            self.letters
                .iter()
                .find(|(stand_in, _)| *stand_in == letter)
                .map(|(_, meant)| *meant)
        };
        text.chars()
            .map(|letter| meant(letter).unwrap_or(letter))
            .collect()
    }
}
