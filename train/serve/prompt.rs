//! From the body of a request to its prompts and how the answers are written.
//!
//! In: JSON. Out: a [`Prompted`], or what is wrong with which field. It encodes and renders, so it blocks.

use std::time::SystemTime;

use data::template::{ChatTemplate, TemplateError};
use rollout::policy::Sampling;
use serde_json::{Map, Value, json};

use super::Served;
use super::conversation::{Begin, ChatRequest, Forced, Offered};
use super::fields::{check_chat, check_completion};
use super::grammar::Wanted;
use super::protocol::{Common, CompletionRequest, PromptInput, Refusal, read, top_logprobs};
use super::reply::Kind;
use data::calls::{Form, Syntax, syntax_of};
use model::generate::{Control, Engine};

/// What is to be written.
pub struct Prompted {
    /// The kind of the answer.
    pub kind: Kind,
    /// The prompts.
    pub prompts: Vec<Vec<u32>>,
    /// What both kinds of request share.
    pub common: Common,
    /// Answers to each prompt.
    pub attempts: usize,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// What shapes the answers besides.
    pub control: Control,
    /// Whether log-probabilities are told.
    pub logprobs: bool,
    /// How calls of tools are written, where tools are offered.
    pub calls: Option<Form>,
    /// At most so many of them.
    pub most_calls: usize,
}

/// Reads a request for completions.
///
/// # Errors
///
/// When it is wrong.
pub fn completion(served: &Served, body: &[u8]) -> Result<Prompted, Refusal> {
    check_completion(&read::<Map<String, Value>>(body)?)?;
    let (request, common) = (read::<CompletionRequest>(body)?, read::<Common>(body)?);
    let attempts = common.choices()?;
    if let Some(best_of) = request.best_of.filter(|best_of| *best_of != attempts) {
        let why = format!(
            "`best_of` is {best_of}, but must be `n`, which is {attempts}: all answers are told"
        );
        return Err(Refusal::bad(Some("best_of"), why));
    }
    let around = request.add_special_tokens != Some(false);
    let encode = |text: &String| served.tokenizer.encode_rendered(text, around);
    let prompts = match &request.prompt {
        PromptInput::Text(text) => vec![encode(text)],
        PromptInput::Tokens(tokens) => vec![tokens.clone()],
        PromptInput::Texts(texts) => texts.iter().map(encode).collect(),
        PromptInput::ManyTokens(prompts) => prompts.clone(),
    };
    let wanted = wanted_format(&common)?.map(|wanted| ("response_format", wanted));
    let mut prompted = prompted(served, Kind::Text, prompts, common, wanted)?;
    prompted.logprobs = request.logprobs.is_some();
    prompted.control.top_logprobs = top_logprobs("logprobs", request.logprobs)?;
    Ok(prompted)
}

/// Reads a request for a turn of a conversation.
///
/// # Errors
///
/// As [`completion`].
pub fn chat(served: &Served, body: &[u8]) -> Result<Prompted, Refusal> {
    check_chat(&read::<Map<String, Value>>(body)?)?;
    let (request, common) = (read::<ChatRequest>(body)?, read::<Common>(body)?);
    if request.top_logprobs.is_some_and(|count| count > 0) && request.logprobs != Some(true) {
        return Err(Refusal::bad(
            Some("top_logprobs"),
            "`top_logprobs` needs `logprobs: true`",
        ));
    }
    let offered = request.offered()?;
    let most_calls = if request.parallel_tool_calls == Some(false) {
        1
    } else {
        usize::MAX
    };
    let (prompt, syntax) = dialog_prompt(served, &request, offered.is_some())?;
    let format = wanted_format(&common)?;
    let wanted = match (offered, &syntax) {
        (Some(_), None) => {
            let why = "how this model writes calls of tools is not known here; leave `tools` out";
            return Err(Refusal::bad(Some("tools"), why));
        }
        (Some(_), Some(_)) if format.is_some() => {
            let why =
                "`response_format` and `tools` exclude each other: an answer is JSON or may call";
            return Err(Refusal::bad(Some("response_format"), why));
        }
        (Some(offered), Some(syntax)) => {
            forced(&offered, syntax, most_calls).map(|wanted| ("tool_choice", wanted))
        }
        (None, _) => format.map(|wanted| ("response_format", wanted)),
    };
    let mut prompted = prompted(served, Kind::Chat, vec![prompt], common, wanted)?;
    prompted.logprobs = request.logprobs == Some(true);
    prompted.control.top_logprobs = top_logprobs("top_logprobs", request.top_logprobs)?;
    prompted.calls = syntax.map(|syntax| syntax.form);
    prompted.most_calls = most_calls;
    Ok(prompted)
}

/// The tokens of a conversation and, where tools are offered, how the model calls them.
fn dialog_prompt(
    served: &Served,
    request: &ChatRequest,
    offered: bool,
) -> Result<(Vec<u32>, Option<Syntax>), Refusal> {
    let (dialog, begin) = (request.dialog()?, request.begin()?);
    let refuse = |error: TemplateError| {
        let switched = |name: &String| {
            request
                .chat_template_kwargs
                .as_ref()
                .is_some_and(|all| all.contains_key(name))
        };
        let field = match &error {
            TemplateError::Unasked { asked, .. } if switched(asked) => "chat_template_kwargs",
            TemplateError::Unasked { asked, .. } if asked == "tools" => "tools",
            _ => "messages",
        };
        Refusal::bad(Some(field), error.to_string())
    };
    let mut template: ChatTemplate = served
        .template
        .template(SystemTime::now())
        .map_err(refuse)?;
    if offered {
        template = template.with_tools();
    }
    let tokenizer = &served.tokenizer;
    let prompt = match begin {
        Begin::Turn => template.encode_dialog(tokenizer, &dialog),
        Begin::Behind => template.encode_turns(tokenizer, &dialog, false),
        Begin::Within => template.encode_turns(tokenizer, &dialog, true),
    };
    let prompt = prompt.map_err(refuse)?;
    // A template does not change while it is served, nor does the way in which it writes calls.
    let syntax = offered
        .then(|| {
            served
                .syntax
                .get_or_init(|| syntax_of(&template, tokenizer))
                .clone()
        })
        .flatten();
    Ok((prompt, syntax))
}

/// What must be called, if anything must.
fn forced(offered: &Offered, syntax: &Syntax, most_calls: usize) -> Option<Wanted> {
    let forced = offered.forced.as_ref()?;
    let many = most_calls > 1 && *forced == Forced::Any;
    Some(Wanted::Calls {
        syntax: syntax.clone(),
        tools: offered.callable(),
        many,
    })
}

/// The JSON that an answer must be, if it must be any.
fn wanted_format(common: &Common) -> Result<Option<Wanted>, Refusal> {
    let Some(format) = common
        .response_format
        .as_ref()
        .filter(|format| !format.is_null())
    else {
        return Ok(None);
    };
    let schema = &format["json_schema"]["schema"];
    match format["type"].as_str() {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(Wanted::Json(json!({ "type": "object" })))),
        Some("json_schema") if !schema.is_null() => Ok(Some(Wanted::Json(schema.clone()))),
        Some("json_schema") => Err(Refusal::bad(
            Some("response_format"),
            "`response_format.json_schema.schema` is missing",
        )),
        _ => {
            let known = "known are `text`, `json_object` and `json_schema`";
            Err(Refusal::bad(
                Some("response_format"),
                format!(
                    "the type of `response_format` is {}; {known}",
                    format["type"]
                ),
            ))
        }
    }
}

/// What is to be written, once everything that could be wrong with a request was looked at.
fn prompted(
    served: &Served,
    kind: Kind,
    prompts: Vec<Vec<u32>>,
    common: Common,
    wanted: Option<(&str, Wanted)>,
) -> Result<Prompted, Refusal> {
    if let Some(model) = common.model.as_ref().filter(|model| **model != served.name) {
        let message = format!(
            "the model `{model}` is not served here; `{}` is",
            served.name
        );
        return Err(Refusal {
            status: 404,
            ..Refusal::bad(Some("model"), message)
        });
    }
    if prompts.is_empty() {
        return Err(Refusal::bad(Some("prompt"), "`prompt` is empty"));
    }
    let vocab = served.config.vocab_size;
    if let Some(token) = prompts
        .iter()
        .flatten()
        .find(|&&token| token as usize >= vocab)
    {
        return Err(Refusal::bad(
            Some("prompt"),
            format!("token {token} is not among the {vocab} of this model"),
        ));
    }
    let attempts = common.choices()?;
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
    let sampling = common.sampling(longest, served.config.max_position_embeddings)?;
    for prompt in &prompts {
        let checked = Engine::check(&served.config, prompt.len(), &sampling);
        checked.map_err(|error| Refusal::bad(Some("prompt"), error.to_string()))?;
    }
    let mut control = common.control(vocab, sampling.max_new_tokens)?;
    if let Some((field, wanted)) = wanted {
        let grammar = served
            .grammars
            .compile(&served.tokenizer, &served.config, &wanted);
        let refuse =
            |why: String| Refusal::bad(Some(field), format!("no answer can be written so: {why}"));
        control.grammar = Some(grammar.map_err(refuse)?);
    }
    let (logprobs, calls, most_calls) = (false, None, usize::MAX);
    Ok(Prompted {
        kind,
        prompts,
        common,
        attempts,
        sampling,
        control,
        logprobs,
        calls,
        most_calls,
    })
}

/// Reads requests of one kind.
pub type Reader = fn(&Served, &[u8]) -> Result<Prompted, Refusal>;
