//! A sample for a person to read.
//!
//! On a terminal: the text as it is, every second token on another ground, what is trained in green, special tokens
//! framed. As plain text: one token a line, `T` where it is trained; a text stands in quotes and a special token does
//! not, so that one is never taken for the other.

use std::io::{self, Write};

use data::{Role, Sample};

use super::judge::Judge;
use crate::terminal::plain;

/// How samples are shown.
#[derive(Clone, Copy)]
pub(super) struct Show {
    pub(super) plain: bool,
}

/// What a role is called; what stands before the first turn has none.
pub(super) fn name(role: Option<Role>) -> &'static str {
    role.map_or("-", Role::name)
}

impl Show {
    /// Which sample comes.
    pub(super) fn title(self, number: usize, count: usize, sample: &Sample) -> String {
        let trained = sample.mask.iter().filter(|trained| **trained).count();
        let (origin, tokens) = (sample.origin.escape_debug(), sample.tokens.len());
        format!("--- sample {number} of {count}: `{origin}`, {tokens} tokens, {trained} trained")
    }

    /// The sample token by token.
    pub(super) fn sample(
        self,
        out: &mut impl Write,
        sample: &Sample,
        roles: &[Option<Role>],
        judge: &Judge,
    ) -> io::Result<()> {
        let specials: Vec<u32> = judge
            .tokenizer
            .specials()
            .iter()
            .map(|(_, id)| *id)
            .collect();
        let mut before = None;
        for (at, ((&id, &trained), &role)) in sample
            .tokens
            .iter()
            .zip(&sample.mask)
            .zip(roles)
            .enumerate()
        {
            let piece = judge.tokenizer.piece(id).filter(|_| judge.knows(id));
            let kind = match piece {
                None => Kind::Unknown,
                Some(name) if specials.contains(&id) => Kind::Special(name),
                Some(text) => Kind::Text(text),
            };
            if self.plain {
                let mark = if trained { 'T' } else { '.' };
                writeln!(
                    out,
                    "{at:>6}  {:<9}  {mark}  {id:>6}  {}",
                    name(role),
                    kind.quoted(id)
                )?;
            } else {
                if before != Some(role) {
                    let line = if at == 0 { "" } else { "\n" };
                    writeln!(out, "{line}\u{1b}[36m[{}]\u{1b}[0m", name(role))?;
                }
                write!(out, "{}", kind.colored(id, trained, at % 2 == 1))?;
            }
            before = Some(role);
        }
        writeln!(out)
    }
}

/// What stands behind an id.
enum Kind {
    Unknown,
    Special(Vec<u8>),
    Text(Vec<u8>),
}

impl Kind {
    fn quoted(&self, id: u32) -> String {
        match self {
            Kind::Unknown => format!("?{id}: no such id"),
            Kind::Special(name) => plain(&String::from_utf8_lossy(name)),
            Kind::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => plain(&format!("{text:?}")),
                // Part of a letter.
                Err(_) => format!("b\"{}\"", bytes.escape_ascii()),
            },
        }
    }

    fn colored(&self, id: u32, trained: bool, odd: bool) -> String {
        let ground = if odd { "48;5;236" } else { "49" };
        let ink = if trained { "1;32" } else { "39" };
        match self {
            Kind::Unknown => format!("\u{1b}[1;41m?{id}\u{1b}[0m"),
            Kind::Special(name) => {
                let ink = if trained { "1;32" } else { "33" };
                format!(
                    "\u{1b}[7;{ink}m{}\u{1b}[0m",
                    plain(&String::from_utf8_lossy(name))
                )
            }
            Kind::Text(bytes) => {
                let text = match std::str::from_utf8(bytes) {
                    Ok(text) => plain(text),
                    Err(_) => bytes.escape_ascii().to_string(),
                };
                // A ground that reaches over the end of a line would color the rest of it.
                let text = text.replace('\n', &format!("↵\u{1b}[0m\n\u{1b}[{ground};{ink}m"));
                format!("\u{1b}[{ground};{ink}m{text}\u{1b}[0m")
            }
        }
    }
}
