//! Rows that lie in columns.
//!
//! In: a batch of columns, as Parquet or Arrow has them. Out: one cell after the other, a text without copying it,
//! everything else as JSON. Times become RFC 3339, decimals their digits, numbers that are none (`NaN`) nothing, and bytes
//! text where they are UTF-8. Example: a list of texts is the same JSON list that JSON lines would hold.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray, ListArray, MapArray,
    PrimitiveArray, RecordBatch, StringArray, StructArray,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine as _;
use serde_json::{Map, Number, Value};

use super::Row;
use super::strict::MAX_VALUES;

/// Where each column stands, by its name.
#[derive(Debug, Default)]
struct Names {
    exact: HashMap<String, usize>,
    /// In small letters, for data sets that write `fail_to_pass`.
    small: HashMap<String, usize>,
}

/// Rows, column by column.
#[derive(Clone, Debug)]
pub struct Batch {
    columns: RecordBatch,
    names: Arc<Names>,
}

impl Batch {
    /// Takes columns; those of `before` where they have the same names.
    pub(crate) fn new(columns: RecordBatch, before: Option<&Batch>) -> Batch {
        if let Some(before) =
            before.filter(|before| before.columns.schema_ref() == columns.schema_ref())
        {
            return Batch {
                columns,
                names: before.names.clone(),
            };
        }
        let mut names = Names::default();
        for (index, field) in columns.schema_ref().fields().iter().enumerate() {
            names.exact.insert(field.name().clone(), index);
            names
                .small
                .entry(field.name().to_ascii_lowercase())
                .or_insert(index);
        }
        Batch {
            columns,
            names: Arc::new(names),
        }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.columns.num_rows()
    }

    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.columns.num_columns()
    }

    /// The name of a column.
    pub fn name(&self, column: usize) -> &str {
        self.columns.schema_ref().field(column).name()
    }

    /// The column of this name; where there is none, one that has it in other letters, large or small.
    pub fn find(&self, name: &str) -> Option<usize> {
        let small = || self.names.small.get(name.to_ascii_lowercase().as_str());
        self.names.exact.get(name).or_else(small).copied()
    }

    /// A cell as text, without copying it; none where it is something else.
    pub fn text(&self, column: usize, row: usize) -> Option<&str> {
        let column = self.columns.column(column);
        if column.is_null(row) {
            return None;
        }
        match column.as_any().downcast_ref::<StringArray>() {
            Some(texts) => Some(texts.value(row)),
            None => {
                std::str::from_utf8(column.as_any().downcast_ref::<BinaryArray>()?.value(row)).ok()
            }
        }
    }

    /// A cell as JSON.
    ///
    /// # Errors
    ///
    /// When no JSON says what it holds, such as a day beyond all calendars.
    pub fn value(&self, column: usize, row: usize) -> Result<Value, String> {
        value(self.columns.column(column), row)
            .map_err(|why| format!("column `{}`: {why}", self.name(column)))
    }

    /// True where a cell holds nothing.
    pub fn is_null(&self, column: usize, row: usize) -> bool {
        self.columns.column(column).is_null(row)
    }

    /// A row as JSON.
    ///
    /// # Errors
    ///
    /// As [`Batch::value`].
    pub fn row(&self, row: usize) -> Result<Row, String> {
        (0..self.columns())
            .map(|column| Ok((self.name(column).to_string(), self.value(column, row)?)))
            .collect()
    }
}

fn value(column: &ArrayRef, row: usize) -> Result<Value, String> {
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    let any = column.as_any();
    if let Some(texts) = any.downcast_ref::<StringArray>() {
        return Ok(texts.value(row).into());
    }
    if let Some(list) = any.downcast_ref::<ListArray>() {
        let items = list.value(row);
        if items.len() > MAX_VALUES {
            return Err(format!("it holds more than {MAX_VALUES} values"));
        }
        return (0..items.len())
            .map(|item| value(&items, item))
            .collect::<Result<_, _>>()
            .map(Value::Array);
    }
    if let Some(parts) = any.downcast_ref::<StructArray>() {
        let fields = parts.fields().iter().zip(parts.columns());
        let object = fields.map(|(field, part)| Ok((field.name().clone(), value(part, row)?)));
        return object
            .collect::<Result<Map<_, _>, String>>()
            .map(Value::Object);
    }
    if let Some(map) = any.downcast_ref::<MapArray>() {
        return entries(&map.value(row));
    }
    if let Some(flags) = any.downcast_ref::<BooleanArray>() {
        return Ok(flags.value(row).into());
    }
    if let Some(bytes) = any.downcast_ref::<BinaryArray>() {
        return Ok(of_bytes(bytes.value(row)));
    }
    if let Some(bytes) = any.downcast_ref::<FixedSizeBinaryArray>() {
        return Ok(of_bytes(bytes.value(row)));
    }
    number(column, row).map_or_else(|| formatted(column, row), Ok)
}

/// A map as an object; its keys are texts, or said as one.
fn entries(entries: &StructArray) -> Result<Value, String> {
    let (keys, values) = (entries.column(0), entries.column(1));
    let mut object = Map::new();
    for entry in 0..entries.len() {
        let key = match value(keys, entry)? {
            Value::String(key) => key,
            other => other.to_string(),
        };
        if object.contains_key(&key) {
            return Err(format!("the key `{}` stands twice", key.escape_debug()));
        }
        object.insert(key, value(values, entry)?);
    }
    Ok(Value::Object(object))
}

fn of_bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => base64::engine::general_purpose::STANDARD
            .encode(bytes)
            .into(),
    }
}

/// A number; none where the column holds something else.
fn number(column: &ArrayRef, row: usize) -> Option<Value> {
    fn at<T: ArrowPrimitiveType>(column: &ArrayRef, row: usize) -> Option<T::Native> {
        column
            .as_primitive_opt::<T>()
            .map(|column: &PrimitiveArray<T>| column.value(row))
    }
    let float = |number: f64| Number::from_f64(number).map_or(Value::Null, Value::Number);
    match column.data_type() {
        DataType::Int64 => at::<Int64Type>(column, row).map(Value::from),
        DataType::Int32 => at::<Int32Type>(column, row).map(Value::from),
        DataType::Float64 => at::<Float64Type>(column, row).map(float),
        DataType::Float32 => at::<Float32Type>(column, row).map(|number| float(number.into())),
        DataType::Float16 => at::<Float16Type>(column, row).map(|number| float(number.into())),
        DataType::Int16 => at::<Int16Type>(column, row).map(Value::from),
        DataType::Int8 => at::<Int8Type>(column, row).map(Value::from),
        DataType::UInt64 => at::<UInt64Type>(column, row).map(Value::from),
        DataType::UInt32 => at::<UInt32Type>(column, row).map(Value::from),
        DataType::UInt16 => at::<UInt16Type>(column, row).map(Value::from),
        DataType::UInt8 => at::<UInt8Type>(column, row).map(Value::from),
        _ => None,
    }
}

/// Times, decimals and the like, in their own notation.
fn formatted(column: &ArrayRef, row: usize) -> Result<Value, String> {
    let options = FormatOptions::new().with_display_error(false);
    let told =
        ArrayFormatter::try_new(column.as_ref(), &options).map_err(|error| error.to_string())?;
    told.value(row)
        .try_to_string()
        .map(Value::String)
        .map_err(|error| error.to_string())
}
