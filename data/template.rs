//! Messages to tokens, and a mask of who wrote them.
//!
//! In: a conversation. Out: text or tokens, as the chat template of a model folder says, or, where a model has none,
//! `<|im_start|>{role}\n{content}<|im_end|>\n` for each message. A prompt is always a prefix of the conversation that
//! goes on from it; a template with which that cannot be is refused.
//! Example: of `user: hi`, `assistant: ho` only `ho<|im_end|>` is trained.

mod check;
mod dialog;
mod dumps;
mod ends;
mod engine;
mod folder;
mod guard;
mod json;
mod python;
mod renderer;
mod rewrite;
mod roles;
mod turns;
mod words;

use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::file::FileError;
use crate::message::{Message, Role};
use crate::sample::{Sample, SampleError};
use crate::tokenizer::{END, START, Tokenizer};
use dialog::Turns;
use engine::{Fault, Source};
use renderer::Renderer;
use turns::For;

pub use dialog::Dialog;
pub use ends::EndOfTurn;
pub use folder::CHATML;
pub use json::{Fields, Json};
pub(crate) use renderer::{CHILD_ARGUMENT, serve};
pub use roles::Roles;
pub use turns::Answers;

/// The usual template in the language that `tokenizer_config.json` uses.
pub const JINJA: &str = "{% for message in messages %}\
    {{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}\
    {% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// The day that templates tell a model, in seconds since 1970: 26 July 2024, as in those of Llama 3, unless
/// [`ChatTemplate::at`] says another. With the day of today two runs would differ.
const USUAL_DAY: i64 = 1_721_952_000;

/// How a conversation is written down.
#[derive(Clone, Debug, Default)]
pub struct ChatTemplate {
    form: Form,
    /// What the files of the folder name as the end of a turn, for the usual form.
    told_ends: Vec<u32>,
    /// True where no file of the folder says how conversations are written.
    assumed: bool,
    /// `tokenizer_config.json` of a folder that was given the usual form by name.
    kept: Option<Arc<Value>>,
}

#[derive(Clone, Debug, Default)]
enum Form {
    /// The usual one: every part is encoded on its own.
    #[default]
    ChatMl,
    /// That of a model folder.
    Model(Arc<Model>),
}

/// The chat template of a model folder.
#[derive(Debug)]
struct Model {
    /// The file it came from.
    name: String,
    /// `tokenizer_config.json`, written back as it was.
    config: Value,
    /// The markers at which the model stops.
    stops: Vec<u32>,
    /// What the shortest conversation is filled in with.
    given: Fields,
    /// Whether the template goes through the parts of a message and does not take a plain text.
    parts: bool,
    renderer: Renderer,
    /// The words that begin an answer and that no prompt has; see `check.rs`.
    no_generation_prompt: OnceLock<Option<String>>,
    /// The template for conversations with tools, where it is another.
    tool_use: Option<Arc<Model>>,
}

/// Why a conversation cannot be written down.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A file of the template cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The tokenizer lacks a marker that the usual template needs.
    #[error(
        "the tokenizer has no special token `{0}`, which the chat template needs{hint}",
        hint = crate::Hint("use a model folder with a chat template of its own")
    )]
    NoMarker(&'static str),
    /// A file that should hold a template does not.
    #[error(
        "`{name}` cannot be read: {reason}{}",
        crate::Hint("take the file from where the model came from")
    )]
    Unreadable {
        /// The file.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The template does not work at all.
    #[error(
        "the chat template in `{name}` is broken: {reason}{}",
        crate::Hint("repair it, or take the file from where the model came from")
    )]
    Broken {
        /// The file.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The template says that it does not take this conversation.
    #[error(
        "the chat template in `{name}` refuses the conversation: {said}{}",
        crate::Hint("put the conversation as the template wants it, or use another model")
    )]
    Refused {
        /// The file.
        name: String,
        /// Its own words.
        said: String,
    },
    /// The template has no use for what it is given.
    #[error(
        "{template} does not ask for `{asked}`{}",
        crate::Hint("leave it out, or use a model whose template knows it")
    )]
    Unasked {
        /// The template.
        template: String,
        /// What is given.
        asked: String,
    },
    /// The template works, but its tokens cannot be told apart.
    #[error(
        "the chat template in `{name}` does not fit this conversation: {reason}{}",
        crate::Hint("put the conversation another way, or repair the template")
    )]
    Unfit {
        /// The file.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The conversation is no sample.
    #[error(transparent)]
    Sample(#[from] SampleError),
}

impl ChatTemplate {
    /// Refuses a tokenizer with which no answer could be trained: without a marker, no turn would end.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] with what is missing.
    pub fn check(&self, tokenizer: &Tokenizer) -> Result<(), TemplateError> {
        match &self.form {
            Form::ChatMl => {
                let missing = [START, END]
                    .into_iter()
                    .find(|name| tokenizer.special(name).is_none());
                missing.map_or(Ok(()), |name| Err(TemplateError::NoMarker(name)))
            }
            Form::Model(_) => self.trained_end(tokenizer).map(|_| ()),
        }
    }

    /// The same template on another day: what `strftime_now` tells.
    ///
    /// # Errors
    ///
    /// When the template is broken.
    pub fn at(&self, now: SystemTime) -> Result<ChatTemplate, TemplateError> {
        let Form::Model(model) = &self.form else {
            return Ok(self.clone());
        };
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs() as i64);
        Ok(ChatTemplate::from(model.at(now)?))
    }

    /// The template in its own language.
    pub fn source(&self) -> &str {
        match &self.form {
            Form::ChatMl => JINJA,
            Form::Model(model) => &model.renderer.source.text,
        }
    }

    /// The conversation as text; with `add_generation_prompt` the assistant's turn is begun.
    ///
    /// # Errors
    ///
    /// When the template is broken or does not take this conversation.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, TemplateError> {
        match &self.form {
            Form::ChatMl => Ok(render(messages, add_generation_prompt)),
            Form::Model(model) => {
                model.render(Dialog::from(messages).whole(), add_generation_prompt)
            }
        }
    }

    /// The conversation as tokens, and true exactly on what the assistant writes: all from the end of its prompt to the
    /// marker that ends its turn.
    ///
    /// # Errors
    ///
    /// When the template is broken, does not take this conversation, or writes an answer so that it does not go on from
    /// its prompt, has no end, or changes later.
    pub fn encode(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
    ) -> Result<(Vec<u32>, Vec<bool>), TemplateError> {
        match &self.form {
            Form::ChatMl => Ok(encode(tokenizer, messages)),
            Form::Model(model) => turns::encode(model, tokenizer, &messages.into(), For::Training),
        }
    }

    /// The conversation as tokens, each with the answer that it belongs to. Answers that later turns change are named and
    /// not told; what was said before them is exact.
    ///
    /// # Errors
    ///
    /// When the template is broken, does not take this conversation, or does not ask for something that is given.
    pub fn encode_answers(
        &self,
        tokenizer: &Tokenizer,
        dialog: &Dialog,
    ) -> Result<Answers, TemplateError> {
        if let Some(name) = dialog.given.keys().find(|name| !self.asks_for(name)) {
            return Err(self.unasked(name));
        }
        match &self.form {
            Form::Model(model) => turns::encode_answers(model, tokenizer, dialog, For::Answers),
            Form::ChatMl => {
                let messages = dialog.plain().ok_or_else(|| self.unasked("tool_calls"))?;
                let thought =
                    |(at, turn): (usize, &Fields)| turn.get("reasoning_content").map(|_| at);
                let unreasoned = dialog
                    .messages
                    .iter()
                    .enumerate()
                    .filter_map(thought)
                    .collect();
                let (tokens, turns) = encode_turns(tokenizer, &messages);
                Ok(Answers {
                    tokens,
                    turns,
                    failed: Vec::new(),
                    unreasoned,
                })
            }
        }
    }

    /// True where no file of the model folder says how conversations are written, and the usual form is a guess.
    pub fn is_assumed(&self) -> bool {
        self.assumed
    }

    /// The conversation as tokens, with the assistant's turn begun: what a model is asked to continue.
    ///
    /// # Errors
    ///
    /// When the template is broken or does not take this conversation.
    pub fn encode_prompt(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
    ) -> Result<Vec<u32>, TemplateError> {
        match &self.form {
            Form::ChatMl => {
                let (mut tokens, _) = encode(tokenizer, messages);
                begin(tokenizer, Role::Assistant, &mut tokens);
                Ok(tokens)
            }
            Form::Model(model) => {
                Ok(turns::encode(model, tokenizer, &messages.into(), For::Prompt)?.0)
            }
        }
    }

    /// The same for a conversation that may offer and call tools, or turn the switches of a template.
    ///
    /// # Errors
    ///
    /// As [`ChatTemplate::encode_prompt`], and when the template does not ask for something that is given.
    pub fn encode_dialog(
        &self,
        tokenizer: &Tokenizer,
        dialog: &Dialog,
    ) -> Result<Vec<u32>, TemplateError> {
        if let Some(name) = dialog.given.keys().find(|name| !self.asks_for(name)) {
            return Err(self.unasked(name));
        }
        match &self.form {
            Form::ChatMl => self.encode_prompt(
                tokenizer,
                &dialog.plain().ok_or_else(|| self.unasked("tool_calls"))?,
            ),
            Form::Model(model) => Ok(turns::encode(model, tokenizer, dialog, For::Prompt)?.0),
        }
    }

    /// The same without a turn that is begun: all turns are closed, or, with `open`, the last one goes on.
    ///
    /// # Errors
    ///
    /// As [`ChatTemplate::encode_dialog`], and when the last turn is to go on and is none of the assistant's, or does not
    /// go on from its prompt.
    pub fn encode_turns(
        &self,
        tokenizer: &Tokenizer,
        dialog: &Dialog,
        open: bool,
    ) -> Result<Vec<u32>, TemplateError> {
        if let Some(name) = dialog.given.keys().find(|name| !self.asks_for(name)) {
            return Err(self.unasked(name));
        }
        let (mut tokens, mask) = match &self.form {
            Form::ChatMl => encode(
                tokenizer,
                &dialog.plain().ok_or_else(|| self.unasked("tool_calls"))?,
            ),
            Form::Model(model) => turns::encode(model, tokenizer, dialog, For::Turns)?,
        };
        if open {
            let last = dialog
                .messages
                .len()
                .checked_sub(1)
                .filter(|&last| dialog.whole().is_answer(last));
            // The last token that the assistant writes ends its turn.
            let end = mask
                .iter()
                .rposition(|written| *written)
                .filter(|_| last.is_some());
            let reason = "its last turn is not written so that it could go on".to_string();
            let name = || match &self.form {
                Form::ChatMl => "the usual chat template".to_string(),
                Form::Model(model) => model.name.clone(),
            };
            tokens.truncate(end.ok_or_else(|| TemplateError::Unfit {
                name: name(),
                reason,
            })?);
        }
        Ok(tokens)
    }

    /// Whether the template asks for `name`, e.g. for `tools`.
    pub fn asks_for(&self, name: &str) -> bool {
        match &self.form {
            Form::ChatMl => false,
            Form::Model(model) => model.renderer.asks_for(name),
        }
    }

    /// The template to use where tools are offered: some folders have one of its own for that.
    pub fn with_tools(&self) -> ChatTemplate {
        match &self.form {
            Form::Model(model) => model
                .tool_use
                .clone()
                .map_or_else(|| self.clone(), ChatTemplate::from),
            Form::ChatMl => self.clone(),
        }
    }

    fn unasked(&self, asked: &str) -> TemplateError {
        let template = match &self.form {
            Form::ChatMl => "the usual chat template".to_string(),
            Form::Model(model) => format!("the chat template in `{}`", model.name),
        };
        TemplateError::Unasked {
            template,
            asked: asked.to_string(),
        }
    }

    /// A conversation as a training sample.
    ///
    /// # Errors
    ///
    /// As [`ChatTemplate::encode`], and when the assistant says nothing in it.
    pub fn to_sample(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
        origin: impl Into<String>,
    ) -> Result<Sample, TemplateError> {
        let (tokens, mask) = self.encode(tokenizer, messages)?;
        Ok(Sample::new(tokens, mask, origin)?)
    }
}

impl From<Arc<Model>> for ChatTemplate {
    fn from(model: Arc<Model>) -> Self {
        ChatTemplate {
            form: Form::Model(model),
            told_ends: Vec::new(),
            assumed: false,
            kept: None,
        }
    }
}

impl From<Model> for ChatTemplate {
    fn from(model: Model) -> Self {
        ChatTemplate::from(Arc::new(model))
    }
}

impl Model {
    /// The same on another day.
    fn at(&self, now: i64) -> Result<Model, TemplateError> {
        let source = Source {
            now,
            ..self.renderer.source.clone()
        };
        let renderer = Renderer::new(source).map_err(|fault| self.fault(fault))?;
        let tool_use = self
            .tool_use
            .as_ref()
            .map(|model| model.at(now))
            .transpose()?
            .map(Arc::new);
        let (name, config, stops) = (self.name.clone(), self.config.clone(), self.stops.clone());
        let (given, parts, no_generation_prompt) =
            (self.given.clone(), self.parts, OnceLock::new());
        Ok(Model {
            name,
            config,
            stops,
            given,
            parts,
            renderer,
            no_generation_prompt,
            tool_use,
        })
    }

    fn render(&self, dialog: Turns, add_generation_prompt: bool) -> Result<String, TemplateError> {
        let parts = if self.parts {
            dialog.in_parts()
        } else {
            Vec::new()
        };
        let dialog = if self.parts {
            Turns {
                messages: &parts,
                ..dialog
            }
        } else {
            dialog
        };
        self.renderer
            .render(dialog, add_generation_prompt)
            .map_err(|fault| self.fault(fault))
    }

    fn fault(&self, fault: Fault) -> TemplateError {
        let name = self.name.clone();
        match fault {
            Fault::Broken(reason) => TemplateError::Broken { name, reason },
            Fault::Refused(said) => TemplateError::Refused { name, said },
        }
    }

    fn unfit(&self, reason: &str) -> TemplateError {
        TemplateError::Unfit {
            name: self.name.clone(),
            reason: reason.to_string(),
        }
    }
}

fn render(messages: &[Message], add_generation_prompt: bool) -> String {
    let turn =
        |message: &Message| format!("{START}{}\n{}{END}\n", message.role.name(), message.content);
    let mut text: String = messages.iter().map(turn).collect();
    if add_generation_prompt {
        text.push_str(&format!("{START}{}\n", Role::Assistant.name()));
    }
    text
}

fn encode(tokenizer: &Tokenizer, messages: &[Message]) -> (Vec<u32>, Vec<bool>) {
    let (tokens, turns) = encode_turns(tokenizer, messages);
    (
        tokens,
        turns.into_iter().map(|turn| turn.is_some()).collect(),
    )
}

/// The tokens, and for those of an answer which message it is.
fn encode_turns(tokenizer: &Tokenizer, messages: &[Message]) -> (Vec<u32>, Vec<Option<usize>>) {
    let (mut tokens, mut turns) = (Vec::new(), Vec::new());
    for (at, message) in messages.iter().enumerate() {
        begin(tokenizer, message.role, &mut tokens);
        turns.resize(tokens.len(), None);
        tokens.extend(tokenizer.encode(&message.content));
        tokens.extend(marker(tokenizer, END));
        turns.resize(
            tokens.len(),
            (message.role == Role::Assistant).then_some(at),
        );
        tokens.extend(tokenizer.encode("\n"));
        turns.resize(tokens.len(), None);
    }
    (tokens, turns)
}

fn begin(tokenizer: &Tokenizer, role: Role, tokens: &mut Vec<u32>) {
    tokens.extend(marker(tokenizer, START));
    tokens.extend(tokenizer.encode(role.name()));
    tokens.extend(tokenizer.encode("\n"));
}

/// The id of a marker; its letters, where [`ChatTemplate::check`] would have refused the tokenizer.
fn marker(tokenizer: &Tokenizer, name: &str) -> Vec<u32> {
    tokenizer
        .special(name)
        .map_or_else(|| tokenizer.encode(name), |id| vec![id])
}

#[cfg(test)]
mod tests;
