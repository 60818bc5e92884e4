//! Rows of a Parquet file, decoded a batch at a time.
//!
//! In: an open file. Out: batches of columns, each small whatever the file is, or why the file is none. A page of one
//! value that stands a million times is small on disk: what the rows become is counted before it is written out, and a
//! file that grows beyond every measure is refused. The memory does not depend on the number of rows.

use std::collections::HashSet;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryViewArray, ListArray, MapArray, RecordBatch, RecordBatchOptions,
    StringViewArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use super::Limits;

/// Rows that are decoded together. Their texts stay in the pages that hold them until they are written out.
const DECODED_ROWS: usize = 1024;
/// About the bytes of a batch that is told, unless one row has more.
const BATCH_BYTES: u64 = 4 << 20;

/// Tells batches of rows to `each`; false from it ends the reading.
///
/// # Errors
///
/// Why the file cannot be read, or which limit its rows exceed.
pub(super) fn decode(
    file: File,
    limits: &Limits,
    each: &mut dyn FnMut(RecordBatch) -> bool,
) -> Result<(), String> {
    let size = file.metadata().map_err(|error| broken(&error))?.len();
    let mut budget = Budget::new(size, limits);
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let about =
        ArrowReaderMetadata::load(&file, options.clone()).map_err(|error| broken(&error))?;
    refuse_twins(about.schema().fields())?;
    let viewed = Schema::new(views(about.schema().fields()));
    let about = ArrowReaderMetadata::try_new(
        about.metadata().clone(),
        options.with_schema(Arc::new(viewed)),
    );
    let about = about.map_err(|error| broken(&error))?;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, about)
        .with_batch_size(DECODED_ROWS)
        .build();
    for batch in reader.map_err(|error| broken(&error))? {
        let batch =
            batch.map_err(|error| format!("after row {}: {}", budget.rows, broken(&error)))?;
        let lengths = lengths_of(&batch);
        let mut from = 0;
        while from < batch.num_rows() {
            let count = budget.take(&lengths[from..])?;
            let part = written_out(&batch.slice(from, count)).map_err(|error| broken(&error))?;
            if !each(part) {
                return Ok(());
            }
            from += count;
        }
    }
    Ok(())
}

fn broken(error: &dyn std::fmt::Display) -> String {
    format!("it is broken Parquet: {error}")
}

/// A row with two columns of one name is read in two ways.
fn refuse_twins(fields: &Fields) -> Result<(), String> {
    let mut names = HashSet::new();
    for field in fields {
        if !names.insert(field.name()) {
            return Err(format!("the column `{}` stands twice", field.name()));
        }
        match field.data_type() {
            DataType::Struct(inner) => refuse_twins(inner)?,
            DataType::List(inner) => refuse_twins(&Fields::from(vec![inner.clone()]))?,
            _ => {}
        }
    }
    Ok(())
}

/// The same columns, texts as views into their pages.
fn views(fields: &Fields) -> Fields {
    fields
        .iter()
        .map(|field| {
            Arc::new(
                field
                    .as_ref()
                    .clone()
                    .with_data_type(view(field.data_type())),
            )
        })
        .collect()
}

fn view(kind: &DataType) -> DataType {
    let inner = |field: &FieldRef| {
        Arc::new(
            field
                .as_ref()
                .clone()
                .with_data_type(view(field.data_type())),
        )
    };
    match kind {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        // The same zone by its distance, which needs no list of zones to be understood.
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("+00:00".into())),
        DataType::List(field) => DataType::List(inner(field)),
        DataType::Map(field, sorted) => DataType::Map(inner(field), *sorted),
        DataType::Struct(fields) => DataType::Struct(views(fields)),
        other => other.clone(),
    }
}

/// What rows may still become.
struct Budget<'a> {
    limits: &'a Limits,
    size: u64,
    most: u64,
    total: u64,
    rows: usize,
}

impl<'a> Budget<'a> {
    fn new(size: u64, limits: &'a Limits) -> Self {
        let most = limits
            .bytes
            .min(size.saturating_mul(limits.expansion).max(limits.free_bytes));
        Budget {
            limits,
            size,
            most,
            total: 0,
            rows: 0,
        }
    }

    /// How many of these rows make the next batch.
    fn take(&mut self, lengths: &[u64]) -> Result<usize, String> {
        let (mut count, mut bytes) = (0, 0);
        for length in lengths {
            if count > 0 && bytes + length > BATCH_BYTES {
                break;
            }
            let over = self.refusal(*length);
            match over {
                // What stands before it is told first.
                Some(_) if count > 0 => break,
                Some(reason) => return Err(reason),
                None => {}
            }
            count += 1;
            bytes += length;
            self.total += length;
            self.rows += 1;
        }
        Ok(count)
    }

    fn refusal(&self, length: u64) -> Option<String> {
        let Budget {
            limits, size, most, ..
        } = self;
        let number = self.rows + 1;
        if number > limits.rows {
            return Some(format!("there are more than {} rows", limits.rows));
        }
        if length > limits.row_bytes as u64 {
            return Some(format!(
                "row {number} is longer than {} bytes",
                limits.row_bytes
            ));
        }
        (self.total + length > *most).then(|| {
            format!("its {size} bytes become more than {most} bytes of rows, at row {number}")
        })
    }
}

/// About how long each row is as JSON.
fn lengths_of(batch: &RecordBatch) -> Vec<u64> {
    let schema = batch.schema();
    let mut rows = vec![names_of(schema.fields()); batch.num_rows()];
    for column in batch.columns() {
        rows.iter_mut()
            .zip(lengths(column))
            .for_each(|(sum, length)| *sum = sum.saturating_add(length));
    }
    rows
}

/// What the names of an object cost.
fn names_of(fields: &Fields) -> u64 {
    fields
        .iter()
        .map(|field| field.name().len() as u64 + 4)
        .sum::<u64>()
        + 2
}

/// About how long each value is as JSON.
fn lengths(column: &ArrayRef) -> Vec<u64> {
    let any = column.as_any();
    // The low half of a view is its length.
    let of_views = |views: &[u128]| {
        views
            .iter()
            .map(|view| u64::from(*view as u32) + 3)
            .collect()
    };
    if let Some(texts) = any.downcast_ref::<StringViewArray>() {
        return of_views(texts.views());
    }
    if let Some(bytes) = any.downcast_ref::<BinaryViewArray>() {
        return of_views(bytes.views());
    }
    if let Some(list) = any.downcast_ref::<ListArray>() {
        return of_list(list.offsets(), list.values());
    }
    if let Some(map) = any.downcast_ref::<MapArray>() {
        let entries: ArrayRef = Arc::new(map.entries().clone());
        return of_list(map.offsets(), &entries);
    }
    if let Some(parts) = any.downcast_ref::<StructArray>() {
        let mut all = vec![names_of(parts.fields()); parts.len()];
        for part in parts.columns() {
            all.iter_mut()
                .zip(lengths(part))
                .for_each(|(sum, length)| *sum = sum.saturating_add(length));
        }
        return all;
    }
    let width = match column.data_type() {
        DataType::FixedSizeBinary(width) => *width as u64 + 3,
        DataType::Null | DataType::Boolean => 5,
        _ => 8,
    };
    vec![width; column.len()]
}

fn of_list(offsets: &OffsetBuffer<i32>, values: &ArrayRef) -> Vec<u64> {
    let span = span(offsets);
    let inner = lengths(&values.slice(span.start, span.len()));
    let place = |offset: i32| offset as usize - span.start;
    offsets
        .windows(2)
        .map(|pair| inner[place(pair[0])..place(pair[1])].iter().sum::<u64>() + 2)
        .collect()
}

/// Which values the lists of a slice hold.
fn span(offsets: &OffsetBuffer<i32>) -> Range<usize> {
    offsets[0] as usize..offsets[offsets.len() - 1] as usize
}

/// The same rows without the pages that they lie in.
fn written_out(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns: Vec<ArrayRef> = batch.columns().iter().map(own).collect::<Result<_, _>>()?;
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(&columns);
    let fields: Vec<Field> = fields
        .map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn own(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let any = column.as_any();
    let field = |field: &FieldRef, values: &ArrayRef| {
        Arc::new(Field::new(
            field.name(),
            values.data_type().clone(),
            field.is_nullable(),
        ))
    };
    match column.data_type() {
        DataType::Utf8View => return cast(column, &DataType::Utf8),
        DataType::BinaryView => return cast(column, &DataType::Binary),
        DataType::List(inner) => {
            if let Some(list) = any.downcast_ref::<ListArray>() {
                let (offsets, values) = own_list(list.offsets(), list.values())?;
                return Ok(Arc::new(ListArray::try_new(
                    field(inner, &values),
                    offsets,
                    values,
                    list.nulls().cloned(),
                )?));
            }
        }
        DataType::Map(inner, sorted) => {
            if let Some(map) = any.downcast_ref::<MapArray>() {
                let entries: ArrayRef = Arc::new(map.entries().clone());
                let (offsets, entries) = own_list(map.offsets(), &entries)?;
                let (inner, entries) =
                    (field(inner, &entries), StructArray::from(entries.to_data()));
                return Ok(Arc::new(MapArray::try_new(
                    inner,
                    offsets,
                    entries,
                    map.nulls().cloned(),
                    *sorted,
                )?));
            }
        }
        DataType::Struct(fields) => {
            if let Some(parts) = any.downcast_ref::<StructArray>() {
                let columns: Vec<ArrayRef> =
                    parts.columns().iter().map(own).collect::<Result<_, _>>()?;
                let fields = fields
                    .iter()
                    .zip(&columns)
                    .map(|(inner, column)| field(inner, column))
                    .collect();
                let nulls = parts.nulls().cloned();
                return Ok(Arc::new(StructArray::try_new_with_length(
                    fields,
                    columns,
                    nulls,
                    parts.len(),
                )?));
            }
        }
        _ => {}
    }
    Ok(column.clone())
}

fn own_list(
    offsets: &OffsetBuffer<i32>,
    values: &ArrayRef,
) -> Result<(OffsetBuffer<i32>, ArrayRef), ArrowError> {
    let span = span(offsets);
    let values = own(&values.slice(span.start, span.len()))?;
    let lengths = offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize);
    Ok((OffsetBuffer::from_lengths(lengths), values))
}
