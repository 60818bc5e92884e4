//! What the columns of a row hold, whatever the writer of the data set made of them.
//!
//! In: a row. Out: texts, lists, maps and times, or an error that names the column. Lists and maps may be JSON inside
//! of a string; what is null or empty is not there.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};

use crate::source::rows::{Row, strict};

/// A row, by column.
pub(super) struct Columns<'a>(pub &'a Row);

impl Columns<'_> {
    fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text; none where it is empty.
    pub fn text(&self, name: &str) -> Result<Option<String>, String> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(other) => Err(format!("column `{name}` should be a text, not {}", kind(other))),
        }
    }

    /// The first of several columns that has a text.
    pub fn any(&self, names: &[&str]) -> Result<Option<String>, String> {
        names.iter().find_map(|name| self.text(name).transpose()).transpose()
    }

    /// A text that must be there.
    pub fn need(&self, name: &str) -> Result<String, String> {
        self.text(name)?.ok_or_else(|| format!("column `{name}` is missing or empty"))
    }

    /// A text, or a number in its own digits.
    pub fn plain(&self, name: &str) -> Result<Option<String>, String> {
        match self.value(name) {
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            _ => self.text(name),
        }
    }

    /// What a column holds, also where it is JSON inside of a string.
    pub fn json(&self, name: &str) -> Result<Option<Value>, String> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) => strict::value(text.as_bytes())
                .map(|value| Some(value).filter(|value| !value.is_null()))
                .map_err(|fault| {
                    format!("column `{name}` is no JSON inside of a string: byte {}: {}", fault.at, fault.reason)
                }),
            Some(value) => Ok(Some(value.clone())),
        }
    }

    /// A map.
    pub fn map(&self, name: &str) -> Result<Option<Map<String, Value>>, String> {
        match self.json(name)? {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(format!("column `{name}` should be an object, not {}", kind(&other))),
        }
    }

    /// A list of texts; empty where it is missing.
    pub fn list(&self, name: &str) -> Result<Vec<String>, String> {
        let list = match self.json(name)? {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(other) => return Err(format!("column `{name}` should be a list, not {}", kind(&other))),
        };
        let text = |value: Value| match value {
            Value::String(text) => Ok(text),
            other => Err(format!("column `{name}` holds {} where a text should be", kind(&other))),
        };
        list.into_iter().map(text).collect()
    }

    /// The names of a map of tests, or of a list of them.
    pub fn tests(&self, name: &str) -> Result<Vec<String>, String> {
        match self.json(name)? {
            // A table gives every row the tests of all rows; those of others are null.
            Some(Value::Object(map)) => {
                Ok(map.into_iter().filter(|(_, run)| !run.is_null()).map(|(test, _)| test).collect())
            }
            _ => self.list(name),
        }
    }

    /// A time, in UTC and to the second.
    pub fn time(&self, name: &str) -> Result<Option<String>, String> {
        let told = |what: &str| {
            format!("column `{name}`: `{}` is no time", what.chars().take(40).collect::<String>().escape_debug())
        };
        let time = match self.value(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => {
                number.as_f64().and_then(from_number).ok_or_else(|| told(&number.to_string()))?
            }
            Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
            Some(Value::String(text)) => from_text(text.trim()).ok_or_else(|| told(text))?,
            Some(other) => return Err(told(kind(other))),
        };
        Ok(Some(time.to_rfc3339_opts(SecondsFormat::Secs, true)))
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970: told apart by their size, which for any day between
/// 1973 and 5138 has one reading.
fn from_number(number: f64) -> Option<DateTime<Utc>> {
    let size = number.abs();
    let seconds = match size {
        _ if size < 1e11 => number,
        _ if size < 1e14 => number / 1e3,
        _ if size < 1e17 => number / 1e6,
        _ => number / 1e9,
    };
    DateTime::from_timestamp(seconds.floor() as i64, 0)
}

/// A time without a zone is taken for UTC.
fn from_text(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    for form in ["%Y-%m-%d %H:%M:%S%.f %:z", "%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%dT%H:%M:%S%.f%z"] {
        if let Ok(time) = DateTime::parse_from_str(text, form) {
            return Some(time.to_utc());
        }
    }
    for form in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
            return Some(time.and_utc());
        }
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return day.and_hms_opt(0, 0, 0).map(|time| time.and_utc());
    }
    text.parse().ok().and_then(from_number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn time(value: Value) -> Result<Option<String>, String> {
        Columns(json!({"t": value}).as_object().expect("a row")).time("t")
    }

    #[test]
    fn a_time_is_the_same_however_it_is_written() {
        for value in [
            json!("2023-01-02T03:04:05Z"),
            json!("2023-01-02T04:04:05+01:00"),
            json!("2023-01-02 03:04:05"),
            json!("2023-01-02 03:04:05.123 +00:00"),
            json!("2023-01-02 03:04:05+00:00"),
            json!(1_672_628_645),
            json!(1_672_628_645_123_i64),
            json!(1_672_628_645_123_456_i64),
            json!(1_672_628_645_123_456_789_i64),
            json!("1672628645123"),
        ] {
            assert_eq!(time(value.clone()), Ok(Some("2023-01-02T03:04:05Z".into())), "{value}");
        }
        assert_eq!(time(json!("2023-01-02")), Ok(Some("2023-01-02T00:00:00Z".into())));
        assert_eq!((time(json!(null)), time(json!(""))), (Ok(None), Ok(None)));
        assert!(time(json!("soon")).expect_err("is refused").contains("`soon` is no time"));
        assert!(time(json!([1])).is_err() && time(json!(1e300)).is_err());
    }

    #[test]
    fn lists_and_maps_may_be_texts_and_a_wrong_kind_is_named() {
        let row = json!({"a": ["x"], "b": "[\"x\"]", "c": "x", "d": [1],
            "e": "{\"x\": 1, \"y\": null}", "f": "{\"x\": 1, \"x\": 2}"});
        let columns = Columns(row.as_object().expect("a row"));
        assert_eq!((columns.list("a"), columns.list("b")), (Ok(vec!["x".into()]), Ok(vec!["x".into()])));
        assert_eq!((columns.list("none"), columns.tests("e")), (Ok(vec![]), Ok(vec!["x".into()])));
        assert!(columns.list("c").expect_err("is refused").contains("column `c`"));
        assert!(columns.list("d").expect_err("is refused").contains("a number where a text should be"));
        assert!(columns.map("f").expect_err("is refused").contains("stands twice"));
        assert!(columns.text("a").expect_err("is refused").contains("not a list"));
    }
}
