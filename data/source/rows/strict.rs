//! JSON that is read in one way only.
//!
//! In: the bytes of one value from anybody. Out: the value, or where it is none and why. Refused beyond what the
//! grammar refuses (`NaN`, lone surrogates, no UTF-8): a key that stands twice, nesting deeper than 64, and more values
//! than fit into memory. Example: `{"a": 1, "a": 2}` is refused, because two programs would read two different rows.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The deepest nesting.
pub const MAX_DEPTH: usize = 64;
/// The most values in one: each costs many times its bytes.
pub const MAX_VALUES: usize = 2_000_000;

/// Why bytes are no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The byte at which reading stopped, counted from 0.
    pub at: usize,
    /// What is wrong there.
    pub reason: String,
    /// True where more bytes could have made it right.
    pub cut: bool,
}

/// Reads exactly one value.
///
/// # Errors
///
/// Where and why it is none.
pub fn value(bytes: &[u8]) -> Result<Value, Fault> {
    let left = Cell::new(MAX_VALUES);
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = Bounded {
        depth: MAX_DEPTH,
        left: &left,
    }
    .deserialize(&mut json);
    read.and_then(|value| json.end().map(|()| value))
        .map_err(|error| {
            let said = error.to_string();
            // The place is told as a byte of the file instead.
            let reason = said
                .rsplit_once(" at line ")
                .map_or(said.as_str(), |(reason, _)| reason);
            // Python writes them for bytes that were no text.
            let half = if reason.contains("hex escape") {
                " (half of a surrogate pair, which is no letter)"
            } else {
                ""
            };
            let reason = format!("{reason}{half}");
            Fault {
                at: place(bytes, error.line(), error.column()),
                reason,
                cut: error.is_eof(),
            }
        })
}

/// The byte that stands in this line and column, both counted from 1.
fn place(bytes: &[u8], line: usize, column: usize) -> usize {
    let before = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1));
    let start: usize = before.map(<[u8]>::len).sum();
    (start + column.saturating_sub(1)).min(bytes.len())
}

/// A value with `depth` levels below it, of which `left` may be made.
struct Bounded<'a> {
    depth: usize,
    left: &'a Cell<usize>,
}

impl Bounded<'_> {
    fn inner<E: Error>(&self) -> Result<Bounded<'_>, E> {
        let depth = self.depth.checked_sub(1);
        let depth =
            depth.ok_or_else(|| E::custom(format!("it is nested deeper than {MAX_DEPTH}")))?;
        Ok(Bounded {
            depth,
            left: self.left,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left.set(
            left.ok_or_else(|| {
                D::Error::custom(format!("it holds more than {MAX_VALUES} values"))
            })?,
        );
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_string()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.inner()?)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self.inner()?)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!(
                    "the key `{}` stands twice",
                    key.escape_debug()
                )));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        value(text.as_bytes()).expect_err(text).reason
    }

    #[test]
    fn what_is_plain_json_is_read_as_serde_json_reads_it() {
        for text in [
            "null",
            "-1.5e3",
            "[1, [true], {\"a\\u00e9\": \"\\ud83d\\ude00\"}]",
            "18446744073709551615",
            "\"4.10\"",
        ] {
            let plain: Value = serde_json::from_str(text).expect("reads");
            assert_eq!(value(text.as_bytes()), Ok(plain), "{text}");
        }
    }

    #[test]
    fn what_two_programs_read_in_two_ways_is_refused() {
        assert_eq!(
            refused(r#"{"a": 1, "b": {"c": 1, "c": 2}}"#),
            "the key `c` stands twice"
        );
        assert_eq!(
            refused(r#"{"a": 1, "\u0061": 2}"#),
            "the key `a` stands twice"
        );
        assert!(
            refused(r#""\ud800""#).contains("surrogate")
                || refused(r#""\ud800""#).contains("hex escape")
        );
        for text in [
            "NaN",
            "[Infinity]",
            "-NaN",
            "1e999",
            "1 2",
            "{\"a\": 1} x",
            "\u{feff}1",
            "'a'",
            "[1,]",
            "\"a\nb\"",
        ] {
            assert!(value(text.as_bytes()).is_err(), "{text}");
        }
        assert!(value(b"\"\xff\"").is_err());
    }

    #[test]
    fn nesting_and_numbers_of_values_are_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(value(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(refused(&nested(MAX_DEPTH + 1)).contains("deeper than 64"));
        assert!(refused(&nested(1_000_000)).contains("deeper than 64"));
        assert!(refused(&"{\"a\":".repeat(100_000)).contains("deeper than 64"));
        let many = format!("[{}1]", "1,".repeat(MAX_VALUES));
        assert!(refused(&many).contains("more than 2000000 values"));
    }

    #[test]
    fn the_place_is_a_byte() {
        let fault = value(b"{\"a\": 1,\n \"b\": x}").expect_err("is refused");
        assert_eq!((fault.at, fault.cut), (15, false));
        assert!(value(b"{\"a\": ").expect_err("is refused").cut);
    }
}
