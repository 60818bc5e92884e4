//! Conversations of anybody: the rows of chat data sets in their public forms.
//!
//! In: a row of JSON lines, a JSON list or Parquet. Out: an [`Example`], whatever form the row has, or the reason why it is
//! none. A form is recognised by its columns; [`Names`] says where a data set calls them otherwise.
//! Example: `{"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]}` is the conversation
//! that OpenAI writes `{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}`.

mod alpaca;
mod atif;
mod build;
mod calls;
mod content;
mod conversation;
mod export;
mod files;
mod form;
mod messages;
mod mini_swe_agent;
mod names;
mod openhands;
mod pairs;
mod samples;
mod settings;
mod swe_agent;
#[cfg(test)]
mod tests;
mod turn;

use super::rows::Row;

pub use build::{Build, ChatError, Counts, EachExample, FileCounts, Told, each_example};
pub use conversation::{Call, Conversation, Example, Turn};
pub use export::{ExportForm, ParquetFile, to_row};
pub use files::{FilesError, find_files};
pub use form::{Form, recognise};
pub use names::Names;
pub use samples::{Made, NO_TEMPLATE, SampleMaker, Unmade};
pub use settings::{ChatSettings, PlainPrompt, SystemTurn, TooLong, TrainOn, Unusable};

/// Reads a row in this form.
///
/// # Errors
///
/// Why it is no example; the reason names the message, counted from 1.
pub fn read(row: &Row, form: Form, names: &Names) -> Result<Example, String> {
    let example = match form {
        Form::Messages => messages::messages(row, names)?,
        Form::Sharegpt => messages::sharegpt(row, names)?,
        Form::PromptCompletion => pairs::prompt_completion(row, names)?,
        Form::Preference => pairs::preference(row, names)?,
        Form::Alpaca => alpaca::read(row, names)?,
        Form::Text => Example::Text(
            names
                .text(row, "text")?
                .ok_or("`text` is empty")?
                .to_string(),
        ),
        Form::SweAgent => swe_agent::read(row, names)?,
        Form::MiniSweAgent => mini_swe_agent::read(row, names)?,
        Form::Openhands => openhands::read(row, names)?,
        Form::Atif => atif::read(row, names)?,
    };
    example.check()?;
    Ok(example)
}
