//! Tokens to text while they come.
//!
//! In: one token after the other. Out: the text that is sure by now: whole characters, and nothing that may turn out to
//! be the start of a stop string.
//! Example: `é` comes as two tokens; the first gives "", the second `é`. With the stop string `END` the text `the E`
//! gives `the `, until the next token tells.

use data::Tokenizer;

/// Tokens after which bytes that make no character are told as they are: a character has four bytes at most.
const PATIENCE: usize = 8;

/// The text of an answer that is being written.
pub struct Detokenizer<'a> {
    tokenizer: &'a Tokenizer,
    stops: Vec<String>,
    tokens: Vec<u32>,
    // What `tokens[shown..read]` say stands in `text` already. They are decoded again together with what follows,
    // because some tokenizers drop the blank before the first token of a text.
    shown: usize,
    read: usize,
    text: String,
    told: usize,
    stopped: bool,
}

impl<'a> Detokenizer<'a> {
    /// An empty text that ends at the first of `stops`.
    pub fn new(tokenizer: &'a Tokenizer, stops: &[String]) -> Self {
        Detokenizer {
            tokenizer,
            stops: stops.to_vec(),
            tokens: Vec::new(),
            shown: 0,
            read: 0,
            text: String::new(),
            told: 0,
            stopped: false,
        }
    }

    /// Adds a token and returns what is newly sure.
    pub fn push(&mut self, token: u32) -> &str {
        self.tokens.push(token);
        let after = self.tokenizer.decode(&self.tokens[self.shown..]);
        let unfinished = after.ends_with(char::REPLACEMENT_CHARACTER);
        if !unfinished || self.tokens.len() - self.read >= PATIENCE {
            self.take(&after);
        }
        self.tell(false)
    }

    /// What was held back, when no more tokens come.
    pub fn finish(&mut self) -> &str {
        let after = self.tokenizer.decode(&self.tokens[self.shown..]);
        self.take(&after);
        self.tell(true)
    }

    /// True when a stop string came.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    fn take(&mut self, after: &str) {
        let before = self.tokenizer.decode(&self.tokens[self.shown..self.read]);
        self.text
            .push_str(after.get(before.len()..).unwrap_or_default());
        self.shown = self.read;
        self.read = self.tokens.len();
    }

    fn tell(&mut self, all: bool) -> &str {
        let from = self.told;
        if !self.stopped {
            let tail = &self.text[from..];
            if let Some(at) = self
                .stops
                .iter()
                .filter_map(|stop| tail.find(stop.as_str()))
                .min()
            {
                self.text.truncate(from + at);
                self.stopped = true;
            }
            let held = if all || self.stopped {
                0
            } else {
                held_back(&self.text[from..], &self.stops)
            };
            self.told = self.text.len() - held;
        }
        &self.text[from..self.told]
    }
}

/// The length of the longest end of `tail` with which one of `stops` begins.
fn held_back(tail: &str, stops: &[String]) -> usize {
    let of = |stop: &String| {
        let lengths = (1..stop.len().min(tail.len() + 1))
            .rev()
            .filter(|&length| stop.is_char_boundary(length));
        lengths
            .into_iter()
            .find(|&length| tail.ends_with(&stop[..length]))
            .unwrap_or(0)
    };
    stops.iter().map(of).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tokenizer whose tokens are bytes: every character beyond ASCII takes several.
    fn bytes() -> Tokenizer {
        Tokenizer::train(
            ["a b"].into_iter(),
            256 + data::tokenizer::SPECIALS.len(),
            &data::tokenizer::SPECIALS,
        )
        .expect("bytes alone")
    }

    fn pieces(text: &str, stops: &[&str]) -> (Vec<String>, bool) {
        let tokenizer = bytes();
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let mut detokenizer = Detokenizer::new(&tokenizer, &stops);
        let mut pieces = Vec::new();
        for token in tokenizer.encode(text) {
            pieces.push(detokenizer.push(token).to_owned());
            if detokenizer.is_stopped() {
                return (pieces, true);
            }
        }
        pieces.push(detokenizer.finish().to_owned());
        (pieces, false)
    }

    #[test]
    fn half_a_character_is_never_told() {
        assert_eq!(pieces("aé€b", &[]).0, ["a", "", "é", "", "", "€", "b", ""]);
    }

    #[test]
    fn an_answer_cut_within_a_character_ends_with_a_replacement() {
        let tokenizer = bytes();
        let mut detokenizer = Detokenizer::new(&tokenizer, &[]);
        assert_eq!(detokenizer.push(tokenizer.encode("€")[0]), "");
        assert_eq!(detokenizer.finish(), "\u{FFFD}");
    }

    #[test]
    fn bytes_that_never_become_a_character_do_not_hold_up_the_text() {
        let tokenizer = bytes();
        let lead = tokenizer.encode("€")[0];
        let mut detokenizer = Detokenizer::new(&tokenizer, &[]);
        let told: String = (0..20).map(|_| detokenizer.push(lead).to_owned()).collect();
        assert!(
            told.chars().count() >= 12
                && told.chars().all(|char| char == char::REPLACEMENT_CHARACTER),
            "{told}"
        );
    }

    #[test]
    fn a_stop_string_across_tokens_ends_the_text_before_it() {
        let (told, stopped) = pieces("the END of", &["END"]);
        assert_eq!((told.concat().as_str(), stopped), ("the ", true));
        assert_eq!(told, ["t", "h", "e", " ", "", "", ""]);
    }

    #[test]
    fn what_only_looked_like_a_stop_string_is_told_when_it_is_none() {
        let (told, stopped) = pieces("ENEND.", &["END!", "NDX"]);
        assert_eq!((told.concat().as_str(), stopped), ("ENEND.", false));
        assert_eq!(
            pieces("the E", &["END"]).0.concat(),
            "the E",
            "the end of the answer tells the rest"
        );
    }

    #[test]
    fn the_first_of_several_stop_strings_wins() {
        assert_eq!(pieces("one\ntwo", &["two", "\n"]).0.concat(), "one");
        assert_eq!(pieces("aé€b", &["€b"]).0.concat(), "aé");
    }
}
