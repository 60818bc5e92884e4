//! What the columns of a row hold, whatever the writer of the data set made of them.
//!
//! In: a row. Out: texts, lists, maps and times, or an error that names the column. Lists and maps may be JSON inside
//! of a string; what is null or empty is not there.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};

use crate::source::rows::{Cell, Cells, Row, listed, strict};

/// A row, by column, and which columns were asked for: those that nobody asked for are kept as they are.
pub(super) struct Columns<'a> {
    cells: Cells<'a>,
    asked: std::cell::Cell<u128>,
}

impl<'a> Columns<'a> {
    pub fn new(cells: Cells<'a>) -> Self {
        Columns {
            cells,
            asked: std::cell::Cell::new(0),
        }
    }

    /// True where there is such a column, whatever it holds.
    pub fn has(&self, name: &str) -> bool {
        self.cells.find(name).is_some()
    }

    /// True where it holds something.
    pub fn given(&self, name: &str) -> bool {
        self.cells.get(name).is_ok_and(|cell| cell.is_some())
    }

    /// True where it holds a list, which is no text.
    pub fn has_list(&self, name: &str) -> bool {
        matches!(self.cells.get(name), Ok(Some(Cell::Other(value))) if value.is_array())
    }

    /// True where it holds such a text.
    pub fn peek(&self, name: &str, like: &dyn Fn(&str) -> bool) -> bool {
        matches!(self.cells.get(name), Ok(Some(Cell::Text(text))) if like(&text))
    }

    /// The row as an object.
    pub fn row(&self) -> Result<Cow<'a, Row>, String> {
        self.cells.row()
    }

    /// Counts columns as asked for.
    pub fn take(&self, names: &[&str]) {
        names
            .iter()
            .filter_map(|name| self.cells.find(name))
            .for_each(|column| self.ask(column));
    }

    fn ask(&self, column: usize) {
        self.asked
            .set(self.asked.get() | 1u128.checked_shl(column as u32).unwrap_or(0));
    }

    fn cell(&self, name: &str) -> Result<Option<Cell<'a>>, String> {
        let Some(column) = self.cells.find(name) else {
            return Ok(None);
        };
        self.ask(column);
        self.cells.cell(column)
    }

    /// What nobody asked for and is not empty, as JSON.
    pub fn rest(&self) -> Result<Option<String>, String> {
        let mut rest = Map::new();
        for column in 0..self.cells.columns() {
            if 1u128
                .checked_shl(column as u32)
                .is_some_and(|bit| self.asked.get() & bit != 0)
            {
                continue;
            }
            let value = match self.cells.cell(column)? {
                None => continue,
                Some(Cell::Text(text)) if text.is_empty() => continue,
                Some(Cell::Text(text)) => Value::from(text),
                Some(Cell::Other(value)) => without_nulls(value.into_owned()),
            };
            let empty = matches!(&value, Value::Array(list) if list.is_empty())
                || matches!(&value, Value::Object(map) if map.is_empty());
            if !empty {
                rest.insert(self.cells.name(column).to_string(), value);
            }
        }
        Ok((!rest.is_empty()).then(|| Value::Object(rest).to_string()))
    }

    /// A column as it is: its text, or else its JSON.
    pub fn kept(&self, name: &str) -> Result<Option<String>, String> {
        Ok(match self.cell(name)? {
            None => None,
            Some(Cell::Text(text)) => Some(text.into_owned()).filter(|text| !text.is_empty()),
            Some(Cell::Other(value)) => Some(without_nulls(value.into_owned()).to_string()),
        })
    }

    /// A text; none where it is empty.
    pub fn text(&self, name: &str) -> Result<Option<String>, String> {
        match self.cell(name)? {
            None => Ok(None),
            Some(Cell::Text(text)) => Ok(Some(text.into_owned()).filter(|text| !text.is_empty())),
            Some(Cell::Other(other)) => Err(format!(
                "column `{name}` should be a text, not {}",
                kind(&other)
            )),
        }
    }

    /// The first of several columns that has a text.
    pub fn any(&self, names: &[&str]) -> Result<Option<String>, String> {
        names
            .iter()
            .find_map(|name| self.text(name).transpose())
            .transpose()
    }

    /// A text that must be there.
    pub fn need(&self, name: &str) -> Result<String, String> {
        self.text(name)?
            .ok_or_else(|| format!("column `{name}` is missing or empty"))
    }

    /// A text that may be empty, in a column that must be there.
    pub fn given_text(&self, name: &str) -> Result<String, String> {
        match self.text(name)? {
            Some(text) => Ok(text),
            None if self.has(name) => Ok(String::new()),
            None => Err(format!("column `{name}` is missing")),
        }
    }

    /// A text, or a number in its own digits.
    pub fn plain(&self, name: &str) -> Result<Option<String>, String> {
        match self.cell(name)? {
            Some(Cell::Other(value)) if value.is_number() => Ok(Some(value.to_string())),
            _ => self.text(name),
        }
    }

    /// What a column holds, also where it is JSON inside of a string.
    pub fn json(&self, name: &str) -> Result<Option<Value>, String> {
        match self.cell(name)? {
            None => Ok(None),
            Some(Cell::Text(text)) if text.trim().is_empty() => Ok(None),
            Some(Cell::Text(text)) => strict::value(text.as_bytes())
                .map(|value| Some(value).filter(|value| !value.is_null()))
                .map_err(|fault| no_json(name, &fault)),
            Some(Cell::Other(value)) => Ok(Some(value.into_owned())),
        }
    }

    /// A map.
    pub fn map(&self, name: &str) -> Result<Option<Map<String, Value>>, String> {
        match self.json(name)? {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(format!(
                "column `{name}` should be an object, not {}",
                kind(&other)
            )),
        }
    }

    /// A list of texts; empty where it is missing.
    pub fn list(&self, name: &str) -> Result<Vec<String>, String> {
        let list = match self.cell(name)? {
            None => return Ok(Vec::new()),
            Some(Cell::Text(text)) if text.trim().is_empty() => return Ok(Vec::new()),
            Some(Cell::Text(text)) => return self.listed(name, &text),
            Some(Cell::Other(value)) => value,
        };
        match list.into_owned() {
            Value::Array(list) => texts(name, list),
            other => Err(format!(
                "column `{name}` should be a list, not {}",
                kind(&other)
            )),
        }
    }

    /// A list inside of a string.
    fn listed(&self, name: &str, text: &str) -> Result<Vec<String>, String> {
        // The usual case first: nothing but texts, in JSON's notation or in Python's.
        if let Ok(list) = listed(text) {
            return Ok(list);
        }
        match self.json(name)? {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => texts(name, list),
            Some(other) => Err(format!(
                "column `{name}` should be a list, not {}",
                kind(&other)
            )),
        }
    }

    /// The names of a map of tests, or of a list of them.
    pub fn tests(&self, name: &str) -> Result<Vec<String>, String> {
        let map = matches!(self.cell(name)?, Some(Cell::Other(value)) if value.is_object());
        let map = map
            || self
                .text(name)
                .ok()
                .flatten()
                .is_some_and(|text| text.trim_start().starts_with('{'));
        if !map {
            return self.list(name);
        }
        match self.json(name)? {
            // A table gives every row the tests of all rows; those of others are null.
            Some(Value::Object(map)) => Ok(map
                .into_iter()
                .filter(|(_, run)| !run.is_null())
                .map(|(test, _)| test)
                .collect()),
            _ => self.list(name),
        }
    }

    /// A time, in UTC and to the second.
    pub fn time(&self, name: &str) -> Result<Option<String>, String> {
        let told = |what: &str| {
            format!(
                "column `{name}`: `{}` is no time",
                what.chars().take(40).collect::<String>().escape_debug()
            )
        };
        let time = match self.cell(name)? {
            None => return Ok(None),
            Some(Cell::Text(text)) if text.trim().is_empty() => return Ok(None),
            Some(Cell::Text(text)) => from_text(text.trim()).ok_or_else(|| told(&text))?,
            Some(Cell::Other(value)) => match value.as_f64() {
                Some(number) => from_number(number).ok_or_else(|| told(&number.to_string()))?,
                None => return Err(told(kind(&value))),
            },
        };
        Ok(Some(time.to_rfc3339_opts(SecondsFormat::Secs, true)))
    }
}

fn texts(name: &str, list: Vec<Value>) -> Result<Vec<String>, String> {
    let text = |value: Value| match value {
        Value::String(text) => Ok(text),
        other => Err(format!(
            "column `{name}` holds {} where a text should be",
            kind(&other)
        )),
    };
    list.into_iter().map(text).collect()
}

fn no_json(name: &str, fault: &strict::Fault) -> String {
    format!(
        "column `{name}` is no JSON inside of a string: byte {}: {}",
        fault.at, fault.reason
    )
}

/// A table gives every object the keys of all; those of others are null.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let given = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                given
                    .map(|(key, value)| (key, without_nulls(value)))
                    .collect(),
            )
        }
        Value::Array(list) => Value::Array(list.into_iter().map(without_nulls).collect()),
        value => value,
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
    for form in [
        "%Y-%m-%d %H:%M:%S%.f %:z",
        "%Y-%m-%d %H:%M:%S%.f%:z",
        "%Y-%m-%dT%H:%M:%S%.f%z",
    ] {
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
        Columns::new(Cells::Row(json!({"t": value}).as_object().expect("a row"))).time("t")
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
            assert_eq!(
                time(value.clone()),
                Ok(Some("2023-01-02T03:04:05Z".into())),
                "{value}"
            );
        }
        assert_eq!(
            time(json!("2023-01-02")),
            Ok(Some("2023-01-02T00:00:00Z".into()))
        );
        assert_eq!((time(json!(null)), time(json!(""))), (Ok(None), Ok(None)));
        assert!(
            time(json!("soon"))
                .expect_err("is refused")
                .contains("`soon` is no time")
        );
        assert!(time(json!([1])).is_err() && time(json!(1e300)).is_err());
    }

    #[test]
    fn a_time_in_a_column_of_times_is_one_as_well() {
        use std::sync::Arc;

        use arrow::array::{
            ArrayRef, RecordBatch, TimestampMicrosecondArray, TimestampNanosecondArray,
        };
        let plain: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![1_672_628_645_123_456]));
        let zone =
            TimestampNanosecondArray::from(vec![1_672_628_645_123_456_789]).with_timezone("+00:00");
        let batch =
            RecordBatch::try_from_iter([("plain", plain), ("zone", Arc::new(zone) as ArrayRef)]);
        let batch = crate::source::rows::Batch::new(batch.expect("a batch"), None);
        let columns = Columns::new(Cells::Batch(&batch, 0));
        for name in ["plain", "zone"] {
            assert_eq!(
                columns.time(name),
                Ok(Some("2023-01-02T03:04:05Z".into())),
                "{name}"
            );
        }
    }

    #[test]
    fn lists_and_maps_may_be_texts_and_a_wrong_kind_is_named() {
        let row = json!({"a": ["x"], "b": "[\"x\"]", "c": "x", "d": [1],
            "e": "{\"x\": 1, \"y\": null}", "f": "{\"x\": 1, \"x\": 2}"});
        let columns = Columns::new(Cells::Row(row.as_object().expect("a row")));
        assert_eq!(
            (columns.list("a"), columns.list("b")),
            (Ok(vec!["x".into()]), Ok(vec!["x".into()]))
        );
        assert_eq!(
            (columns.list("none"), columns.tests("e")),
            (Ok(vec![]), Ok(vec!["x".into()]))
        );
        assert!(
            columns
                .list("c")
                .expect_err("is refused")
                .contains("column `c`")
        );
        assert!(
            columns
                .list("d")
                .expect_err("is refused")
                .contains("a number where a text should be")
        );
        assert!(
            columns
                .map("f")
                .expect_err("is refused")
                .contains("stands twice")
        );
        assert!(
            columns
                .text("a")
                .expect_err("is refused")
                .contains("not a list")
        );
    }
}
