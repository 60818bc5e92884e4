//! Another literal of the same kind, drawn by a key.
//!
//! In: a number, or a text with its quotes. Out: another one that is written in the same way.
//! Example: `3` → `9`, `2.5` → `7.5`, `"a x3"` → `"a q3"`.

use crate::draw;

/// Numbers move by at most this, or by their own size.
const STEP: usize = 9;
/// Exceptions and messages get letters that nobody writes by chance.
const LETTERS: usize = 4;

/// Another value of the same kind. `None` for what is no number and no text.
pub(super) fn another(was: &str, key: u64) -> Option<String> {
    number(was, key).or_else(|| one_letter(was, key))
}

/// A text of which nothing is left that could be found by chance. Numbers as [`another`].
pub(super) fn another_text(was: &str, key: u64) -> Option<String> {
    if let Some(number) = number(was, key) {
        return Some(number);
    }
    let places = letters_of(was);
    if places.len() < LETTERS {
        return with_letters(was, key);
    }
    let mut text = was.as_bytes().to_vec();
    for (counter, place) in places.into_iter().enumerate() {
        text[place] = other_letter(text[place], draw::bits(key, counter as u64));
    }
    String::from_utf8(text).ok()
}

fn number(was: &str, key: u64) -> Option<String> {
    let plain = was.replace('_', "");
    let step = 1 + draw::below(key, 0, STEP) as i64;
    if let Ok(whole) = plain.parse::<i64>() {
        // Far away as often as near: a tolerance may be large, and a neighbour is what a trick guesses last.
        let far = (whole.abs() + 1).checked_mul(1 + step)?;
        let by = if draw::bits(key, 1).is_multiple_of(2) {
            step
        } else {
            far
        };
        return Some(whole.checked_add(by)?.to_string());
    }
    let digits = plain
        .strip_prefix("0x")
        .or_else(|| plain.strip_prefix("0X"));
    if let Some(whole) = digits.and_then(|digits| i64::from_str_radix(digits, 16).ok()) {
        return Some(format!("0x{:x}", whole.checked_add(step)?));
    }
    let looks_like_one = plain.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.');
    let decimal = plain
        .parse::<f64>()
        .ok()
        .filter(|decimal| looks_like_one && decimal.is_finite())?;
    Some(format!(
        "{:?}",
        decimal + step as f64 * (0.5 + decimal.abs())
    ))
}

/// One letter or digit of a text is another one; an empty text gets some.
fn one_letter(was: &str, key: u64) -> Option<String> {
    let places = letters_of(was);
    if places.is_empty() {
        return with_letters(was, key);
    }
    let place = places[draw::below(key, 2, places.len())];
    let mut text = was.as_bytes().to_vec();
    text[place] = other_letter(text[place], draw::bits(key, 3));
    String::from_utf8(text).ok()
}

/// Places of letters and digits inside the quotes, none of which belongs to an escape or to a field that is filled in.
pub(crate) fn letters_of(was: &str) -> Vec<usize> {
    let Some((start, end)) = inside_quotes(was) else {
        return Vec::new();
    };
    let bytes = was.as_bytes();
    let formatted = was[..start].contains(['f', 'F', '`']);
    let (mut places, mut at, mut depth) = (Vec::new(), start, 0_usize);
    while at < end {
        match bytes[at] {
            // Longer escapes such as `\x41` and `\N{DASH}` are passed over whole.
            b'\\' => at += escape_length(&was[at..end]) - 1,
            b'{' if formatted => depth += 1,
            b'}' if formatted => depth = depth.saturating_sub(1),
            // `%s` and `%5.2f` are forms.
            b'%' => at += form_length(&bytes[at + 1..end]),
            letter if depth == 0 && letter.is_ascii_alphanumeric() => places.push(at),
            _ => {}
        }
        at += 1;
    }
    places
}

fn escape_length(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let length = match bytes.get(1) {
        Some(b'x') => 4,
        Some(b'u') => 6,
        Some(b'U') => 10,
        Some(b'N') => rest.find('}').map_or(2, |end| end + 1),
        Some(b'0'..=b'7') => {
            1 + bytes[1..]
                .iter()
                .take(3)
                .take_while(|byte| matches!(byte, b'0'..=b'7'))
                .count()
        }
        _ => 2,
    };
    length.min(bytes.len()).max(1)
}

fn form_length(rest: &[u8]) -> usize {
    let flags = rest
        .iter()
        .take_while(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+'))
        .count();
    if rest
        .get(flags)
        .is_some_and(|byte| byte.is_ascii_alphabetic())
    {
        flags + 1
    } else {
        0
    }
}

/// Where the text inside the quotes begins and ends.
fn inside_quotes(was: &str) -> Option<(usize, usize)> {
    let start = was.find(['"', '\'', '`', '/'])?;
    if was[..start].contains(|letter: char| !letter.is_ascii_alphabetic()) {
        return None;
    }
    let quote = &was[start..=start];
    let triple = was[start..].starts_with(&quote.repeat(3)) && was.len() >= start + 6;
    let width = if triple { 3 } else { 1 };
    let end = was.rfind(quote)? + 1 - width;
    (start + width <= end).then_some((start + width, end))
}

/// Some letters in front of a text.
pub(super) fn with_letters(was: &str, key: u64) -> Option<String> {
    let (start, _) = inside_quotes(was)?;
    let letters: String = (0..LETTERS as u64)
        .map(|at| char::from(b'a' + draw::below(key, 10 + at, 26) as u8))
        .collect();
    Some(format!("{}{letters}{}", &was[..start], &was[start..]))
}

fn other_letter(was: u8, bits: u64) -> u8 {
    let turned = |first: u8, count: u8| {
        first + (was - first + 1 + (bits % u64::from(count - 1)) as u8) % count
    };
    match was {
        b'0'..=b'9' => turned(b'0', 10),
        b'a'..=b'z' => turned(b'a', 26),
        _ => turned(b'A', 26),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_literal_is_of_the_same_kind_and_never_the_same() {
        for key in 0..200 {
            for was in ["0", "3", "1_000", "0x2a"] {
                let other = another(was, key).expect("a number");
                assert!(
                    other != was && !other.starts_with('-') && !other.contains('.'),
                    "{was} {other}"
                );
            }
            let near = another("2.5", key)
                .expect("a decimal")
                .parse::<f64>()
                .expect("a decimal");
            assert!(near >= 5.5);
            for was in [
                "'a'",
                "\"a x3\"",
                "b'ab'",
                "''",
                "\"\"\"x\n\"\"\"",
                "'\\n'",
                "r'\\d+'",
                "`a${b}c`",
            ] {
                let other = another(was, key).expect("a text");
                assert!(other != was && other.len() >= was.len(), "{was} {other}");
                assert!(another_text(was, key).expect("a text") != was);
            }
        }
        assert_eq!(another("name", 1), None);
        assert_eq!(another("inf", 1), None);
    }

    #[test]
    fn escapes_and_fields_stay() {
        let places = |was: &str| {
            letters_of(was)
                .iter()
                .map(|at| &was[*at..=*at])
                .collect::<Vec<_>>()
                .concat()
        };
        assert_eq!(places(r"'a\x41b\N{DASH}c\n\101d'"), "abcd");
        assert_eq!(places("f'a{b}c'"), "ac");
        assert_eq!(places("'{b} %s %5.2f 10%'"), "b10");
    }
}
