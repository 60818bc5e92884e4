//! What Python's operators do, where the engine's own do something else.
//!
//! In: operands. Out: what Jinja2 gives for them. [`super::rewrite`] puts calls of these functions into a template.
//! Example: `'%s: %d' % ('a', 3)` is `a: 3`, `-7 % 3` is 2, and `[1, 2, 3][2:0:-1]` is `[3, 2]`.

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// `left % right`.
///
/// # Errors
///
/// As Python: a division by zero, operands that have no such operator, a format that does not fit its values.
pub(super) fn modulo(left: Value, right: Value) -> Result<Value, Error> {
    if let Some(text) = left.as_str() {
        return printf(text, &right).map(Value::from);
    }
    if let (Some(left), Some(right)) = (whole(&left), whole(&right)) {
        let rest = left
            .checked_rem(right)
            .ok_or_else(|| wrong("division by zero".into()))?;
        let other_side = rest != 0 && (rest < 0) != (right < 0);
        return Ok(Value::from(if other_side { rest + right } else { rest }));
    }
    let number = |value: &Value| {
        whole(value)
            .map(|whole| whole as f64)
            .or_else(|| float(value))
    };
    let (Some(left), Some(right)) = (number(&left), number(&right)) else {
        return Err(wrong(format!(
            "`%` has no meaning between {} and {}",
            left.kind(),
            right.kind()
        )));
    };
    if right == 0.0 {
        return Err(wrong("division by zero".into()));
    }
    let rest = left % right;
    Ok(Value::from(match rest {
        0.0 => 0.0f64.copysign(right),
        rest if (rest < 0.0) != (right < 0.0) => rest + right,
        rest => rest,
    }))
}

/// `value[start:stop:step]`.
///
/// # Errors
///
/// When a bound is no whole number, or the value has no order.
pub(super) fn slice(value: Value, start: Value, stop: Value, step: Value) -> Result<Value, Error> {
    let step = bound(&step)?.unwrap_or(1);
    if step == 0 {
        return Err(wrong("slice step cannot be zero".into()));
    }
    let (start, stop) = (bound(&start)?, bound(&stop)?);
    match value.kind() {
        ValueKind::String => {
            let letters: Vec<char> = value.as_str().unwrap_or_default().chars().collect();
            let taken = places(letters.len(), start, stop, step).map(|at| letters[at]);
            Ok(Value::from(taken.collect::<String>()))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            let taken: Vec<Value> = places(items.len(), start, stop, step)
                .map(|at| items[at].clone())
                .collect();
            Ok(if value.is_tuple() {
                Tuple::from(taken).into()
            } else {
                Value::from(taken)
            })
        }
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        kind => Err(wrong(format!("{kind} cannot be sliced"))),
    }
}

/// `part in whole`
///
/// # Errors
///
/// When nothing can be in it, or a text is asked for something else than a text.
pub(super) fn contains(part: &Value, whole: &Value) -> Result<bool, Error> {
    match (whole.kind(), part.as_str()) {
        (ValueKind::String, Some(part)) => {
            Ok(whole.as_str().is_some_and(|text| text.contains(part)))
        }
        (ValueKind::Map | ValueKind::Seq | ValueKind::Iterable, _) => {
            Ok(whole.try_iter()?.any(|item| number(&item) == number(part)))
        }
        (ValueKind::Undefined, _) => Ok(false),
        (kind, _) => Err(wrong(format!(
            "`in` has no meaning between {} and {kind}",
            part.kind()
        ))),
    }
}

/// `-value`
///
/// # Errors
///
/// When it is no number.
pub(super) fn negate(value: Value) -> Result<Value, Error> {
    match (whole(&value).and_then(i128::checked_neg), float(&value)) {
        (Some(negative), _) if value.kind() == ValueKind::Bool || value.is_integer() => {
            Ok(Value::from(negative))
        }
        (_, Some(number)) => Ok(Value::from(-number)),
        _ => Err(wrong(format!("`-` has no meaning for {}", value.kind()))),
    }
}

/// What a loop goes through: the letters of a text one by one, so that its last one is known; nothing else is changed.
///
/// # Errors
///
/// When nothing is there: a loop over `none` is a mistake.
pub(super) fn iterate(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => {
            let letters = value.as_str().unwrap_or_default().chars();
            Ok(letters
                .map(|letter| Value::from(letter.to_string()))
                .collect::<Vec<_>>()
                .into())
        }
        ValueKind::None => Err(wrong("none is not iterable".into())),
        _ => Ok(value),
    }
}

/// `left < right` as Python says it, for which truth is a number.
///
/// # Errors
///
/// Where Python has no order between the two.
pub(super) fn is_less(left: &Value, right: &Value) -> Result<bool, Error> {
    ordered(left, right).map(|(left, right)| left < right)
}

/// `left <= right`
///
/// # Errors
///
/// As [`is_less`].
pub(super) fn is_at_most(left: &Value, right: &Value) -> Result<bool, Error> {
    ordered(left, right).map(|(left, right)| left <= right)
}

fn ordered(left: &Value, right: &Value) -> Result<(Value, Value), Error> {
    let (left, right) = (number(left), number(right));
    let has_order = |kind| {
        matches!(
            kind,
            ValueKind::Number | ValueKind::String | ValueKind::Seq | ValueKind::Iterable
        )
    };
    if left.kind() == right.kind() && has_order(left.kind()) {
        return Ok((left, right));
    }
    Err(wrong(format!(
        "{} and {} have no order",
        left.kind(),
        right.kind()
    )))
}

/// Truth as a number, and everything else as it is.
pub(super) fn number(value: &Value) -> Value {
    if value.kind() == ValueKind::Bool {
        Value::from(i64::from(value.is_true()))
    } else {
        value.clone()
    }
}

/// `str(value)`
pub(super) fn text(value: &Value) -> String {
    match value.kind() {
        ValueKind::None => "None".into(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.into(),
        _ => value.to_string(),
    }
}

/// `repr(value)`
fn repr(value: &Value) -> String {
    let list = Value::from(vec![value.clone()]).to_string();
    list[1..list.len() - 1].to_string()
}

fn wrong(what: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// A whole number, or truth as one.
fn whole(value: &Value) -> Option<i128> {
    match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).ok(),
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    (value.kind() == ValueKind::Number)
        .then(|| f64::try_from(value.clone()).ok())
        .flatten()
}

fn bound(value: &Value) -> Result<Option<i64>, Error> {
    if value.is_none() {
        return Ok(None);
    }
    let told =
        whole(value).ok_or_else(|| wrong("slice indices must be integers or none".into()))?;
    Ok(Some(told.clamp(i64::MIN.into(), i64::MAX.into()) as i64))
}

/// The places that a slice takes of `length`, in their order.
fn places(
    length: usize,
    start: Option<i64>,
    stop: Option<i64>,
    step: i64,
) -> impl Iterator<Item = usize> {
    let length = length as i64;
    let (least, most) = if step > 0 {
        (0, length)
    } else {
        (-1, length - 1)
    };
    let place = |told: i64| {
        (if told < 0 {
            told.saturating_add(length)
        } else {
            told
        })
        .clamp(least, most.max(least))
    };
    let (first, last) = if step > 0 {
        (0, length)
    } else {
        (length - 1, -1)
    };
    let (mut at, stop) = (start.map_or(first, place), stop.map_or(last, place));
    std::iter::from_fn(move || {
        let inside = if step > 0 { at < stop } else { at > stop };
        let here = at;
        at = at.saturating_add(step);
        inside.then_some(here as usize)
    })
}

/// `format % right`
fn printf(text_format: &str, right: &Value) -> Result<String, Error> {
    let (plain, conversions) = conversions(text_format);
    if right.kind() == ValueKind::Map && conversions.iter().any(|one| one.key.is_some()) {
        let mut given: Vec<(String, Value)> = Vec::new();
        for one in &conversions {
            let name = one.key.clone().unwrap_or_default();
            let value = right.get_item(&Value::from(name.as_str()))?;
            given.push((name, converted(&value, one.letter)));
        }
        return format(FormatStyle::Printf, &plain, &[Value::from_pairs(given)]);
    }
    let values: Vec<Value> = if right.is_tuple() {
        right.try_iter()?.collect()
    } else {
        vec![right.clone()]
    };
    let letters: Vec<char> = conversions
        .iter()
        .flat_map(|one| one.stars().chain([one.letter]))
        .collect();
    if values.len() < letters.len() {
        return Err(wrong("not enough arguments for format string".into()));
    }
    if values.len() > letters.len() && right.kind() != ValueKind::Map {
        return Err(wrong(
            "not all arguments converted during string formatting".into(),
        ));
    }
    let values: Vec<Value> = values
        .iter()
        .zip(letters)
        .map(|(value, letter)| converted(value, letter))
        .collect();
    format(FormatStyle::Printf, &plain, &values)
}

/// A value as its conversion wants it.
fn converted(value: &Value, letter: char) -> Value {
    match letter {
        's' => Value::from(text(value)),
        'r' | 'a' => Value::from(repr(value)),
        'd' | 'i' | 'u' => match float(value).filter(|_| !value.is_integer()) {
            Some(number) => Value::from(number.trunc() as i128),
            None => number(value),
        },
        _ => number(value),
    }
}

/// One `%…` of a format.
struct Conversion {
    key: Option<String>,
    stars: usize,
    letter: char,
}

impl Conversion {
    /// A number for each width or precision that is passed.
    fn stars(&self) -> impl Iterator<Item = char> + use<> {
        std::iter::repeat_n('*', self.stars)
    }
}

/// The conversions of a format, and the format with `s` where Python knows other words for a text.
fn conversions(text: &str) -> (String, Vec<Conversion>) {
    let (mut plain, mut found) = (String::with_capacity(text.len()), Vec::new());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.push(letter);
        if letter != '%' {
            continue;
        }
        let mut one = Conversion {
            key: None,
            stars: 0,
            letter: '%',
        };
        let mut inside = false;
        for letter in letters.by_ref() {
            match letter {
                '(' if one.key.is_none() => (one.key, inside) = (Some(String::new()), true),
                ')' if inside => inside = false,
                other if inside => one.key.get_or_insert_default().push(other),
                '*' => one.stars += 1,
                '#' | '0'..='9' | '-' | ' ' | '+' | '.' | 'h' | 'l' | 'L' => {}
                end => {
                    one.letter = end;
                    plain.push(match end {
                        'r' | 'a' => 's',
                        'u' => 'd',
                        end => end,
                    });
                    break;
                }
            }
            plain.push(letter);
        }
        if one.letter != '%' {
            found.push(one);
        }
    }
    (plain, found)
}
