//! The words of text and code: identifiers whole and in their parts.
//!
//! In: any text. Out: words in lower letters. Example: `getUserName2` gives `getusername2`, `get`, `user`, `name`, `2`.

/// Words that stand in every issue and say nothing about a file.
const SAID_EVERYWHERE: [&str; 36] = [
    "the", "a", "an", "of", "to", "in", "is", "it", "and", "or", "for", "on", "with", "that",
    "this", "be", "are", "as", "by", "from", "at", "was", "but", "when", "if", "not", "has",
    "have", "def", "self", "return", "import", "class", "const", "let", "function",
];

/// The longest word that counts; longer ones are data.
const MOST_LETTERS: usize = 64;

/// Calls `each` with every word of `text`.
pub fn words(text: &str, each: &mut dyn FnMut(String)) {
    for identifier in text.split(|letter: char| !letter.is_alphanumeric() && letter != '_') {
        let identifier = identifier.trim_matches('_');
        if identifier.is_empty() || identifier.len() > MOST_LETTERS {
            continue;
        }
        let parts = parts(identifier);
        if parts.len() > 1 {
            each(identifier.to_lowercase());
        }
        for part in parts {
            let part = part.to_lowercase();
            if !SAID_EVERYWHERE.contains(&part.as_str()) {
                each(part);
            }
        }
    }
}

/// The parts of an identifier: at `_`, where a capital begins a word, and between letters and digits.
pub fn parts(identifier: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for piece in identifier.split('_').filter(|piece| !piece.is_empty()) {
        let letters: Vec<(usize, char)> = piece.char_indices().collect();
        let mut start = 0;
        for at in 1..letters.len() {
            let (before, now) = (letters[at - 1].1, letters[at].1);
            let next_is_small = letters
                .get(at + 1)
                .is_some_and(|(_, next)| next.is_lowercase());
            let begins = now.is_uppercase()
                && (before.is_lowercase() || (before.is_uppercase() && next_is_small));
            if begins || now.is_numeric() != before.is_numeric() {
                parts.push(&piece[start..letters[at].0]);
                start = letters[at].0;
            }
        }
        parts.push(&piece[start..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        words(text, &mut |word| found.push(word));
        found
    }

    #[test]
    fn identifiers_are_split_at_snakes_camels_and_digits() {
        assert_eq!(
            parts("getHTTPResponse_code2"),
            ["get", "HTTP", "Response", "code", "2"]
        );
        assert_eq!(all("parse_date(x)"), ["parse_date", "parse", "date", "x"]);
        assert_eq!(
            all("the LRUCache of __init__"),
            ["lrucache", "lru", "cache", "init"]
        );
        assert_eq!(all("größteZahl"), ["größtezahl", "größte", "zahl"]);
    }

    #[test]
    fn data_is_no_word() {
        assert_eq!(all(&"x".repeat(65)), Vec::<String>::new());
        assert_eq!(all("___ ... 12"), ["12"]);
    }
}
