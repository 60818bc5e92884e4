//! The chat template of a model folder, where `transformers` looks for it.
//!
//! `chat_template.jinja` before `tokenizer_config.json` before `chat_template.json`. A folder of Mistral's own layout
//! has none: then `tekken.json` says by its version how `mistral-common` writes conversations. A folder without any
//! uses the usual template.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value, json};

use super::dialog::Dialog;
use super::engine::Source;
use super::renderer::Renderer;
use super::{
    ChatTemplate, Fields, Form, JINJA, Json, Model, TemplateError, USUAL_DAY, check, ends,
};
use crate::file::FileError;
use crate::message::{Message, Role};
use crate::tokenizer::{END, TEKKEN_FILE, Tokenizer};

/// The largest file that is read.
const MAX_BYTES: u64 = 16 << 20;
/// What a template for conversations with tools is called.
const TOOL_USE: &str = "tool_use";
/// The usual template by its name.
pub const CHATML: &str = "chatml";
/// The special tokens that a template may name.
const NAMES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// The template of Mistral's own folders, behind the version of their tokenizer.
const MISTRAL: &str = include_str!("mistral.jinja");

impl ChatTemplate {
    /// Reads the chat template of a model folder and tries it out; the usual one where the folder has none.
    ///
    /// # Errors
    ///
    /// When a file is unreadable, or the template in it does not compile, does not end, or asks for files or too much
    /// memory; the error names the file.
    pub fn from_folder(
        folder: &Path,
        tokenizer: &Tokenizer,
    ) -> Result<ChatTemplate, TemplateError> {
        let config_file = folder.join("tokenizer_config.json");
        let config = object(&config_file)?.unwrap_or_default();
        let eos_token = special(&config, "eos_token");
        let Some((name, text)) = find(folder, &config)? else {
            return usual(folder, tokenizer, eos_token.as_deref());
        };
        let tools = find_for_tools(folder, &config)?;
        let stops = ends::told(folder, tokenizer, eos_token.as_deref())?;
        // What this program writes itself is encoded part by part, as it always was.
        if text == JINJA && tools.is_none() {
            return Ok(ChatTemplate {
                told_ends: stops,
                ..ChatTemplate::default()
            });
        }
        let names: Vec<(String, String)> = NAMES
            .iter()
            .filter_map(|name| Some(((*name).to_string(), special(&config, name)?)))
            .collect();
        let config = Value::Object(config);
        let of = |(name, text), given| {
            Model::new(
                name,
                text,
                names.clone(),
                stops.clone(),
                config.clone(),
                given,
            )
        };
        // A template for tools may not ask whether there are any.
        let no_tools = Fields::from_iter([("tools".to_string(), Json::List(Vec::new()))]);
        let tool_use = tools
            .map(|tools| of(tools, no_tools))
            .transpose()?
            .map(Arc::new);
        Ok(ChatTemplate::from(Model {
            tool_use,
            ..of((name, text), Fields::new())?
        }))
    }

    /// The chat template `chosen` for the model in `folder`, whatever its own is: `chatml`, or a file of Jinja.
    ///
    /// # Errors
    ///
    /// When it is neither, or as [`ChatTemplate::from_folder`].
    pub fn chosen(
        chosen: &str,
        folder: &Path,
        tokenizer: &Tokenizer,
    ) -> Result<ChatTemplate, TemplateError> {
        let config = object(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
        let stops = ends::told(folder, tokenizer, special(&config, "eos_token").as_deref())?;
        if chosen == CHATML {
            let kept = (!config.is_empty()).then(|| Arc::new(Value::Object(config)));
            let template = ChatTemplate {
                told_ends: stops,
                kept,
                ..ChatTemplate::default()
            };
            return template.check(tokenizer).map(|()| template);
        }
        let Some(text) = read(Path::new(chosen))? else {
            let reason = format!(
                "there is no such file, and `{CHATML}` is the only template that is known by its name"
            );
            return Err(TemplateError::Unreadable {
                name: chosen.to_string(),
                reason,
            });
        };
        let names: Vec<(String, String)> = NAMES
            .iter()
            .filter_map(|name| Some(((*name).to_string(), special(&config, name)?)))
            .collect();
        let model = Model::new(
            chosen.to_string(),
            text,
            names,
            stops,
            Value::Object(config),
            Fields::new(),
        )?;
        Ok(ChatTemplate::from(model))
    }

    /// `tokenizer_config.json` of a model that uses this template with up to `positions` tokens.
    pub fn tokenizer_config(&self, positions: usize) -> Value {
        match &self.form {
            Form::ChatMl if self.kept.is_some() => {
                let mut config = self
                    .kept
                    .as_ref()
                    .map(|kept| kept.as_ref().clone())
                    .unwrap_or_default();
                config["chat_template"] = JINJA.into();
                // The end that is trained, by which other programs stop.
                config["eos_token"] = END.into();
                config
            }
            Form::ChatMl => json!({
                "tokenizer_class": "PreTrainedTokenizerFast",
                "chat_template": JINJA,
                "eos_token": "<|im_end|>",
                "pad_token": "<|pad|>",
                "clean_up_tokenization_spaces": false,
                "model_max_length": positions,
            }),
            Form::Model(model) => {
                let mut config = model.config.clone();
                config["chat_template"] = match &model.tool_use {
                    None => Value::from(self.source()),
                    Some(tools) => json!([
                        { "name": "default", "template": self.source() },
                        { "name": TOOL_USE, "template": tools.renderer.source.text },
                    ]),
                };
                config
            }
        }
    }
}

impl Model {
    /// Compiles a template and asks it for the shortest prompt, with what is `given`; in parts where it wants those.
    fn new(
        name: String,
        text: String,
        names: Vec<(String, String)>,
        stops: Vec<u32>,
        config: Value,
        given: Fields,
    ) -> Result<Model, TemplateError> {
        let broken = |fault| match fault {
            super::Fault::Broken(reason) | super::Fault::Refused(reason) => TemplateError::Broken {
                name: name.clone(),
                reason,
            },
        };
        let renderer = Renderer::new(Source {
            text,
            names,
            now: USUAL_DAY,
        })
        .map_err(broken)?;
        let no_generation_prompt = OnceLock::new();
        let mut model = Model {
            name,
            config,
            stops,
            given,
            parts: false,
            renderer,
            no_generation_prompt,
            tool_use: None,
        };
        let asked = Message::new(Role::User, check::word(0));
        let shortest = Dialog {
            given: model.given.clone(),
            ..Dialog::from(&[asked][..])
        };
        let has_text = |rendered: &Result<String, TemplateError>| {
            rendered
                .as_ref()
                .is_ok_and(|text| text.contains(&check::word(0)))
        };
        let plain = model.render(shortest.whole(), true);
        if !has_text(&plain) {
            // Templates of models that see images want the parts of a message.
            model.parts = true;
            model.parts = has_text(&model.render(shortest.whole(), true));
        }
        if !model.parts {
            plain?;
        }
        Ok(model)
    }
}

/// The template for conversations with tools and the file that has it, where there is one besides the usual.
fn find_for_tools(
    folder: &Path,
    config: &Map<String, Value>,
) -> Result<Option<(String, String)>, TemplateError> {
    let file = folder
        .join("additional_chat_templates")
        .join(format!("{TOOL_USE}.jinja"));
    if let Some(text) = read(&file)? {
        return Ok(Some((file.display().to_string(), text)));
    }
    let named = config.get("chat_template").and_then(Value::as_array);
    let text = named
        .and_then(|named| named.iter().find(|one| one["name"] == TOOL_USE)?["template"].as_str());
    Ok(text.map(|text| {
        (
            folder.join("tokenizer_config.json").display().to_string(),
            text.to_string(),
        )
    }))
}

/// The template and the file that has it.
fn find(
    folder: &Path,
    config: &Map<String, Value>,
) -> Result<Option<(String, String)>, TemplateError> {
    let file = folder.join("chat_template.jinja");
    if let Some(text) = read(&file)? {
        return Ok(Some((file.display().to_string(), text)));
    }
    let file = folder.join("tokenizer_config.json");
    if let Some(text) = template_in(config, &file)? {
        return Ok(Some((file.display().to_string(), text)));
    }
    let file = folder.join("chat_template.json");
    let Some(processor) = object(&file)? else {
        return Ok(None);
    };
    let text = template_in(&processor, &file)?;
    Ok(text.map(|text| (file.display().to_string(), text)))
}

/// The template of a config: a text, or the one called `default` of a list.
fn template_in(config: &Map<String, Value>, file: &Path) -> Result<Option<String>, TemplateError> {
    let unreadable = |reason: &str| TemplateError::Unreadable {
        name: file.display().to_string(),
        reason: reason.into(),
    };
    match config.get("chat_template") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Array(named)) => {
            let default = named
                .iter()
                .find(|one| one["name"] == "default")
                .or(named.first());
            let text = default.and_then(|one| one["template"].as_str());
            text.map(|text| Some(text.to_string()))
                .ok_or_else(|| unreadable("its list of chat templates has none"))
        }
        Some(_) => Err(unreadable("`chat_template` is neither a text nor a list")),
    }
}

/// A special token by the name that templates use: a text, or an object with its `content`.
fn special(config: &Map<String, Value>, name: &str) -> Option<String> {
    let told = config.get(name)?;
    told.as_str()
        .or_else(|| told["content"].as_str())
        .map(str::to_owned)
}

/// How `mistral-common` writes conversations; the usual template for a tokenizer that is not Mistral's.
fn usual(
    folder: &Path,
    tokenizer: &Tokenizer,
    eos_token: Option<&str>,
) -> Result<ChatTemplate, TemplateError> {
    let Some(version) = tokenizer.tekken_version() else {
        let told_ends = ends::told(folder, tokenizer, eos_token)?;
        return Ok(ChatTemplate {
            told_ends,
            assumed: true,
            ..ChatTemplate::default()
        });
    };
    let text = format!("{{%- set version = {version} %}}\n{MISTRAL}");
    let names = [("bos_token", "<s>"), ("eos_token", "</s>")]
        .map(|(name, token)| (name.to_string(), token.to_string()));
    let config = json!({ "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>" });
    let stops = ends::told(folder, tokenizer, Some("</s>"))?;
    let name = folder.join(TEKKEN_FILE).display().to_string();
    Ok(ChatTemplate::from(Model::new(
        name,
        text,
        names.to_vec(),
        stops,
        config,
        Fields::new(),
    )?))
}

pub(super) fn object(file: &Path) -> Result<Option<Map<String, Value>>, TemplateError> {
    let Some(text) = read(file)? else {
        return Ok(None);
    };
    let unreadable = |reason| TemplateError::Unreadable {
        name: file.display().to_string(),
        reason,
    };
    match serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))? {
        Value::Object(object) => Ok(Some(object)),
        _ => Err(unreadable("it is no JSON object".into())),
    }
}

/// The text of a file; none where there is no such file.
fn read(file: &Path) -> Result<Option<String>, TemplateError> {
    let bytes = match fs::metadata(file) {
        Ok(about) => about.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::new("read", file, error).into()),
    };
    if bytes > MAX_BYTES {
        let reason = format!("it has {bytes} bytes; {MAX_BYTES} are possible");
        return Err(TemplateError::Unreadable {
            name: file.display().to_string(),
            reason,
        });
    }
    Ok(Some(crate::file::read_text(file)?))
}
