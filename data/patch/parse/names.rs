//! The names in the header lines of a diff, as `git apply` reads them.
//!
//! In: what stands after `--- `, `+++ ` or `diff --git `. Out: a name below the tree, or nothing.
//! Example: `a/money.py\t2024-01-01 00:00:00` without its first part is `money.py`.

/// What ends a name that is not quoted. A blank is part of it.
fn ends_name(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\r' | b'\n')
}

/// True for `/dev/null` and what may stand behind it.
pub(super) fn is_nothing(label: &str) -> bool {
    let rest = label.strip_prefix("/dev/null");
    rest.is_some_and(|rest| {
        rest.bytes()
            .next()
            .is_none_or(|byte| byte == b' ' || ends_name(byte))
    })
}

/// The name of a label without its first `strip` parts; `other` where there are too few, or where this one is the other
/// with more behind it, as `money.py.orig` is.
pub(super) fn name(label: &str, strip: usize, other: Option<&str>) -> Option<String> {
    if label.starts_with('"') {
        let (quoted, _) = unquoted(label)?;
        return stripped(&quoted, strip).map(squashed);
    }
    let end = label.bytes().position(ends_name).unwrap_or(label.len());
    let found = stripped(&label[..end], strip).filter(|name| !name.is_empty());
    let longer =
        |name: &str| other.is_some_and(|other| other.len() < name.len() && name.starts_with(other));
    found.filter(|name| !longer(name)).or(other).map(squashed)
}

/// True where `patch` reads another name than `git apply`: without a tab or quotes it ends at the first blank.
pub(super) fn has_blank(label: &str) -> bool {
    let label = label.trim_end_matches('\r');
    !label.starts_with('"') && !label.contains('\t') && undated(label).contains(' ')
}

/// As [`name`] in a diff without a git header, where a date may follow after blanks.
pub(super) fn dated_name(label: &str, strip: usize, other: Option<&str>) -> Option<String> {
    name(undated(label), strip, other)
}

/// True where the label is dated at the beginning of time: the file is not there on this side.
pub(super) fn is_epoch(label: &str) -> bool {
    let parts: Vec<&str> = label
        .rsplit('\t')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let (Some((_, _)), [date, time, zone]) = (label.split_once('\t'), parts.as_slice()) else {
        return false;
    };
    let digits = |text: &str| text.parse::<i64>().ok();
    let day = match *date {
        "1970-01-01" => 0,
        "1969-12-31" => -24 * 60,
        _ => return false,
    };
    let time = time.split_once('.').map_or(*time, |(whole, rest)| {
        if rest.trim_matches('0').is_empty() {
            whole
        } else {
            ""
        }
    });
    let clock = match time.split(':').map(digits).collect::<Vec<_>>().as_slice() {
        [Some(hours), Some(minutes), Some(0)] => hours * 60 + minutes,
        _ => return false,
    };
    let zone = zone.replace(':', "");
    match (zone.get(..1), zone.get(1..).and_then(digits)) {
        (Some(sign), Some(number)) if zone.len() == 5 => {
            let ahead = (number / 100) * 60 + number % 100;
            day + clock - if sign == "-" { -ahead } else { ahead } == 0
        }
        _ => false,
    }
}

/// A label without a date such as `2011-01-31 09:30:00.25 +0100` at its end.
fn undated(label: &str) -> &str {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_zone = |word: &str| {
        let rest = word.strip_prefix(['+', '-']).unwrap_or_default();
        matches!(rest.len(), 4 | 5) && digits(&rest.replacen(':', "", 1))
    };
    let is_time = |word: &str| {
        let (time, part) = word.split_once('.').unwrap_or((word, "0"));
        time.len() == 8
            && time.split(':').count() == 3
            && time.split(':').all(digits)
            && digits(part)
    };
    let is_date = |word: &str| {
        word.len() == 10 && word.split('-').count() == 3 && word.split('-').all(digits)
    };
    let last = |text: &'_ str| text.rfind([' ', '\t']).map(|at| (at, at + 1));
    let mut rest = label;
    for (is, needed) in [
        (&is_zone as &dyn Fn(&str) -> bool, false),
        (&is_time, true),
        (&is_date, true),
    ] {
        match last(rest).filter(|(_, word)| is(&rest[*word..])) {
            Some((at, _)) => rest = &rest[..at],
            None if needed => return label,
            None => {}
        }
    }
    rest.trim_end_matches(' ')
}

/// The name in `diff --git a/NAME b/NAME`, where both are the same: another one is stated below.
pub(super) fn git_name(names: &str, strip: usize) -> Option<String> {
    if names.starts_with('"') {
        let (old, rest) = unquoted(names)?;
        let rest = rest.trim_start_matches([' ', '\t']);
        let new = if rest.starts_with('"') {
            unquoted(rest)?.0
        } else {
            rest.to_string()
        };
        let (old, new) = (stripped(&old, strip)?, stripped(&new, strip)?);
        return (old == new).then(|| squashed(old));
    }
    if let Some((at, quoted)) = names
        .find('"')
        .and_then(|at| Some((at, unquoted(&names[at..])?.0)))
    {
        let (old, new) = (
            stripped(names[..at].trim_end_matches([' ', '\t']), strip)?,
            stripped(&quoted, strip)?,
        );
        return (old == new).then(|| squashed(old));
    }
    let halves = names
        .match_indices([' ', '\t'])
        .map(|(at, _)| (&names[..at], &names[at + 1..]));
    let mut same =
        halves.filter_map(|(old, new)| Some((stripped(old, strip)?, stripped(new, strip)?)));
    same.find(|(old, new)| old == new)
        .map(|(old, _)| squashed(old))
}

/// A name after `rename from ` and the like, which has no prefix.
pub(super) fn plain_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('\r').unwrap_or(name);
    if name.starts_with('"') {
        unquoted(name).map(|(name, _)| name)
    } else {
        Some(name.to_string())
    }
}

/// A name without its first `strip` parts; none where it has no more.
fn stripped(name: &str, strip: usize) -> Option<&str> {
    (0..strip).try_fold(name, |name, _| name.split_once('/').map(|(_, rest)| rest))
}

/// Several `/` in a row are one.
fn squashed(name: &str) -> String {
    let mut squashed = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter != '/' || !squashed.ends_with('/') {
            squashed.push(letter);
        }
    }
    squashed
}

/// Undoes git's quoting: `"caf\303\251.py"` is `café.py`. With it what stands behind the closing quote.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let (mut bytes, mut rest) = (Vec::new(), inner.bytes().enumerate());
    loop {
        let (at, byte) = rest.next()?;
        match byte {
            b'"' => return Some((String::from_utf8(bytes).ok()?, &inner[at + 1..])),
            b'\\' => {}
            _ => {
                bytes.push(byte);
                continue;
            }
        }
        bytes.push(match rest.next()?.1 {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            quoted @ (b'"' | b'\\') => quoted,
            digit @ b'0'..=b'3' => {
                let mut octal = || {
                    rest.next()
                        .filter(|(_, digit)| matches!(digit, b'0'..=b'7'))
                        .map(|(_, digit)| digit - b'0')
                };
                (digit - b'0') * 64 + octal()? * 8 + octal()?
            }
            _ => return None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_before_its_date() {
        for label in [
            "a/x y.py",
            "a/x y.py\t",
            "a/x y.py\r",
            "a/x y.py\t2011-01-31 09:30:00.25 +0100",
            "a/x y.py 2011-01-31 09:30:00 +01:00",
            "a/x y.py   2011-01-31 09:30:00",
            "\"a/x\\040y.py\"",
            "a//x y.py",
        ] {
            let wanted = if label.starts_with("a//") {
                "/x y.py"
            } else {
                "x y.py"
            };
            assert_eq!(
                dated_name(label, 1, None).as_deref(),
                Some(wanted),
                "{label}"
            );
        }
        assert_eq!(name("x.py", 1, None), None, "there is nothing to take away");
        assert_eq!(name("x.py", 0, None).as_deref(), Some("x.py"));
        assert_eq!(
            name("b/x.py.orig", 1, Some("x.py")).as_deref(),
            Some("x.py")
        );
        assert_eq!(name("b/y.py", 1, Some("x.py")).as_deref(), Some("y.py"));
    }

    #[test]
    fn the_beginning_of_time_is_no_file() {
        for label in [
            "a\t1970-01-01 00:00:00.000000000 +0000",
            "a\t1970-01-01 01:00:00 +0100",
            "a\t1969-12-31 19:00:00 -0500",
        ] {
            assert!(is_epoch(label), "{label}");
        }
        for label in [
            "a",
            "a\t1970-01-01 00:00:01 +0000",
            "a\t1970-01-01 01:00:00 +0000",
            "a\t2024-01-01 00:00:00 +0000",
        ] {
            assert!(!is_epoch(label), "{label}");
        }
        assert!(
            is_nothing("/dev/null") && is_nothing("/dev/null\t1970") && !is_nothing("/dev/nullify")
        );
    }

    #[test]
    fn two_names_of_a_header_are_one_or_none() {
        assert_eq!(
            git_name("a/x b/x.py b/x b/x.py", 1).as_deref(),
            Some("x b/x.py")
        );
        assert_eq!(
            git_name("\"a/caf\\303\\251\" \"b/caf\\303\\251\"", 1).as_deref(),
            Some("café")
        );
        assert_eq!(git_name("\"a/x\" b/x", 1).as_deref(), Some("x"));
        assert_eq!(git_name("a/x \"b/x\"", 1).as_deref(), Some("x"));
        assert_eq!(git_name("a/x b/y", 1), None);
        assert_eq!(plain_name("\"a\\tb\"").as_deref(), Some("a\tb"));
    }
}
