//! Mistral's `tekken.json`: byte-level merges told by their ranks, behind a block of special tokens.
//!
//! In: the bytes of the file. Out: the ids that `mistral-common` gives. The special tokens have the first ids, and the
//! rank of every other token is added to their number.
//! Example: with 1,000 special tokens the byte `a` (97) is id 1097.

use std::collections::{HashMap, HashSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tiktoken_rs::CoreBPE;

/// What files before version 8 leave out.
const USUAL_SPECIALS: [&str; 20] = [
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
];
/// Bytes come first among the merges, in order.
const BYTES: usize = 256;
/// Special tokens that a file may ask for.
const MAX_SPECIALS: usize = 1 << 16;
/// Blanks in a row that are cut as one piece: longer runs would exhaust the stack of the expression that cuts.
const LONGEST_BLANK: usize = 1 << 16;

#[derive(Deserialize)]
struct File {
    vocab: Vec<Token>,
    special_tokens: Option<Vec<Special>>,
    config: Config,
}

#[derive(Deserialize)]
struct Token {
    rank: usize,
    token_bytes: String,
}

#[derive(Deserialize)]
struct Special {
    rank: usize,
    token_str: String,
}

#[derive(Deserialize)]
struct Config {
    pattern: String,
    default_vocab_size: usize,
    default_num_special_tokens: usize,
    version: String,
}

/// A tokenizer of the Tekken family.
#[derive(Clone)]
pub(super) struct Tekken {
    merges: CoreBPE,
    /// The bytes of each token behind the special ones.
    pieces: Vec<Vec<u8>>,
    /// The special tokens by id.
    pub(super) specials: Vec<String>,
    /// As the file says it: 3, 7, 11, 13.
    pub(super) version: u32,
    /// What was read: it is written back as it was.
    pub(super) bytes: Vec<u8>,
}

impl fmt::Debug for Tekken {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(
            out,
            "Tekken v{} with {} ids",
            self.version,
            self.vocab_size()
        )
    }
}

impl Tekken {
    /// Reads the bytes of a `tekken.json`.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the file.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Tekken, String> {
        let file: File = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let Config {
            pattern,
            default_vocab_size,
            default_num_special_tokens,
            version,
        } = file.config;
        let number = version
            .strip_prefix('v')
            .and_then(|version| version.split(['m', '-']).next());
        let version = number
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| format!("its version is `{version}`; one like `v7` is needed"))?;
        let specials = specials(file.special_tokens, default_num_special_tokens)?;
        let count = default_vocab_size
            .checked_sub(specials.len())
            .filter(|count| *count >= BYTES);
        let count = count.ok_or_else(|| {
            format!(
                "`default_vocab_size` is {default_vocab_size}: no room for {} special tokens and 256 bytes",
                specials.len()
            )
        })?;
        if count > file.vocab.len() {
            return Err(format!(
                "`default_vocab_size` asks for {count} tokens, but `vocab` has {}",
                file.vocab.len()
            ));
        }
        let pieces = file.vocab[..count]
            .iter()
            .enumerate()
            .map(piece)
            .collect::<Result<Vec<_>, _>>()?;
        let ranks: HashMap<Vec<u8>, u32, _> = (pieces.iter().cloned()).zip(0..).collect();
        if ranks.len() != pieces.len() {
            return Err("two tokens of `vocab` are the same bytes".into());
        }
        let merges = CoreBPE::new(ranks, HashMap::default(), &pattern).map_err(|error| {
            format!("`config.pattern` is no expression that can be used: {error}")
        })?;
        Ok(Tekken {
            merges,
            pieces,
            specials,
            version,
            bytes: bytes.to_vec(),
        })
    }

    /// The ids of `text`. Special tokens in it are ordinary text.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let first = self.specials.len() as u32;
        let ids = blocks(text).flat_map(|block| self.merges.encode_ordinary(block));
        ids.map(|rank| rank + first).collect()
    }

    /// The ids of `text`, in which special tokens are special tokens, the longest first; `around` begins it with `<s>`.
    pub(super) fn encode_rendered(&self, text: &str, around: bool) -> Vec<u32> {
        let id = |name: &str| {
            self.specials
                .iter()
                .position(|special| special == name)
                .map(|id| id as u32)
        };
        let mut ids: Vec<u32> = id("<s>").filter(|_| around).into_iter().collect();
        let first: HashSet<u8> = self
            .specials
            .iter()
            .map(|special| special.as_bytes()[0])
            .collect();
        let (mut from, mut at) = (0, 0);
        while at < text.len() {
            let rest = &text[at..];
            let begins = first.contains(&rest.as_bytes()[0]);
            let found = self
                .specials
                .iter()
                .zip(0..)
                .filter(|(special, _)| begins && rest.starts_with(special.as_str()));
            match found.max_by_key(|(special, _)| special.len()) {
                Some((special, id)) => {
                    ids.extend(self.encode(&text[from..at]));
                    ids.push(id);
                    at += special.len();
                    from = at;
                }
                None => at += rest.chars().next().map_or(1, char::len_utf8),
            }
        }
        ids.extend(self.encode(&text[from..]));
        ids
    }

    /// The bytes of a token, special ones by name.
    pub(super) fn piece(&self, id: u32) -> Option<&[u8]> {
        match self.specials.get(id as usize) {
            Some(special) => Some(special.as_bytes()),
            None => self
                .pieces
                .get(id as usize - self.specials.len())
                .map(Vec::as_slice),
        }
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.specials.len() + self.pieces.len()
    }
}

/// The special tokens by id; ids without a name are `<SPECIAL_n>`.
fn specials(told: Option<Vec<Special>>, count: usize) -> Result<Vec<String>, String> {
    let told = told.unwrap_or_else(|| {
        let usual = USUAL_SPECIALS.iter().enumerate();
        usual
            .map(|(rank, name)| Special {
                rank,
                token_str: (*name).to_string(),
            })
            .collect()
    });
    if count > MAX_SPECIALS || told.len() > count {
        let most = MAX_SPECIALS;
        return Err(format!(
            "{} special tokens do not fit into {count}, of which {most} are possible",
            told.len()
        ));
    }
    let mut names: Vec<String> = (0..count).map(|id| format!("<SPECIAL_{id}>")).collect();
    for (place, special) in told.iter().enumerate() {
        if special.rank != place || special.token_str.is_empty() {
            return Err(format!(
                "special token {place} has the rank {}",
                special.rank
            ));
        }
        names[place].clone_from(&special.token_str);
    }
    match names.iter().collect::<HashSet<_>>().len() {
        distinct if distinct == count => Ok(names),
        _ => Err("two special tokens have the same name".into()),
    }
}

fn piece((place, token): (usize, &Token)) -> Result<Vec<u8>, String> {
    if token.rank != place {
        return Err(format!(
            "token {place} of `vocab` has the rank {}",
            token.rank
        ));
    }
    let bytes = STANDARD.decode(&token.token_bytes);
    let bytes = bytes.map_err(|error| format!("token {place} of `vocab` is no base64: {error}"))?;
    if bytes.is_empty() || place < BYTES && bytes != [place as u8] {
        return Err(format!("token {place} of `vocab` has the wrong bytes"));
    }
    Ok(bytes)
}

/// The text in blocks whose runs of blanks are not too long; for all texts but hostile ones that is all of it.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut run = 0;
        let cut = rest.char_indices().find_map(|(at, letter)| {
            run = if letter.is_whitespace() { run + 1 } else { 0 };
            (run > LONGEST_BLANK).then_some(at)
        });
        let (block, after) = rest.split_at(cut.unwrap_or(rest.len()));
        rest = after;
        (!block.is_empty()).then_some(block)
    })
}
