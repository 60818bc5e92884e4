//! Other numbers, texts and lists, drawn by a key.
//!
//! In: a literal as it is written. Out: others of its kind, the first [`super::NEAR`] near, the rest far.
//! Example: `3` → `2`, `9`, `21`, `44`; `"a x3"` → `"a x2"`, `"p m8"`, `"f c8f c8"`, `"b y"`.

use crate::draw;
use crate::impossible::letters_of;

/// Lists with more items are left alone.
const LONG_LIST: usize = 40;

/// Other whole numbers, however they are written.
pub(super) fn integers(was: &str, key: u64) -> Vec<String> {
    let plain = was.replace('_', "").to_ascii_lowercase();
    let of_base = |prefix: &str, base| {
        plain
            .strip_prefix(prefix)
            .and_then(|digits| u64::from_str_radix(digits, base).ok())
    };
    let number = plain.parse::<u64>().ok();
    let Some(number) = number
        .or_else(|| of_base("0x", 16))
        .or_else(|| of_base("0o", 8))
        .or_else(|| of_base("0b", 2))
    else {
        return Vec::new();
    };
    let drawn = |counter, from: u64, count| from + draw::below(key, counter, count) as u64;
    let far = |times: u64, plus: u64| {
        number
            .checked_mul(times)
            .and_then(|many| many.checked_add(plus))
    };
    // One less, so that the largest of a range has a neighbour in it.
    let less = number
        .checked_sub(drawn(0, 1, 3))
        .or_else(|| number.checked_add(drawn(0, 1, 3)));
    let others = [
        less,
        number.checked_add(drawn(1, 4, 5)),
        far(drawn(2, 2, 3), drawn(3, 9, 9)),
        far(drawn(4, 5, 4), drawn(5, 20, 20)),
    ];
    others
        .into_iter()
        .flatten()
        .map(|other| other.to_string())
        .collect()
}

/// Other decimal numbers.
pub(super) fn decimals(was: &str, key: u64) -> Vec<String> {
    let Ok(number) = was.replace('_', "").parse::<f64>() else {
        return Vec::new();
    };
    let drawn = |counter, from: f64, count| from + 0.25 * draw::below(key, counter, count) as f64;
    let others = [
        number + drawn(0, 0.25, 6),
        number + drawn(1, 2.0, 12),
        number * (2 + draw::below(key, 2, 3)) as f64 + drawn(3, 6.0, 30),
        number * (5 + draw::below(key, 4, 4)) as f64 + drawn(5, 14.0, 50),
    ];
    others
        .iter()
        .filter(|other| other.is_finite())
        .map(|other| format!("{other:?}"))
        .collect()
}

/// The other truth value.
pub(super) fn truth(was: &str) -> Vec<String> {
    let others = [
        ("True", "False"),
        ("False", "True"),
        ("true", "false"),
        ("false", "true"),
    ];
    others
        .iter()
        .filter(|(one, _)| *one == was)
        .map(|(_, other)| (*other).to_string())
        .collect()
}

/// Other texts, where a date becomes another one: of the same letters, or with another last digit; every letter and digit another one, and that twice in a
/// row; a shorter one. Of signs alone there are less, or more.
pub(super) fn texts(was: &str, key: u64) -> Vec<String> {
    if was.is_empty() {
        return Vec::new();
    }
    if !was.contains(|letter: char| letter.is_ascii_alphanumeric()) {
        return signs(was);
    }
    if let Some(at) = date_in(was) {
        return dates(was, at, key);
    }
    let [one, _, twice, short] = shifts(key);
    let moved = |steps: u8| {
        was.chars()
            .map(|letter| letter_moved(letter, steps))
            .collect::<String>()
    };
    vec![
        of_the_same_letters(was),
        moved(one),
        moved(twice).repeat(2),
        shorter(&moved(short)),
    ]
}

/// Where a date such as `2024-02-29` stands in a text.
fn date_in(was: &str) -> Option<usize> {
    let form = |window: &[u8]| {
        window
            .iter()
            .zip(b"dddd-dd-dd")
            .all(|(byte, form)| match form {
                b'd' => byte.is_ascii_digit(),
                dash => byte == dash,
            })
    };
    let at = was.as_bytes().windows(10).position(form)?;
    let number = |from: usize, to: usize| was[at + from..at + to].parse::<usize>().unwrap_or(0);
    ((1..=12).contains(&number(5, 7)) && (1..=31).contains(&number(8, 10)) && number(0, 4) > 0)
        .then_some(at)
}

/// Other dates, which there are in each year: twice within some years, twice far away.
fn dates(was: &str, at: usize, key: u64) -> Vec<String> {
    let year: usize = was[at..at + 4].parse().unwrap_or(2000);
    let date = |way: u64| {
        let drawn = |counter: u64, count| draw::below(key, 4 * way + counter, count);
        let by = if way < super::NEAR as u64 {
            1 + drawn(0, 4)
        } else {
            20 + drawn(0, 60)
        };
        let year = if year > 9000 || (way % 2 == 1 && year > by) {
            year - by.min(year - 1)
        } else {
            year + by
        };
        format!(
            "{}{year:04}-{:02}-{:02}{}",
            &was[..at],
            1 + drawn(1, 12),
            1 + drawn(2, 28),
            &was[at + 10..]
        )
    };
    (0..4).map(date).collect()
}

/// The letters change places; where there are digits, the last of them is another one instead. What is made of certain
/// letters stays so, and a time of day stays one.
fn of_the_same_letters(was: &str) -> String {
    let mut letters: Vec<char> = was.chars().collect();
    if let Some(last) = letters.iter().rposition(char::is_ascii_digit) {
        letters[last] = if letters[last] == '0' {
            '1'
        } else {
            char::from(letters[last] as u8 - 1)
        };
        return letters.into_iter().collect();
    }
    let places: Vec<usize> = (0..letters.len())
        .filter(|at| letters[*at].is_ascii_alphabetic())
        .collect();
    let word: Vec<char> = places.iter().map(|at| letters[*at]).collect();
    let turned = (1..word.len())
        .find(|by| (0..word.len()).any(|at| word[at] != word[(at + by) % word.len()]));
    let Some(by) = turned else {
        return was.chars().map(|letter| letter_moved(letter, 1)).collect();
    };
    for (number, place) in places.into_iter().enumerate() {
        let letter = word[(number + by) % word.len()];
        // Capital letters stay where they are.
        let is_upper = letters[place].is_ascii_uppercase();
        letters[place] = if is_upper {
            letter.to_ascii_uppercase()
        } else {
            letter.to_ascii_lowercase()
        };
    }
    let turned: String = letters.into_iter().collect();
    if turned == was {
        was.chars().map(|letter| letter_moved(letter, 1)).collect()
    } else {
        turned
    }
}

/// Other texts where parts are escapes or are filled in: `quoted` is a literal with its quotes, whose letters move.
pub(super) fn formed_texts(quoted: &str, key: u64) -> Vec<String> {
    let places = letters_of(quoted);
    if places.is_empty() {
        return Vec::new();
    }
    let moved = |steps: u8| {
        let mut text = quoted.as_bytes().to_vec();
        places
            .iter()
            .for_each(|place| text[*place] = letter_moved(char::from(text[*place]), steps) as u8);
        String::from_utf8(text).ok()
    };
    shifts(key).into_iter().filter_map(moved).collect()
}

/// Steps that no letter and no digit comes back from, the first two of them different.
fn shifts(key: u64) -> [u8; 4] {
    let below = |counter, count| draw::below(key, counter, count) as u8;
    let first = 1 + below(0, 9);
    [
        first,
        11 + (first + below(1, 8)) % 9,
        1 + below(2, 9),
        11 + below(3, 9),
    ]
}

fn letter_moved(letter: char, steps: u8) -> char {
    let turned = |first: u8, count: u8| char::from(first + (letter as u8 - first + steps) % count);
    match letter {
        '0'..='9' => turned(b'0', 10),
        'a'..='z' => turned(b'a', 26),
        'A'..='Z' => turned(b'A', 26),
        other => other,
    }
}

fn signs(was: &str) -> Vec<String> {
    let letters: Vec<char> = was.chars().collect();
    let backwards: String = letters.iter().rev().collect();
    let mut others = vec![
        letters[1..].iter().collect(),
        letters[..letters.len() - 1].iter().collect(),
    ];
    others.extend([
        format!("{was}{backwards}"),
        format!("{backwards}{was}{was}"),
    ]);
    others
}

/// The larger part of a text of several letters; of one letter, three of it.
fn shorter(text: &str) -> String {
    let count = text.chars().count();
    if count < 3 {
        text.repeat(3)
    } else {
        text.chars().take(count - count / 3).collect()
    }
}

/// Other lists of the same items: one more, another order; twice as many, one less. `None` for long and empty ones.
pub(super) fn lists(items: &[&str], key: u64) -> Option<Vec<String>> {
    let (first, last) = (*items.first()?, *items.last()?);
    let written = |items: &[&str]| format!("[{}]", items.join(", "));
    if items.len() > LONG_LIST {
        return None;
    }
    if items.len() == 1 {
        return Some(
            [2, 3, 4 + draw::below(key, 0, 3), 0]
                .map(|times| written(&vec![first; times]))
                .to_vec(),
        );
    }
    let turned: Vec<&str> = items.iter().rev().copied().collect();
    let mut near = [
        [items, &[first]].concat(),
        [&[last], items].concat(),
        [turned.as_slice(), &[first]].concat(),
    ];
    let more = [
        [items, items].concat(),
        [items, turned.as_slice(), items].concat(),
    ];
    let less = [items[1..].to_vec(), items[..items.len() - 1].to_vec()];
    let first_of_near = draw::below(key, 0, near.len());
    near.rotate_left(first_of_near);
    let chosen = [
        &near[0],
        &near[1],
        &more[draw::below(key, 1, 2)],
        &less[draw::below(key, 2, 2)],
    ];
    Some(chosen.map(|items| written(items)).to_vec())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn others_are_of_the_same_kind_and_differ() {
        for key in 0..300 {
            for was in ["0", "1", "42", "1_000", "0x1f"] {
                let others = integers(was, key);
                let mut all: BTreeSet<u64> = others
                    .iter()
                    .map(|other| other.parse().expect("a number"))
                    .collect();
                all.extend(was.parse::<u64>().ok());
                assert_eq!(
                    all.len() - usize::from(was.parse::<u64>().is_ok()),
                    4,
                    "{was}: {others:?}"
                );
            }
            for was in ["7", "ab", "Ada Lovelace", "2024-31-31"] {
                let others = texts(was, key);
                let all: BTreeSet<&str> = others.iter().map(String::as_str).collect();
                assert!(all.len() >= 3 && !all.contains(was), "{was}: {others:?}");
            }
            for (was, count) in [("[1]", 4), ("[1, 2]", 3), ("[1, 2, 3]", 4)] {
                let items: Vec<&str> = was[1..was.len() - 1].split(", ").collect();
                let others: BTreeSet<String> =
                    lists(&items, key).expect("short").into_iter().collect();
                assert!(
                    others.len() >= count && !others.contains(was),
                    "{was}: {others:?}"
                );
            }
            assert!(
                decimals("2.5", key)
                    .iter()
                    .all(|other| other.parse::<f64>().expect("a decimal") > 2.5)
            );
            assert!(
                formed_texts(r"'a\n%s {b}'", key)
                    .iter()
                    .all(|other| other.contains(r"\n%s {") && !other.contains('a'))
            );
        }
        for key in 0..50 {
            let others = texts("on 2024-02-29, ok", key);
            let dates: BTreeSet<usize> = others.iter().filter_map(|other| date_in(other)).collect();
            assert!(
                dates == BTreeSet::from([3]) && others.iter().all(|other| other.ends_with(", ok")),
                "{others:?}"
            );
        }
        assert_eq!(
            [
                date_in("2024-13-01"),
                date_in("12024-1-01"),
                date_in("1 2024-12-31")
            ],
            [None, None, Some(2)]
        );
        let same = ["GATTACA", "01:30:59", "Ada Lovelace", "aa"].map(of_the_same_letters);
        assert_eq!(same, ["ATTACAG", "01:30:58", "Dal Ovelacea", "bb"]);
        assert_eq!(texts("()", 1), [")", "(", "())(", ")(()()"]);
        assert_eq!(
            [truth("True"), truth("false"), truth("None")].concat(),
            ["False", "true"]
        );
    }
}
