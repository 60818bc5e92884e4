//! Text to token ids and back, through a `tokenizer.json`.
//!
//! In: text, or a file that other tools wrote as well. Out: ids. Markers such as `<|im_end|>` are never read out of
//! text: they are asked for by name, so nobody ends a turn by writing the marker into a file.
//! Example: `x = 12` is `x`, ` =`, ` `, `1`, `2`.

use std::fs;
use std::path::Path;

use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, PaddingParams};

use crate::file::FileError;

/// The largest `tokenizer.json` that is read.
pub const MAX_BYTES: u64 = 64 << 20;

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
    inner: tokenizers::Tokenizer,
    vocab_size: usize,
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
    #[error("`{name}` is no tokenizer: {reason}")]
    Unreadable {
        /// The file.
        name: String,
        /// What is wrong.
        reason: String,
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
    /// Reads a `tokenizer.json`.
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
        Tokenizer::named(&fs::read(path).map_err(read_error)?, &name)
    }

    /// Reads the bytes of a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::from_file`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Tokenizer, TokenizerError> {
        Tokenizer::named(bytes, "tokenizer.json")
    }

    fn named(bytes: &[u8], name: &str) -> Result<Tokenizer, TokenizerError> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(TokenizerError::TooLarge { name: name.to_string(), bytes: bytes.len() as u64 });
        }
        let unreadable = |reason: String| TokenizerError::Unreadable { name: name.to_string(), reason };
        let inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| unreadable(error.to_string()))?;
        if inner.get_vocab_size(true) == 0 {
            return Err(unreadable("its vocabulary is empty".to_string()));
        }
        Tokenizer::of(inner).map_err(unreadable)
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
            return Err(TokenizerError::TooSmall { asked: vocab_size, least });
        }
        let trainer = BpeTrainerBuilder::new()
            .vocab_size(vocab_size)
            .min_frequency(2)
            .show_progress(false)
            .special_tokens(specials.iter().map(|special| AddedToken::from(*special, true)).collect())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let cuts: Vec<PreTokenizerWrapper> = vec![Digits::new(true).into(), ByteLevel::new(false, false, true).into()];
        let mut inner = tokenizers::Tokenizer::new(BPE::default());
        inner.with_pre_tokenizer(Some(Sequence::new(cuts)));
        inner.with_decoder(Some(ByteLevel::new(false, false, true)));
        let failed = |reason| TokenizerError::Failed { doing: "train", reason };
        inner.train(&mut TrainerWrapper::from(trainer), texts).map_err(|error| failed(error.to_string()))?;
        Tokenizer::of(inner).map_err(failed)
    }

    fn of(mut inner: tokenizers::Tokenizer) -> Result<Tokenizer, String> {
        // A file may ask to cut or to fill every text; nothing is lost or added behind our back.
        inner.with_truncation(None).map_err(|error| error.to_string())?;
        inner.with_padding(None::<PaddingParams>);
        inner.set_encode_special_tokens(true);
        let largest = inner.get_vocab(true).values().max().map_or(0, |id| *id as usize);
        Ok(Tokenizer { inner, vocab_size: largest + 1 })
    }

    /// The ids of `text`. Markers in it are ordinary text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let encoding = self.inner.encode_fast(text, false).expect("a tokenizer that loads takes every text");
        encoding.get_ids().to_vec()
    }

    /// The text of `ids`. An id that is unknown is left out, bytes that are no UTF-8 become `�`.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, false).unwrap_or_default()
    }

    /// The id of a marker.
    pub fn special(&self, name: &str) -> Option<u32> {
        self.inner.token_to_id(name).filter(|_| self.inner.get_added_vocabulary().is_special_token(name))
    }

    /// One more than the largest id: the rows that an embedding needs.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The bytes of `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON.
    pub fn save_bytes(&self) -> Result<Vec<u8>, TokenizerError> {
        let failed = |reason| TokenizerError::Failed { doing: "write", reason };
        self.inner.to_string(true).map(String::into_bytes).map_err(|error| failed(error.to_string()))
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
pub(crate) mod tests {
    use super::*;

    pub(crate) fn trained() -> Tokenizer {
        let texts = ["def add(a, b):\n    return a + b\n", "1|def sub(a, b):\n2|    return a - b", "user\nassistant\n"];
        Tokenizer::train(texts.iter().cycle().take(30), 320, &SPECIALS).expect("trains")
    }

    fn pieces(text: &str) -> Vec<String> {
        let tokenizer = trained();
        tokenizer.encode(text).iter().map(|id| tokenizer.decode(&[*id])).collect()
    }

    #[test]
    fn every_text_comes_back() {
        let tokenizer = trained();
        for text in ["", "def f():\n\tpass\r\n", "naïve 東京 \u{1F600}", "  \n\n   x", "<|im_end|>\0"] {
            assert_eq!(tokenizer.decode(&tokenizer.encode(text)), text);
        }
    }

    #[test]
    fn a_marker_in_a_text_stays_text() {
        let tokenizer = trained();
        let reloaded = Tokenizer::from_bytes(&tokenizer.save_bytes().expect("writes")).expect("reads");
        for tokenizer in [tokenizer, reloaded] {
            for (id, name) in SPECIALS.iter().enumerate() {
                assert_eq!(tokenizer.special(name), Some(id as u32));
                let ids = tokenizer.encode(&format!("a{name}b"));
                assert!(ids.iter().all(|id| *id as usize >= SPECIALS.len()), "{name}");
            }
            assert_eq!(tokenizer.special("a"), None);
        }
    }

    #[test]
    fn digits_stand_alone_and_indentation_is_one_piece() {
        assert_eq!(pieces("12|    return a"), ["1", "2", "|", "   ", " return", " a"]);
    }

    #[test]
    fn the_same_texts_give_the_same_tokenizer() {
        let (one, two) = (trained(), trained());
        assert_eq!(one.save_bytes().expect("writes"), two.save_bytes().expect("writes"));
        assert!(one.vocab_size() <= 320);
        assert!(one.encode("naïve").iter().all(|id| (*id as usize) < one.vocab_size()));
    }

    #[test]
    fn a_file_that_is_no_tokenizer_is_named() {
        let path = std::env::temp_dir().join(format!("tokenizer-test-{}.json", std::process::id()));
        fs::write(&path, "{\"version\": 7}").expect("writes");
        let refused = Tokenizer::from_file(&path).expect_err("is refused").to_string();
        assert!(refused.contains(&path.display().to_string()), "{refused}");
        let file = fs::File::create(&path).expect("creates");
        file.set_len(MAX_BYTES + 1).expect("grows");
        assert!(matches!(Tokenizer::from_file(&path), Err(TokenizerError::TooLarge { .. })));
        fs::remove_file(&path).expect("cleans up");
        assert!(matches!(Tokenizer::from_file(&path), Err(TokenizerError::File(_))));
    }

    #[test]
    fn a_vocabulary_without_room_for_all_bytes_is_refused() {
        let refused = Tokenizer::train(["a"].iter(), 259, &SPECIALS);
        assert!(matches!(refused, Err(TokenizerError::TooSmall { least: 260, .. })));
    }
}
