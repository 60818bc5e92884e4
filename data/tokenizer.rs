//! Text to token ids and back, through a `tokenizer.json` or Mistral's `tekken.json`.
//!
//! In: text, or a file that other tools wrote as well. Out: ids. Markers such as `<|im_end|>` are never read out of
//! text: they are asked for by name, so nobody ends a turn by writing the marker into a file.
//! Example: `x = 12` is `x`, ` =`, ` `, `1`, `2`.

mod json;
mod tekken;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tokenizers::AddedToken;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

use crate::file::FileError;
use json::Json;
use tekken::Tekken;

/// The largest file of a tokenizer that is read.
pub const MAX_BYTES: u64 = 64 << 20;

/// The file of a tokenizer as Hugging Face writes it.
pub const JSON_FILE: &str = "tokenizer.json";
/// The file of a tokenizer as Mistral writes it.
pub const TEKKEN_FILE: &str = "tekken.json";

/// Pads a batch; id 0 in a tokenizer trained here.
pub const PAD: &str = "<|pad|>";
/// Begins a turn; id 1.
pub const START: &str = "<|im_start|>";
/// Ends a turn; id 2.
pub const END: &str = "<|im_end|>";
/// Ends a document; id 3.
pub const END_OF_TEXT: &str = "<|endoftext|>";
/// The markers of a tokenizer trained here, by id.
pub const SPECIALS: [&str; 4] = [PAD, START, END, END_OF_TEXT];

/// Byte-level tokens: no merge is needed to write any text.
const BYTES: usize = 256;

/// Text to token ids and back.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    /// The file it came from, for errors.
    name: String,
    kind: Kind,
    vocab_size: usize,
}

#[derive(Clone, Debug)]
enum Kind {
    Json(Box<Json>),
    Tekken(Arc<Tekken>),
}

/// A part of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Written by somebody: markers in it are ordinary text.
    Text(String),
    /// A marker.
    Special(u32),
}

/// Why there is no [`Tokenizer`].
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is too large.
    #[error("`{name}` has {bytes} bytes; a tokenizer may have {MAX_BYTES}")]
    TooLarge {
        /// The file.
        name: String,
        /// Its size.
        bytes: u64,
    },
    /// The file is no tokenizer.
    #[error(
        "`{name}` is no tokenizer: {reason}{}",
        crate::Hint("name a `tokenizer.json` of Hugging Face or a `tekken.json` of Mistral")
    )]
    Unreadable {
        /// The file.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A folder has no file of a tokenizer.
    #[error(
        "`{0}` has no tokenizer: neither `tokenizer.json` nor `tekken.json`{hint}",
        hint = crate::Hint("copy the file from where the model came from")
    )]
    Missing(String),
    /// The model has no row for an id.
    #[error(
        "`{name}` has the id {id} (`{token}`), but the model knows {known} ids{}",
        crate::Hint("copy tokenizer and model from the same place, or give the model more rows")
    )]
    BeyondVocabulary {
        /// The file.
        name: String,
        /// The largest id.
        id: u32,
        /// The token behind it.
        token: String,
        /// `vocab_size` of the model.
        known: usize,
    },
    /// The bytes and the markers alone need more room.
    #[error("a vocabulary of {asked} is too small: bytes and markers take {least}")]
    TooSmall {
        /// What was asked for.
        asked: usize,
        /// What is needed.
        least: usize,
    },
    /// The tokenizer could not be trained or written.
    #[error("cannot {doing} the tokenizer: {reason}")]
    Failed {
        /// `train` or `write`.
        doing: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl Tokenizer {
    /// Reads the tokenizer of a model folder: `tokenizer.json`, else `tekken.json`.
    ///
    /// # Errors
    ///
    /// When there is none, or as [`Tokenizer::from_file`].
    pub fn from_folder(folder: &Path) -> Result<Tokenizer, TokenizerError> {
        let found = [JSON_FILE, TEKKEN_FILE]
            .map(|name| folder.join(name))
            .into_iter()
            .find(|file| file.exists());
        match found {
            Some(file) => Tokenizer::from_file(&file),
            None => Err(TokenizerError::Missing(folder.display().to_string())),
        }
    }

    /// Reads a `tokenizer.json`; a file with `tekken` in its name is read as one of Mistral's.
    ///
    /// # Errors
    ///
    /// When it is missing, too large or no tokenizer; the error names it.
    pub fn from_file(path: &Path) -> Result<Tokenizer, TokenizerError> {
        let read_error = |error| FileError::new("read", path, error);
        let bytes = fs::metadata(path).map_err(read_error)?.len();
        let name = path.display().to_string();
        if bytes > MAX_BYTES {
            return Err(TokenizerError::TooLarge { name, bytes });
        }
        if let Some(reason) = crate::kind::not_fetched(path) {
            return Err(TokenizerError::Unreadable { name, reason });
        }
        let bytes = fs::read(path).map_err(read_error)?;
        let tekken = path
            .file_name()
            .is_some_and(|file| file.to_string_lossy().contains("tekken"));
        if tekken {
            Tokenizer::tekken(&bytes, &name)
        } else {
            Tokenizer::named(&bytes, &name)
        }
    }

    /// Reads the bytes of a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::from_file`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Tokenizer, TokenizerError> {
        Tokenizer::named(bytes, JSON_FILE)
    }

    fn named(bytes: &[u8], name: &str) -> Result<Tokenizer, TokenizerError> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(TokenizerError::TooLarge {
                name: name.to_string(),
                bytes: bytes.len() as u64,
            });
        }
        let unreadable = |reason: String| TokenizerError::Unreadable {
            name: name.to_string(),
            reason,
        };
        Ok(Tokenizer::from_json(
            Json::from_bytes(bytes).map_err(unreadable)?,
            name,
        ))
    }

    fn tekken(bytes: &[u8], name: &str) -> Result<Tokenizer, TokenizerError> {
        let unreadable = |reason: String| TokenizerError::Unreadable {
            name: name.to_string(),
            reason,
        };
        let tekken = Tekken::from_bytes(bytes).map_err(unreadable)?;
        Ok(Tokenizer {
            name: name.into(),
            vocab_size: tekken.vocab_size(),
            kind: Kind::Tekken(Arc::new(tekken)),
        })
    }

    /// Learns byte-level merges from `texts`; `specials` take the first ids in order.
    ///
    /// Digits stand alone, a run of blanks is one piece, and punctuation never melts with a name: what a model copies
    /// looks the same wherever it stands. llama.cpp knows this way of cutting as `smollm`.
    /// Merges come from what is seen: `texts` hold the prompts as well, where blanks follow `2|` and not a newline.
    ///
    /// # Errors
    ///
    /// When `vocab_size` is too small for the bytes and the markers.
    pub fn train<S: AsRef<str> + Send>(
        texts: impl Iterator<Item = S> + Send,
        vocab_size: usize,
        specials: &[&str],
    ) -> Result<Tokenizer, TokenizerError> {
        let least = BYTES + specials.len();
        if vocab_size < least {
            return Err(TokenizerError::TooSmall {
                asked: vocab_size,
                least,
            });
        }
        let trainer = BpeTrainerBuilder::new()
            .vocab_size(vocab_size)
            .min_frequency(2)
            .show_progress(false)
            .special_tokens(
                specials
                    .iter()
                    .map(|special| AddedToken::from(*special, true))
                    .collect(),
            )
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let cuts: Vec<PreTokenizerWrapper> = vec![
            Digits::new(true).into(),
            ByteLevel::new(false, false, true).into(),
        ];
        let mut inner = tokenizers::Tokenizer::new(BPE::default());
        inner.with_pre_tokenizer(Some(Sequence::new(cuts)));
        inner.with_decoder(Some(ByteLevel::new(false, false, true)));
        let failed = |reason| TokenizerError::Failed {
            doing: "train",
            reason,
        };
        inner
            .train(&mut TrainerWrapper::from(trainer), texts)
            .map_err(|error| failed(error.to_string()))?;
        Ok(Tokenizer::from_json(
            Json::new(inner).map_err(failed)?,
            JSON_FILE,
        ))
    }

    fn from_json(json: Json, name: &str) -> Tokenizer {
        let largest = json
            .inner
            .get_vocab(true)
            .values()
            .max()
            .map_or(0, |id| *id as usize);
        Tokenizer {
            name: name.to_string(),
            kind: Kind::Json(Box::new(json)),
            vocab_size: largest + 1,
        }
    }

    /// Refuses a tokenizer whose ids a model with `known` rows cannot look up.
    ///
    /// # Errors
    ///
    /// Names the file, the largest id and its token.
    pub fn require_within(&self, known: usize) -> Result<(), TokenizerError> {
        if self.vocab_size <= known {
            return Ok(());
        }
        let id = (self.vocab_size - 1) as u32;
        let token = String::from_utf8_lossy(&self.piece(id).unwrap_or_default()).into_owned();
        Err(TokenizerError::BeyondVocabulary {
            name: self.name.clone(),
            id,
            token,
            known,
        })
    }

    /// The ids of `text`. Markers in it are ordinary text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        match &self.kind {
            Kind::Json(json) => json.encode(text),
            Kind::Tekken(tekken) => tekken.encode(text),
        }
    }

    /// The ids of a text that its author has rendered, e.g. with a chat template: markers in it are special tokens, as they
    /// are for `transformers`, vLLM and llama.cpp. With `around` the tokenizer puts its own tokens around the text, such as
    /// the one that begins it.
    pub fn encode_rendered(&self, text: &str, around: bool) -> Vec<u32> {
        match &self.kind {
            Kind::Json(json) => json.encode_rendered(text, around),
            Kind::Tekken(tekken) => tekken.encode_rendered(text, around),
        }
    }

    /// The ids of each part. No token reaches from one part into the next, and each is what it is in the whole text.
    pub fn encode_parts(&self, parts: &[Part]) -> Vec<Vec<u32>> {
        match &self.kind {
            Kind::Json(json) => json.encode_parts(parts),
            Kind::Tekken(tekken) => {
                let apart = |part: &Part| match part {
                    Part::Text(text) => tekken.encode(text),
                    Part::Special(id) => vec![*id],
                };
                parts.iter().map(apart).collect()
            }
        }
    }

    /// The text of `ids`. An id that is unknown is left out, bytes that are no UTF-8 become `�`.
    pub fn decode(&self, ids: &[u32]) -> String {
        match &self.kind {
            Kind::Json(json) => json.inner.decode(ids, false).unwrap_or_default(),
            Kind::Tekken(tekken) => {
                let bytes: Vec<u8> = ids
                    .iter()
                    .filter_map(|id| tekken.piece(*id))
                    .flatten()
                    .copied()
                    .collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }

    /// The bytes that a token adds to a text; the name of a marker; none for an id that is unknown.
    pub fn piece(&self, id: u32) -> Option<Vec<u8>> {
        match &self.kind {
            Kind::Json(json) => json.piece(id),
            Kind::Tekken(tekken) => tekken.piece(id).map(<[u8]>::to_vec),
        }
    }

    /// The id of a marker.
    pub fn special(&self, name: &str) -> Option<u32> {
        match &self.kind {
            Kind::Json(json) => json
                .specials
                .iter()
                .find(|(special, _)| special == name)
                .map(|(_, id)| *id),
            Kind::Tekken(tekken) => tekken
                .specials
                .iter()
                .position(|special| special == name)
                .map(|id| id as u32),
        }
    }

    /// Every marker and its id, by id.
    pub fn specials(&self) -> Vec<(&str, u32)> {
        match &self.kind {
            Kind::Json(json) => json
                .specials
                .iter()
                .map(|(name, id)| (name.as_str(), *id))
                .collect(),
            Kind::Tekken(tekken) => tekken
                .specials
                .iter()
                .map(String::as_str)
                .zip(0..)
                .collect(),
        }
    }

    /// The version of a `tekken.json`, e.g. 7; none for a `tokenizer.json`.
    pub fn tekken_version(&self) -> Option<u32> {
        match &self.kind {
            Kind::Json(_) => None,
            Kind::Tekken(tekken) => Some(tekken.version),
        }
    }

    /// One more than the largest id: the rows that an embedding needs.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// What the file of [`Tokenizer::save_bytes`] is called in a model folder.
    pub fn file_name(&self) -> &'static str {
        match &self.kind {
            Kind::Json(_) => JSON_FILE,
            Kind::Tekken(_) => TEKKEN_FILE,
        }
    }

    /// The bytes of `tokenizer.json`, or of the `tekken.json` that was read.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON.
    pub fn save_bytes(&self) -> Result<Vec<u8>, TokenizerError> {
        let failed = |reason| TokenizerError::Failed {
            doing: "write",
            reason,
        };
        match &self.kind {
            Kind::Json(json) => json
                .inner
                .to_string(true)
                .map(String::into_bytes)
                .map_err(|error| failed(error.to_string())),
            Kind::Tekken(tekken) => Ok(tekken.bytes.clone()),
        }
    }

    /// The BLAKE3 of [`Tokenizer::save_bytes`], in hex: samples made with another tokenizer are told apart by it.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::save_bytes`].
    pub fn hash(&self) -> Result<String, TokenizerError> {
        Ok(blake3::hash(&self.save_bytes()?).to_hex().to_string())
    }
}

#[cfg(test)]
pub(crate) mod tests;
