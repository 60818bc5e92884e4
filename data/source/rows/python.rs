//! Lists of texts as Python writes them.
//!
//! In: `["it's", 'a "b"']`, which is no JSON. Out: the texts; none where it is something else.
//! Example: SWE-bench Pro keeps its lists of tests so, each text in the quotes that need no escape.

/// The texts of a list or a tuple in Python's notation.
pub(super) fn texts(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let inner = inner.or_else(|| {
        text.strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
    })?;
    let (mut texts, mut rest) = (Vec::new(), inner.trim_start());
    while !rest.is_empty() {
        let (text, behind) = quoted(rest)?;
        texts.push(text);
        rest = behind.trim_start();
        match rest.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None if rest.is_empty() => {}
            None => return None,
        }
    }
    Some(texts)
}

/// A text in quotes at the start, and what stands behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text
        .chars()
        .next()
        .filter(|quote| matches!(quote, '\'' | '"'))?;
    let mut chars = text[1..].char_indices();
    let mut found = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((found, &text[1 + at + 1..])),
            '\n' => return None,
            '\\' => {
                let (_, escape) = chars.next()?;
                found.push(match escape {
                    '\\' | '\'' | '"' => escape,
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'v' => '\u{b}',
                    '0' => '\0',
                    'x' => code(&mut chars, 2)?,
                    'u' => code(&mut chars, 4)?,
                    'U' => code(&mut chars, 8)?,
                    _ => return None,
                });
            }
            c => found.push(c),
        }
    }
    None
}

fn code(chars: &mut std::str::CharIndices, digits: usize) -> Option<char> {
    let mut number = 0;
    for _ in 0..digits {
        number = number * 16 + chars.next()?.1.to_digit(16)?;
    }
    char::from_u32(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_python_is_read_whatever_its_quotes() {
        let read = |text: &str| texts(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(
            read(r#"["keeps null if key doesn't exist", 't.py::b']"#),
            ["keeps null if key doesn't exist", "t.py::b"]
        );
        assert_eq!(
            read(r#" ['a "b", [c]', "d\te\x41\u00e9\U0001F600\\", ] "#),
            ["a \"b\", [c]", "d\teAé😀\\"]
        );
        assert_eq!(read("('it\\'s',)"), ["it's"]);
        assert!(read("[]").is_empty() && read("[ ]").is_empty());
    }

    #[test]
    fn what_is_no_list_of_texts_is_none() {
        for text in [
            "",
            "a, b",
            "['a'",
            "['a' 'b']",
            "[1]",
            "['a', [b]]",
            "[,]",
            "['\\q']",
            "['\\ud800']",
            "['a']]",
            "['a\nb']",
        ] {
            assert_eq!(texts(text), None, "{text}");
        }
    }
}
