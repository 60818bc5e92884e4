//! A `tokenizer.json`, as the libraries of Hugging Face write it.
//!
//! Parts of a conversation are encoded in one go, because some tokenizers treat the beginning of a text unlike the rest.
//! Where a special token is meant, a mark stands that no text contains; what looks like a special token in a text is
//! never one.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use serde::Deserialize;
use tokenizers::{AddedToken, DecoderWrapper, PaddingParams};

use super::Part;
use crate::child::said;

/// Begins a mark; a code point that Unicode sets aside for such uses.
const MARK: char = '\u{fdd0}';
/// Ends a mark.
const MARK_END: char = '\u{fdd1}';

/// The parts of the file that the library takes on trust.
#[derive(Deserialize)]
struct Shape {
    model: ModelShape,
}

#[derive(Deserialize)]
struct ModelShape {
    continuing_subword_prefix: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// A tokenizer that `tokenizer.json` describes.
#[derive(Clone, Debug)]
pub(super) struct Json {
    pub(super) inner: tokenizers::Tokenizer,
    /// The special tokens with their ids, by id.
    pub(super) specials: Vec<(String, u32)>,
    marked: OnceLock<Option<Marked>>,
    /// The tokenizer that reads special tokens out of a text.
    rendered: OnceLock<tokenizers::Tokenizer>,
}

/// The tokenizer with a mark for each special token.
#[derive(Clone, Debug)]
struct Marked {
    inner: tokenizers::Tokenizer,
    /// The special token of a mark; none for the mark of a cut.
    meaning: HashMap<u32, Option<u32>>,
}

impl Json {
    /// Reads the bytes of a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the file.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Json, String> {
        let shape: Shape = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let prefix = shape
            .model
            .continuing_subword_prefix
            .as_deref()
            .unwrap_or_default();
        if shape.model.kind.as_deref() == Some("BPE") && !prefix.is_empty() {
            return Err(format!(
                "its pieces begin with `{prefix}`; no model that can be trained here does that"
            ));
        }
        let read = catch_unwind(AssertUnwindSafe(|| {
            tokenizers::Tokenizer::from_bytes(bytes)
        }));
        let inner = read
            .map_err(|panic| said(panic.as_ref()).to_string())?
            .map_err(|error| error.to_string())?;
        if inner.get_vocab_size(true) == 0 {
            return Err("its vocabulary is empty".to_string());
        }
        Json::new(inner)
    }

    pub(super) fn new(mut inner: tokenizers::Tokenizer) -> Result<Json, String> {
        // A file may ask to cut or to fill every text; nothing is lost or added behind our back.
        inner
            .with_truncation(None)
            .map_err(|error| error.to_string())?;
        inner.with_padding(None::<PaddingParams>);
        inner.set_encode_special_tokens(true);
        let added = inner.get_added_tokens_decoder();
        let mut specials: Vec<(String, u32)> = added
            .into_iter()
            .filter(|(_, token)| token.special)
            .map(|(id, token)| (token.content, id))
            .collect();
        specials.sort_by_key(|(_, id)| *id);
        Ok(Json {
            inner,
            specials,
            marked: OnceLock::new(),
            rendered: OnceLock::new(),
        })
    }

    /// The ids of `text`. Special tokens in it are ordinary text.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .expect("a tokenizer that loads takes every text");
        encoding.get_ids().to_vec()
    }

    /// The ids of `text`, in which special tokens are special tokens; `around` adds those of the post-processor.
    pub(super) fn encode_rendered(&self, text: &str, around: bool) -> Vec<u32> {
        let rendered = self.rendered.get_or_init(|| {
            let mut inner = self.inner.clone();
            inner.set_encode_special_tokens(false);
            inner
        });
        let encoding = rendered
            .encode_fast(text, around)
            .expect("a tokenizer that loads takes every text");
        encoding.get_ids().to_vec()
    }

    /// The ids of each part, as they are in the whole text.
    pub(super) fn encode_parts(&self, parts: &[Part]) -> Vec<Vec<u32>> {
        let marked = self.marked.get_or_init(|| self.with_marks());
        let clean = parts
            .iter()
            .all(|part| !matches!(part, Part::Text(text) if text.contains(MARK)));
        let together = marked
            .as_ref()
            .filter(|_| clean)
            .and_then(|marked| marked.encode(parts));
        together.unwrap_or_else(|| {
            let apart = |part: &Part| match part {
                Part::Text(text) => self.encode(text),
                Part::Special(id) => vec![*id],
            };
            parts.iter().map(apart).collect()
        })
    }

    fn with_marks(&self) -> Option<Marked> {
        let mut inner = self.inner.clone();
        let added = inner.get_added_tokens_decoder();
        // A mark takes the blanks around it as its token would. It is no special token: those are off.
        let mark = |id: u32| {
            let token = added.get(&id);
            let (lstrip, rstrip) =
                token.map_or((false, false), |token| (token.lstrip, token.rstrip));
            AddedToken::from(mark_of(Some(id)), false)
                .normalized(false)
                .lstrip(lstrip)
                .rstrip(rstrip)
        };
        let cut = AddedToken::from(mark_of(None), false).normalized(false);
        let marks = self.specials.iter().map(|(_, id)| mark(*id)).chain([cut]);
        inner.add_tokens(marks.collect::<Vec<_>>()).ok()?;
        let meanings = self.specials.iter().map(|(_, id)| Some(*id)).chain([None]);
        let meaning = meanings
            .map(|meaning| Some((inner.token_to_id(&mark_of(meaning))?, meaning)))
            .collect::<Option<_>>()?;
        Some(Marked { inner, meaning })
    }

    /// The bytes of a token: the name of a special one, else what it adds to a text.
    pub(super) fn piece(&self, id: u32) -> Option<Vec<u8>> {
        let token = self.inner.id_to_token(id)?;
        if self
            .inner
            .get_added_vocabulary()
            .get_added_tokens_decoder()
            .contains_key(&id)
        {
            return Some(token.into_bytes());
        }
        if is_byte_level(self.inner.get_decoder()) {
            let bytes: Option<Vec<u8>> = token.chars().map(byte_of).collect();
            return Some(bytes.unwrap_or_else(|| token.into_bytes()));
        }
        let hex = token
            .strip_prefix("<0x")
            .and_then(|rest| rest.strip_suffix('>'));
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            return Some(vec![byte]);
        }
        Some(token.replace('\u{2581}', " ").into_bytes())
    }
}

impl Marked {
    /// None where the tokenizer does not give every mark back.
    fn encode(&self, parts: &[Part]) -> Option<Vec<Vec<u32>>> {
        let mut text = String::new();
        let mut after_text = false;
        for part in parts {
            match part {
                Part::Text(part) => {
                    if after_text {
                        text.push_str(&mark_of(None));
                    }
                    text.push_str(part);
                }
                Part::Special(id) => text.push_str(&mark_of(Some(*id))),
            }
            after_text = matches!(part, Part::Text(_));
        }
        let encoding = self.inner.encode_fast(text, false).ok()?;
        let mut ids = vec![Vec::new(); parts.len()];
        let mut at = 0;
        for id in encoding.get_ids() {
            match self.meaning.get(id) {
                None => ids.get_mut(at)?.push(*id),
                Some(None) => at += 1,
                Some(Some(special)) => {
                    at += usize::from(matches!(parts.get(at)?, Part::Text(_)));
                    if parts.get(at) != Some(&Part::Special(*special)) {
                        return None;
                    }
                    ids[at].push(*special);
                    at += 1;
                }
            }
        }
        Some(ids)
    }
}

/// How a special token, or a cut, is written for the tokenizer alone.
fn mark_of(special: Option<u32>) -> String {
    let name = special.map(|id| id.to_string()).unwrap_or_default();
    format!("{MARK}{name}{MARK_END}")
}

fn is_byte_level(decoder: Option<&DecoderWrapper>) -> bool {
    match decoder {
        Some(DecoderWrapper::ByteLevel(_)) => true,
        Some(DecoderWrapper::Sequence(all)) => all
            .get_decoders()
            .iter()
            .any(|decoder| matches!(decoder, DecoderWrapper::ByteLevel(_))),
        _ => false,
    }
}

/// The byte behind a letter of the byte-level alphabet: printable bytes stand for themselves, the others come in order
/// from U+0100 on.
fn byte_of(letter: char) -> Option<u8> {
    let prints = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    match u32::from(letter) {
        code @ 0..=0xff => u8::try_from(code).ok().filter(|byte| prints(*byte)),
        code => (0..=255)
            .filter(|byte| !prints(*byte))
            .nth(code as usize - 0x100),
    }
}
