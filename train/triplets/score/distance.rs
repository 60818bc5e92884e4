//! How far two sources are from each other, in tokens: words and signs.
//!
//! In: sources. Out: the fewest tokens to put in, take out or replace, as *When Models Edit Too Much* counts edits.

/// Words and signs of a source.
pub(super) fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, letter) in text.char_indices() {
        if letter.is_alphanumeric() || letter == '_' {
            start.get_or_insert(at);
            continue;
        }
        if let Some(start) = start.take() {
            words.push(&text[start..at]);
        }
        if !letter.is_whitespace() {
            words.push(&text[at..at + letter.len_utf8()]);
        }
    }
    words.extend(start.map(|start| &text[start..]));
    words
}

/// The fewest tokens to put in, take out or replace (Levenshtein).
pub(super) fn distance(one: &[&str], other: &[&str]) -> usize {
    let before = one
        .iter()
        .zip(other)
        .take_while(|(one, other)| one == other)
        .count();
    let (one, other) = (&one[before..], &other[before..]);
    let after = one
        .iter()
        .rev()
        .zip(other.iter().rev())
        .take_while(|(one, other)| one == other)
        .count();
    let (one, other) = (&one[..one.len() - after], &other[..other.len() - after]);
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, left) in one.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, right) in other.iter().enumerate() {
            let replaced = corner + usize::from(left != right);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_words_and_signs() {
        assert_eq!(
            words("a_1 = f(x)+ 22\n"),
            ["a_1", "=", "f", "(", "x", ")", "+", "22"]
        );
    }

    #[test]
    fn the_distance_is_the_fewest_edits() {
        let of = |one: &str, other: &str| distance(&words(one), &words(other));
        assert_eq!(of("return a - b", "return a + b"), 1);
        assert_eq!(of("return a - b", "return a - b"), 0);
        assert_eq!(of("", "x = 1"), 3);
        assert_eq!(of("k i t t e n", "s i t t i n g"), 3);
    }
}
