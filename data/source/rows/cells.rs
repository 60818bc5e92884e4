//! A row where it lies: an object of JSON, or a place in columns.
//!
//! In: the name of a column. Out: its cell, without a copy where it is a text. Names are found in other letters, large or
//! small, where no column has the very name: `FAIL_TO_PASS` finds `fail_to_pass`.

use std::borrow::Cow;

use serde_json::Value;

use super::{Batch, Row};

/// A row of either kind.
#[derive(Clone, Copy, Debug)]
pub enum Cells<'a> {
    /// An object.
    Row(&'a Row),
    /// A batch, and the place in it.
    Batch(&'a Batch, usize),
}

/// What a column holds; what is null is no cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// Anything else.
    Other(Cow<'a, Value>),
}

impl<'a> Cells<'a> {
    /// The number of columns.
    pub fn columns(self) -> usize {
        match self {
            Cells::Row(row) => row.len(),
            Cells::Batch(batch, _) => batch.columns(),
        }
    }

    /// The name of a column.
    pub fn name(self, column: usize) -> &'a str {
        match self {
            Cells::Row(row) => row.keys().nth(column).map_or("", String::as_str),
            Cells::Batch(batch, _) => batch.name(column),
        }
    }

    /// The column of this name; where there is none, one that has it in other letters, large or small.
    pub fn find(self, name: &str) -> Option<usize> {
        match self {
            Cells::Row(row) => {
                let small = || row.keys().position(|key| key.eq_ignore_ascii_case(name));
                row.keys().position(|key| key == name).or_else(small)
            }
            Cells::Batch(batch, _) => batch.find(name),
        }
    }

    /// The cell of a column; none where it is null.
    ///
    /// # Errors
    ///
    /// When no JSON says what it holds.
    pub fn cell(self, column: usize) -> Result<Option<Cell<'a>>, String> {
        match self {
            Cells::Row(row) => Ok(match row.values().nth(column) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(Cell::Text(Cow::Borrowed(text))),
                Some(value) => Some(Cell::Other(Cow::Borrowed(value))),
            }),
            Cells::Batch(batch, row) => {
                if let Some(text) = batch.text(column, row) {
                    return Ok(Some(Cell::Text(Cow::Borrowed(text))));
                }
                Ok(match batch.value(column, row)? {
                    Value::Null => None,
                    // Times and decimals.
                    Value::String(text) => Some(Cell::Text(Cow::Owned(text))),
                    value => Some(Cell::Other(Cow::Owned(value))),
                })
            }
        }
    }

    /// The cell of the column with this name.
    ///
    /// # Errors
    ///
    /// As [`Cells::cell`].
    pub fn get(self, name: &str) -> Result<Option<Cell<'a>>, String> {
        self.find(name).map_or(Ok(None), |column| self.cell(column))
    }

    /// The row as an object.
    ///
    /// # Errors
    ///
    /// As [`Cells::cell`].
    pub fn row(self) -> Result<Cow<'a, Row>, String> {
        match self {
            Cells::Row(row) => Ok(Cow::Borrowed(row)),
            Cells::Batch(batch, row) => batch.row(row).map(Cow::Owned),
        }
    }
}
