//! Filters, tests and methods as Jinja2 and Python have them, where the engine lacks them or has others.
//!
//! Example: a dict is a sequence for Jinja2, `none` is not iterable, and `'a-b'.rsplit('-', 1)` is `['a', 'b']`.

use minijinja::value::{Kwargs, Rest, Tuple, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};
use minijinja_contrib::pycompat;

use super::python::{is_at_most, is_less, number, text};

/// The longest text that a width makes.
const WIDEST: usize = 1 << 16;

/// Puts all of them into an environment.
pub(super) fn add_to(environment: &mut Environment) {
    add_tests(environment);
    add_filters(environment);
    add_filters_of_items(environment);
}

fn add_tests(environment: &mut Environment) {
    environment.add_test("iterable", is_iterable);
    environment.add_test("sequence", is_sequence);
    environment.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
    environment.add_test("lower", |value: &Value| {
        is_cased(&text(value), char::is_lowercase, char::is_uppercase)
    });
    environment.add_test("upper", |value: &Value| {
        is_cased(&text(value), char::is_uppercase, char::is_lowercase)
    });
    for name in ["lt", "lessthan", "<"] {
        environment.add_test(name, |left: &Value, right: &Value| is_less(left, right));
    }
    for name in ["le", "<="] {
        environment.add_test(name, |left: &Value, right: &Value| is_at_most(left, right));
    }
    for name in ["gt", "greaterthan", ">"] {
        environment.add_test(name, |left: &Value, right: &Value| is_less(right, left));
    }
    for name in ["ge", ">="] {
        environment.add_test(name, |left: &Value, right: &Value| is_at_most(right, left));
    }
}

fn add_filters(environment: &mut Environment) {
    for name in ["escape", "e", "forceescape"] {
        environment.add_filter(name, |value: &Value| escape(&text(value)));
    }
    environment.add_filter("center", |value: &Value, width: Option<usize>| {
        padded(&text(value), width.unwrap_or(80), ' ', Side::Both)
    });
    environment.add_filter("abs", |value: &Value| {
        minijinja::filters::abs(number(value))
    });
    environment.add_filter(
        "float",
        |state: &State, value: &Value, default: Option<Value>, kwargs: Kwargs| {
            let default = usual(default, &kwargs, Value::from(0.0))?;
            Ok::<_, Error>(minijinja::filters::float(state, value, None, none()).unwrap_or(default))
        },
    );
    environment.add_filter(
        "int",
        |state: &State, value: &Value, default: Option<Value>, kwargs: Kwargs| {
            let base = kwargs.get::<Option<u32>>("base")?;
            let default = usual(default, &kwargs, Value::from(0))?;
            Ok::<_, Error>(
                minijinja::filters::int(state, value, None, base, none()).unwrap_or(default),
            )
        },
    );
    environment.remove_filter("pprint");
    environment.add_filter("indent", indent);
    environment.add_filter("replace", replace);
    environment.add_filter("round", round);
    environment.add_filter("truncate", truncate);
    environment.add_filter("wordcount", |value: &Value| {
        text(value)
            .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .filter(|word| !word.is_empty())
            .count()
    });
}

fn add_filters_of_items(environment: &mut Environment) {
    // Nothing has no items: Jinja2's undefined value is empty.
    for name in ["length", "count"] {
        environment.add_filter(name, |value: &Value| {
            if value.is_undefined() {
                Ok(0)
            } else {
                minijinja::filters::length(value)
            }
        });
    }
    environment.add_filter("items", |value: &Value| {
        if value.is_undefined() {
            Ok(Value::from(Vec::<Value>::new()))
        } else {
            minijinja::filters::items(value)
        }
    });
    environment.add_filter("first", |value: &Value| {
        if value.is_undefined() {
            Ok(Value::UNDEFINED)
        } else {
            minijinja::filters::first(value)
        }
    });
    environment.add_filter("last", |value: &Value| {
        if value.is_undefined() {
            Ok(Value::UNDEFINED)
        } else {
            minijinja::filters::last(value.clone())
        }
    });
}

fn none() -> Kwargs {
    Kwargs::from_iter([] as [(&str, Value); 0])
}

/// What is given in place of what is no number.
fn usual(default: Option<Value>, kwargs: &Kwargs, usual: Value) -> Result<Value, Error> {
    let named = kwargs.get::<Option<Value>>("default")?;
    kwargs.assert_all_used()?;
    Ok(default.or(named).unwrap_or(usual))
}

/// The methods of texts, lists and maps.
///
/// # Errors
///
/// When there is no such method, or it fails.
pub(super) fn method(
    state: &mut State,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let own = match value.kind() {
        ValueKind::String => text_method(value.as_str().unwrap_or_default(), name, args)?,
        ValueKind::Seq if name == "index" => Some(index(value, args)?),
        ValueKind::Seq | ValueKind::Map if name == "copy" && args.is_empty() => Some(value.clone()),
        _ => None,
    };
    match own {
        Some(value) => Ok(value),
        None => pycompat::unknown_method_callback(state, value, name, args),
    }
}

fn is_iterable(value: &Value) -> bool {
    match value.kind() {
        ValueKind::String
        | ValueKind::Seq
        | ValueKind::Map
        | ValueKind::Iterable
        | ValueKind::Undefined => true,
        ValueKind::Plain => value.try_iter().is_ok(),
        _ => false,
    }
}

fn is_sequence(value: &Value) -> bool {
    match value.kind() {
        ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Undefined => true,
        // Of what is made while it is read, only what knows its length is a list for Python.
        ValueKind::Iterable => value.len().is_some(),
        _ => false,
    }
}

fn is_cased(text: &str, one: fn(char) -> bool, other: fn(char) -> bool) -> bool {
    text.contains(one) && !text.contains(other)
}

fn escape(text: &str) -> String {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    escaped.replace('\'', "&#39;").replace('"', "&#34;")
}

fn replace(value: &Value, old: &Value, new: &Value, count: Option<i64>) -> String {
    let (value, old, new) = (text(value), text(old), text(new));
    match count.and_then(|count| usize::try_from(count).ok()) {
        Some(count) => value.replacen(&old, &new, count),
        None => value.replace(&old, &new),
    }
}

fn round(
    value: Value,
    precision: Option<i32>,
    method: Option<&str>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let method = method.map_or_else(
        || kwargs.get::<Option<&str>>("method"),
        |method| Ok(Some(method)),
    )?;
    let precision = precision.map_or_else(
        || kwargs.get::<Option<i32>>("precision"),
        |told| Ok(Some(told)),
    )?;
    kwargs.assert_all_used()?;
    let rounded = minijinja::filters::round(number(&value), precision, method, none())?;
    // Python divides again behind `floor` and `ceil`, which gives a float.
    match method {
        Some("floor" | "ceil") => Ok(Value::from(f64::try_from(rounded)?)),
        _ => Ok(rounded),
    }
}

fn indent(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let told = |at: usize, name: &str| match args.get(at) {
        Some(value) => Ok(Some(value.clone())),
        None => kwargs.get::<Option<Value>>(name),
    };
    let (width, first, blank) = (told(0, "width")?, told(1, "first")?, told(2, "blank")?);
    kwargs.assert_all_used()?;
    let indention = match &width {
        None => "    ".to_owned(),
        Some(width) => match width.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(width_of(usize::try_from(width.clone())?)?),
        },
    };
    let (first, blank) = (
        first.is_some_and(|told| told.is_true()),
        blank.is_some_and(|told| told.is_true()),
    );
    // Jinja2 splits the text with a newline behind it, so that an end of line stays.
    let whole = text(value) + "\n";
    let mut out = String::new();
    for (at, line) in lines(&whole, false).into_iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        let indented = if at == 0 {
            first
        } else {
            blank || !line.is_empty()
        };
        if indented {
            out.push_str(&indention);
        }
        out.push_str(line);
    }
    Ok(out)
}

fn truncate(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let told = |at: usize, name: &str| match args.get(at) {
        Some(value) => Ok(Some(value.clone())),
        None => kwargs.get::<Option<Value>>(name),
    };
    let (length, kill, end, leeway) = (
        told(0, "length")?,
        told(1, "killwords")?,
        told(2, "end")?,
        told(3, "leeway")?,
    );
    kwargs.assert_all_used()?;
    let number = |told: Option<Value>, usual: usize| told.map_or(Ok(usual), usize::try_from);
    let (length, leeway) = (number(length, 255)?, number(leeway, 5)?);
    let end = end.map_or("...".to_owned(), |end| text(&end));
    let text = text(value);
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let room = length.checked_sub(end.chars().count());
    let room = room.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidOperation,
            "`length` has no room for `end`",
        )
    })?;
    let kept: String = text.chars().take(room).collect();
    let kept = if kill.is_some_and(|kill| kill.is_true()) {
        &kept[..]
    } else {
        kept.rsplit_once(' ').map_or(&kept[..], |(head, _)| head)
    };
    Ok(kept.to_owned() + &end)
}

/// Where the filling goes.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Left,
    Right,
    Both,
}

fn width_of(width: usize) -> Result<usize, Error> {
    if width <= WIDEST {
        return Ok(width);
    }
    Err(Error::new(
        ErrorKind::InvalidOperation,
        format!("a width of {width} is too large"),
    ))
}

fn padded(text: &str, width: usize, fill: char, side: Side) -> Result<String, Error> {
    let missing = width_of(width)?.saturating_sub(text.chars().count());
    let left = match side {
        Side::Left => missing,
        Side::Right => 0,
        // As `str.center`: an odd one goes to the left where the width is odd.
        Side::Both => missing / 2 + (missing & width & 1),
    };
    let fill = |count: usize| std::iter::repeat_n(fill, count);
    Ok(fill(left)
        .chain(text.chars())
        .chain(fill(missing - left))
        .collect())
}

/// The lines of a text, as `str.splitlines` cuts it.
fn lines(text: &str, keep: bool) -> Vec<&str> {
    const ENDS: [char; 9] = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
    ];
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(|letter| ENDS.contains(&letter) || letter == '\u{2029}') {
        let end = if rest[at..].starts_with("\r\n") {
            at + 2
        } else {
            at + rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        found.push(if keep { &rest[..end] } else { &rest[..at] });
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        found.push(rest);
    }
    found
}

fn index(list: &Value, args: &[Value]) -> Result<Value, Error> {
    let found = args
        .first()
        .and_then(|wanted| list.try_iter().ok()?.position(|item| item == *wanted));
    found
        .map(Value::from)
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "it is not in the list"))
}

/// A method of a text; none where the engine has it, or nobody.
fn text_method(text: &str, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let word = |at: usize| args.get(at).and_then(Value::as_str);
    let width = || {
        args.first()
            .map_or(Ok(0), |width| usize::try_from(width.clone()))
    };
    let fill = || word(1).and_then(|fill| fill.chars().next()).unwrap_or(' ');
    let parts = |parts: [&str; 3]| Value::from(Tuple::from(parts.map(Value::from)));
    Ok(Some(match (name, word(0)) {
        ("ljust", _) => padded(text, width()?, fill(), Side::Right)?.into(),
        ("rjust", _) => padded(text, width()?, fill(), Side::Left)?.into(),
        ("center", _) => padded(text, width()?, fill(), Side::Both)?.into(),
        ("zfill", _) => {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            let digits = padded(digits, width()?.saturating_sub(sign.len()), '0', Side::Left)?;
            (sign.to_owned() + &digits).into()
        }
        ("partition", Some(by)) => text
            .split_once(by)
            .map_or(parts([text, "", ""]), |(a, b)| parts([a, by, b])),
        ("rpartition", Some(by)) => text
            .rsplit_once(by)
            .map_or(parts(["", "", text]), |(a, b)| parts([a, by, b])),
        ("removeprefix", Some(prefix)) => text.strip_prefix(prefix).unwrap_or(text).into(),
        ("removesuffix", Some(suffix)) => text.strip_suffix(suffix).unwrap_or(text).into(),
        ("casefold", None) => text.to_lowercase().replace('ß', "ss").into(),
        ("title", None) => titled(text).into(),
        ("swapcase", None) => text.chars().map(swapped).collect::<String>().into(),
        ("index", Some(part)) => {
            let at = text
                .find(part)
                .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "substring not found"))?;
            text[..at].chars().count().into()
        }
        ("splitlines", _) => {
            let keep = args.first().is_some_and(|keep| keep.is_true());
            lines(text, keep)
                .into_iter()
                .map(Value::from)
                .collect::<Vec<_>>()
                .into()
        }
        ("split" | "rsplit", _) => return split(text, name == "rsplit", args).map(Some),
        _ => return Ok(None),
    }))
}

/// `str.title`: what follows anything but a letter is large.
fn titled(text: &str) -> String {
    let mut inside = false;
    let mut large = String::with_capacity(text.len());
    for letter in text.chars() {
        if inside {
            large.extend(letter.to_lowercase());
        } else {
            large.extend(letter.to_uppercase());
        }
        inside = letter.is_alphabetic();
    }
    large
}

fn swapped(letter: char) -> String {
    if letter.is_uppercase() {
        letter.to_lowercase().collect()
    } else {
        letter.to_uppercase().collect()
    }
}

/// `split` and `rsplit`, with their arguments in order or by name.
fn split(text: &str, from_end: bool, args: &[Value]) -> Result<Value, Error> {
    let (by, most, kwargs): (Option<Value>, Option<i64>, Kwargs) =
        minijinja::value::from_args(args)?;
    let by = by.map_or_else(|| kwargs.get::<Option<Value>>("sep"), |by| Ok(Some(by)))?;
    let most = most.map_or_else(
        || kwargs.get::<Option<i64>>("maxsplit"),
        |most| Ok(Some(most)),
    )?;
    kwargs.assert_all_used()?;
    let most = most
        .and_then(|most| usize::try_from(most).ok())
        .map_or(usize::MAX, |most| most.saturating_add(1));
    let mut parts: Vec<&str> = match by.as_ref().filter(|by| !by.is_none()) {
        Some(by) => match by.as_str() {
            Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
            Some(by) if from_end => text.rsplitn(most, by).collect(),
            Some(by) => text.splitn(most, by).collect(),
            None => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    "a separator is a text",
                ));
            }
        },
        None => split_blanks(text, from_end, most),
    };
    if from_end {
        parts.reverse();
    }
    Ok(parts
        .into_iter()
        .map(Value::from)
        .collect::<Vec<_>>()
        .into())
}

/// The words between blanks, `most` at most; from the end the last word comes first.
fn split_blanks(text: &str, from_end: bool, most: usize) -> Vec<&str> {
    let (mut parts, mut rest) = (
        Vec::new(),
        if from_end {
            text.trim_end()
        } else {
            text.trim_start()
        },
    );
    while !rest.is_empty() {
        let cut = if parts.len() + 1 >= most {
            None
        } else if from_end {
            rest.rfind(char::is_whitespace)
        } else {
            rest.find(char::is_whitespace)
        };
        let Some(at) = cut else {
            parts.push(rest);
            break;
        };
        let width = rest[at..].chars().next().map_or(1, char::len_utf8);
        let (head, tail) = (&rest[..at], &rest[at + width..]);
        parts.push(if from_end { tail } else { head });
        rest = if from_end {
            head.trim_end()
        } else {
            tail.trim_start()
        };
    }
    parts
}
