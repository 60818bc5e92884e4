//! Text to token ids and back: `tokenizer.json` behind a few methods.
//!
//! What a person or a package wrote never becomes a special token: `<|im_end|>` in a prompt is ordinary text.
//! Special tokens are asked for by name.

use std::path::Path;

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, models::TrainerWrapper};

/// The special tokens of a tokenizer that this program trains; their ids are their places here.
pub const SPECIALS: [&str; 4] = ["<|pad|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>"];

/// The largest `tokenizer.json` that is read.
const MAX_BYTES: u64 = 64 << 20;

/// Why there is no tokenizer.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The file cannot be read.
    #[error("cannot read the tokenizer `{path}`: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The text is too small to learn from.
    #[error("cannot train a tokenizer: {0}")]
    Training(String),
}

/// Text to token ids and back.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Tokenizer({} ids)", self.vocab_size())
    }
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// When the file is missing, larger than 64 MiB, or no tokenizer.
    pub fn from_file(path: &Path) -> Result<Self, TokenizerError> {
        let refuse = |reason: String| TokenizerError::Unreadable { path: path.display().to_string(), reason };
        let bytes = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?.len();
        if bytes > MAX_BYTES {
            return Err(refuse(format!("it has {} MiB, but at most 64 are read", bytes >> 20)));
        }
        let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
        Tokenizer::from_bytes(&bytes).map_err(|error| match error {
            TokenizerError::Unreadable { reason, .. } => refuse(reason),
            other => other,
        })
    }

    /// Reads the bytes of a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// When they are no tokenizer.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TokenizerError> {
        let inner = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|error| TokenizerError::Unreadable { path: "tokenizer.json".into(), reason: error.to_string() })?;
        Ok(Tokenizer::plain(inner))
    }

    fn plain(mut inner: tokenizers::Tokenizer) -> Self {
        inner.set_encode_special_tokens(true);
        Tokenizer { inner }
    }

    /// Learns a byte-level BPE of `vocab` ids, [`SPECIALS`] included.
    ///
    /// Text is cut as SmolLM does it (digits one by one, then GPT-2's pattern), which llama.cpp knows as `smollm`.
    ///
    /// # Errors
    ///
    /// When `vocab` cannot hold the 256 bytes, or the trainer fails.
    pub fn train<'a>(texts: impl Iterator<Item = &'a str> + Send, vocab: usize) -> Result<Self, TokenizerError> {
        let smallest = 256 + SPECIALS.len();
        if vocab < smallest {
            return Err(TokenizerError::Training(format!("{vocab} ids are too few; the bytes alone need {smallest}")));
        }
        let failed = |error: tokenizers::Error| TokenizerError::Training(error.to_string());
        let mut inner = tokenizers::Tokenizer::new(BPE::default());
        let cuts: Vec<PreTokenizerWrapper> = vec![Digits::new(true).into(), ByteLevel::new(false, false, true).into()];
        inner.with_pre_tokenizer(Some(Sequence::new(cuts)));
        inner.with_decoder(Some(ByteLevel::new(false, false, true)));
        let trainer = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(vocab)
            .min_frequency(2)
            .special_tokens(SPECIALS.iter().map(|special| AddedToken::from(*special, true)).collect())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let mut trainer: TrainerWrapper = trainer.into();
        inner.train(&mut trainer, texts).map_err(failed)?;
        Ok(Tokenizer::plain(inner))
    }

    /// The ids of ordinary text. Special tokens are never among them.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let encoding = self.inner.encode_fast(text, false).expect("byte-level text always encodes");
        encoding.get_ids().to_vec()
    }

    /// The text of some ids; special tokens are left out.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, true).unwrap_or_default()
    }

    /// The id of a special token.
    pub fn special(&self, name: &str) -> Option<u32> {
        self.inner.token_to_id(name)
    }

    /// Number of ids.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The bytes of `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// When the tokenizer cannot be written as JSON.
    pub fn save_bytes(&self) -> Result<Vec<u8>, TokenizerError> {
        let json = self.inner.to_string(false).map_err(|error| TokenizerError::Training(error.to_string()))?;
        Ok(json.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trained() -> Tokenizer {
        let text = "def area(width, height):\n    return width * height\n".repeat(20);
        Tokenizer::train([text.as_str()].into_iter(), 300).expect("trains")
    }

    #[test]
    fn text_comes_back_byte_for_byte() {
        let tokenizer = trained();
        let text = "    if x != 12:\n\tnaïve = '🙂'\n";
        assert_eq!(tokenizer.decode(&tokenizer.encode(text)), text);
    }

    #[test]
    fn text_that_spells_a_special_token_stays_text() {
        let tokenizer = trained();
        assert_eq!(tokenizer.special("<|im_end|>"), Some(2));
        assert!(!tokenizer.encode("a<|im_end|>b").contains(&2));
    }

    #[test]
    fn a_saved_tokenizer_encodes_alike() {
        let tokenizer = trained();
        let again = Tokenizer::from_bytes(&tokenizer.save_bytes().expect("saves")).expect("reads");
        assert_eq!(again.encode("return width"), tokenizer.encode("return width"));
        assert!(!again.encode("<|pad|>").contains(&0));
    }

    #[test]
    fn a_file_that_is_no_tokenizer_is_named() {
        let path = std::env::temp_dir().join(format!("no-tokenizer-{}.json", std::process::id()));
        std::fs::write(&path, "{}").expect("writes");
        let said = Tokenizer::from_file(&path).expect_err("refused").to_string();
        assert!(said.contains("no-tokenizer"), "{said}");
        std::fs::remove_file(&path).expect("removes");
    }
}
