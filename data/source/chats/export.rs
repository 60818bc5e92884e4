//! Conversations in the forms that other programs read.
//!
//! In: an [`Example`]. Out: a row of `messages` or of sharegpt's `conversations`; or columns of Parquet, in which calls and
//! tools are texts of JSON, because a table has no other place for arguments of any name.
//! Example: `messages` that were read and are written again are the same bytes, where they had the usual fields in their
//! usual order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, ListBuilder, RecordBatch, StringBuilder, StructBuilder,
};
use arrow::datatypes::{DataType, Field, Fields as Columns, Schema};
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value, json};

use super::build::ChatError;
use super::conversation::{Conversation, Example, Turn};
use crate::file::WholeFile;
use crate::message::Role;
use crate::store::StoreError;
use crate::template::{Fields, Json};

/// Why a text has no place among conversations.
const NO_CONVERSATION: &str = "it is a text and no conversation";
/// Rows that are written together.
const GROUP: usize = 1024;

/// A form that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportForm {
    /// OpenAI's: JSON lines of `messages`.
    Messages,
    /// JSON lines of `conversations` with `from` and `value`.
    Sharegpt,
}

/// A row in a form.
///
/// # Errors
///
/// When the form has no words for it.
pub fn to_row(example: &Example, form: ExportForm) -> Result<Value, String> {
    match (example, form) {
        (Example::Conversation(said), ExportForm::Messages) => Ok(messages(said)),
        (Example::Conversation(said), ExportForm::Sharegpt) => sharegpt(said),
        (Example::Continuation { .. }, _) => Err(format!(
            "{NO_CONVERSATION}{}",
            crate::Hint(
                "a prompt and a completion become a question and an answer with `--set data.chats.prompt=chat`"
            )
        )),
        (Example::Text(_), _) => Err(NO_CONVERSATION.to_string()),
    }
}

fn messages(said: &Conversation) -> Value {
    let mut row = Map::new();
    row.insert(
        "messages".to_string(),
        said.turns.iter().map(message).collect(),
    );
    with_more(&mut row, said);
    Value::Object(row)
}

fn with_more(row: &mut Map<String, Value>, said: &Conversation) {
    if !said.tools.is_empty() {
        row.insert("tools".to_string(), json!(said.tools));
    }
    if !said.switches.is_empty() {
        row.insert("chat_template_kwargs".to_string(), json!(said.switches));
    }
}

fn message(turn: &Turn) -> Value {
    let mut fields = Map::new();
    let mut add = |name: &str, value: Value| fields.insert(name.to_string(), value);
    add("role", turn.role.name().into());
    let silent = turn.content.is_empty() && !turn.calls.is_empty();
    add(
        "content",
        if silent {
            Value::Null
        } else {
            turn.content.as_str().into()
        },
    );
    for (name, text) in [
        ("reasoning_content", &turn.reasoning),
        ("name", &turn.name),
        ("tool_call_id", &turn.call_id),
    ] {
        if let Some(text) = text {
            add(name, text.as_str().into());
        }
    }
    if !turn.calls.is_empty() {
        add("tool_calls", calls(turn));
    }
    if let Some(train) = turn.train {
        add("train", train.into());
    }
    Value::Object(fields)
}

fn calls(turn: &Turn) -> Value {
    json!(
        turn.calls
            .iter()
            .map(|call| call.written(call.arguments.clone()))
            .collect::<Vec<_>>()
    )
}

fn sharegpt(said: &Conversation) -> Result<Value, String> {
    let turn = |turn: &Turn| {
        let (from, value) = match turn.role {
            Role::System => ("system", turn.content.clone()),
            Role::User => ("human", turn.content.clone()),
            Role::Tool => ("observation", turn.content.clone()),
            Role::Assistant if turn.calls.is_empty() => ("gpt", turn.content.clone()),
            Role::Assistant if turn.content.is_empty() => {
                ("function_call", calls(turn).to_string())
            }
            Role::Assistant => {
                return Err(
                    "a turn that says something and calls a tool has no place in sharegpt"
                        .to_string(),
                );
            }
        };
        let mut fields = Map::from_iter([
            ("from".to_string(), from.into()),
            ("value".to_string(), value.into()),
        ]);
        let more = [
            ("reasoning_content", &turn.reasoning),
            ("name", &turn.name),
            ("tool_call_id", &turn.call_id),
        ];
        for (name, text) in more
            .into_iter()
            .filter_map(|(name, text)| Some((name, text.as_ref()?)))
        {
            fields.insert(name.to_string(), text.as_str().into());
        }
        if let Some(train) = turn.train {
            fields.insert("train".to_string(), train.into());
        }
        Ok(Value::Object(fields))
    };
    let turns: Vec<Value> = said.turns.iter().map(turn).collect::<Result<_, String>>()?;
    let mut row = Map::from_iter([("conversations".to_string(), Value::Array(turns))]);
    with_more(&mut row, said);
    Ok(Value::Object(row))
}

/// Texts of a message in Parquet, in their order.
const TEXTS: [&str; 6] = [
    "role",
    "content",
    "reasoning_content",
    "name",
    "tool_call_id",
    "tool_calls",
];

/// Conversations as columns of Parquet.
struct ParquetRows {
    messages: ListBuilder<StructBuilder>,
    tools: StringBuilder,
    switches: StringBuilder,
    rows: usize,
}

impl Default for ParquetRows {
    fn default() -> Self {
        let fields = message_columns();
        let mut builders: Vec<Box<dyn arrow::array::ArrayBuilder>> = TEXTS
            .iter()
            .map(|_| Box::new(StringBuilder::new()) as Box<_>)
            .collect();
        builders.push(Box::new(BooleanBuilder::new()));
        let item = Arc::new(Field::new("item", DataType::Struct(fields.clone()), true));
        let messages = ListBuilder::new(StructBuilder::new(fields, builders)).with_field(item);
        ParquetRows {
            messages,
            tools: StringBuilder::new(),
            switches: StringBuilder::new(),
            rows: 0,
        }
    }
}

fn message_columns() -> Columns {
    let texts = TEXTS
        .iter()
        .map(|name| Field::new(*name, DataType::Utf8, true));
    texts
        .chain([Field::new("train", DataType::Boolean, true)])
        .collect()
}

impl ParquetRows {
    /// The columns.
    fn schema() -> Arc<Schema> {
        let item = Arc::new(Field::new(
            "item",
            DataType::Struct(message_columns()),
            true,
        ));
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let columns = [
            Field::new("messages", DataType::List(item), true),
            text("tools"),
            text("chat_template_kwargs"),
        ];
        Arc::new(Schema::new(columns.to_vec()))
    }

    /// How many rows are held.
    fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a conversation.
    ///
    /// # Errors
    ///
    /// When it is a text and no conversation.
    fn push(&mut self, example: &Example) -> Result<(), String> {
        let Example::Conversation(said) = example else {
            return Err(NO_CONVERSATION.to_string());
        };
        for turn in &said.turns {
            let written = message(turn);
            let called = (!turn.calls.is_empty()).then(|| calls(turn).to_string());
            let item = self.messages.values();
            for (at, name) in TEXTS.iter().enumerate() {
                let text = if *name == "tool_calls" {
                    called.as_deref()
                } else {
                    written[*name].as_str()
                };
                item.field_builder::<StringBuilder>(at)
                    .expect("the column holds texts")
                    .append_option(text);
            }
            let train = item
                .field_builder::<BooleanBuilder>(TEXTS.len())
                .expect("the last column holds flags");
            train.append_option(turn.train);
            item.append(true);
        }
        self.messages.append(true);
        let json = |there: bool, value: Value| there.then(|| value.to_string());
        self.tools
            .append_option(json(!said.tools.is_empty(), json!(said.tools)));
        self.switches
            .append_option(json(!said.switches.is_empty(), json!(said.switches)));
        self.rows += 1;
        Ok(())
    }

    /// What is held, as a batch; then nothing is held.
    ///
    /// # Errors
    ///
    /// When Arrow refuses the columns.
    fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        self.rows = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.messages.finish()),
            Arc::new(self.tools.finish()),
            Arc::new(self.switches.finish()),
        ];
        RecordBatch::try_new(Self::schema(), columns)
    }
}

/// A file of Parquet that appears whole or not at all.
pub struct ParquetFile {
    path: PathBuf,
    writer: ArrowWriter<WholeFile>,
    rows: ParquetRows,
}

impl ParquetFile {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn create(path: &Path) -> Result<ParquetFile, ChatError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let writer = ArrowWriter::try_new(
            WholeFile::create(path)?,
            ParquetRows::schema(),
            Some(properties),
        );
        let writer = writer.map_err(|error| unwritable(path, &error))?;
        Ok(ParquetFile {
            path: path.to_path_buf(),
            writer,
            rows: ParquetRows::default(),
        })
    }

    /// Adds a conversation; the inner error says why a row is none.
    ///
    /// # Errors
    ///
    /// When the disk is full.
    pub fn push(&mut self, example: &Example) -> Result<Result<(), String>, ChatError> {
        let pushed = self.rows.push(example);
        if self.rows.rows() >= GROUP {
            self.write()?;
        }
        Ok(pushed)
    }

    fn write(&mut self) -> Result<(), ChatError> {
        let batch = self
            .rows
            .take()
            .map_err(|error| unwritable(&self.path, &error))?;
        self.writer
            .write(&batch)
            .map_err(|error| unwritable(&self.path, &error))
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    ///
    /// When the disk is full.
    pub fn finish(mut self) -> Result<(), ChatError> {
        self.write()?;
        let file = self
            .writer
            .into_inner()
            .map_err(|error| unwritable(&self.path, &error))?;
        Ok(file.finish()?)
    }
}

fn unwritable(path: &Path, error: &dyn std::fmt::Display) -> ChatError {
    StoreError::Parquet {
        doing: "write",
        path: path.to_path_buf(),
        reason: error.to_string(),
    }
    .into()
}

/// A row of Parquet gives switches as the text of an object.
pub(super) fn switches(value: &Value) -> Option<Fields> {
    let read;
    let object = match value {
        Value::Object(object) => object,
        Value::String(text) => {
            read = serde_json::from_str::<Value>(text).ok()?;
            read.as_object()?
        }
        _ => return None,
    };
    let given = object.iter().filter(|(_, value)| !value.is_null());
    Some(
        given
            .map(|(name, value)| (name.clone(), Json::from(value.clone())))
            .collect(),
    )
}
