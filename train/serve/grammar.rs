//! Answers that must be JSON, or a call of a tool: constrained decoding by `llguidance`.
//!
//! In: a JSON schema, or tools and how the model writes calls. Out: a [`Grammar`] that says of every token whether it may
//! come next. JSON is written on one line, as `json.dumps` does, so that no answer is filled up with blanks.
//! Example: of `{"type": "boolean"}` only `true` and `false` can be written.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use data::Tokenizer;
use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};

use data::calls::{Form, Syntax};
use model::ModelConfig;
use model::generate::control::{Allowed, Follow, Grammar};

/// What an answer must be.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// JSON of this schema.
    Json(Value),
    /// Calls of these tools: names, and the schemas of their arguments.
    Calls {
        /// How the model writes them.
        syntax: Syntax,
        /// The tools that may be called.
        tools: Vec<(String, Value)>,
        /// Whether there may be more than one call.
        many: bool,
    },
}

/// Makes grammars for the tokens of one model.
#[derive(Default)]
pub struct Grammars {
    factory: OnceLock<Result<ParserFactory, String>>,
}

impl Grammars {
    /// The grammar of what is wanted.
    ///
    /// # Errors
    ///
    /// When a schema is none, or asks for what cannot be forced.
    pub fn compile(
        &self,
        tokenizer: &Tokenizer,
        config: &ModelConfig,
        wanted: &Wanted,
    ) -> Result<Arc<dyn Grammar>, String> {
        let factory = self
            .factory
            .get_or_init(|| factory(tokenizer, config))
            .as_ref()
            .map_err(Clone::clone)?;
        let grammar = match wanted {
            Wanted::Json(schema) => TopLevelGrammar::from_json_schema(on_one_line(schema)?),
            Wanted::Calls {
                syntax,
                tools,
                many,
            } => TopLevelGrammar::from_lark(lark(syntax, tools, *many)?),
        };
        let matcher = Matcher::new(factory.create_parser(grammar));
        match matcher.get_error() {
            Some(error) => Err(error),
            None => Ok(Arc::new(Compiled(Mutex::new(matcher)))),
        }
    }
}

/// The tokens of a model as bytes. A marker is nothing that a grammar can write, but for those that stand around calls.
fn factory(tokenizer: &Tokenizer, config: &ModelConfig) -> Result<ParserFactory, String> {
    let mut words: Vec<Vec<u8>> = (0..config.vocab_size as u32)
        .map(|token| tokenizer.piece(token).unwrap_or_default())
        .collect();
    for (name, token) in tokenizer.specials() {
        let around_calls = data::calls::MARKERS.contains(&name);
        if let Some(word) = words.get_mut(token as usize).filter(|_| !around_calls) {
            word.insert(0, TokTrie::SPECIAL_TOKEN_MARKER);
        }
    }
    let end = config.eos_token_id.all().first().copied().unwrap_or(0);
    let trie = TokTrie::from(&TokRxInfo::new(words.len() as u32, end), &words);
    let tokens: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let mut factory = ParserFactory::new_simple(&tokens).map_err(|error| error.to_string())?;
    factory.quiet();
    Ok(factory)
}

/// A schema whose JSON has blanks behind commas and colons alone.
fn on_one_line(schema: &Value) -> Result<Value, String> {
    let mut schema = match schema {
        Value::Object(_) => schema.clone(),
        Value::Bool(true) => json!({}),
        other => return Err(format!("`{other}` is no JSON schema")),
    };
    schema["x-guidance"] =
        json!({ "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": " });
    Ok(schema)
}

/// Calls in Lark, as `llguidance` reads it.
fn lark(syntax: &Syntax, tools: &[(String, Value)], many: bool) -> Result<String, String> {
    // A string of JSON is one of Lark, and an empty one is left out.
    let literal = |text: &str| {
        if text.is_empty() {
            String::new()
        } else {
            Value::from(text).to_string()
        }
    };
    let [before, between, after] = &syntax.around;
    // Only between tags is it sure where the next call begins.
    let more = if many && syntax.form == Form::Hermes {
        r#" ("\n" call)*"#
    } else {
        ""
    };
    let names: Vec<String> = (0..tools.len()).map(|at| format!("tool_{at}")).collect();
    let mut lark = format!("start: call{more}\ncall: {}\n", names.join(" | "));
    for (at, (name, schema)) in tools.iter().enumerate() {
        let quoted = Value::from(name.as_str()).to_string();
        // Within an object the name is a string of JSON; elsewhere it stands as it is.
        let name = if before.ends_with('"') {
            &quoted[1..quoted.len() - 1]
        } else {
            name
        };
        let head = literal(&format!("{before}{name}{between}"));
        let schema = on_one_line(schema)?;
        lark.push_str(&format!(
            "tool_{at}: {head} args_{at} {}\nargs_{at}: %json {schema}\n",
            literal(after)
        ));
    }
    Ok(lark)
}

/// A grammar before its first token.
struct Compiled(Mutex<Matcher>);

impl fmt::Debug for Compiled {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("Grammar")
    }
}

impl Grammar for Compiled {
    fn begin(&self) -> Box<dyn Follow> {
        Box::new(Following(
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .deep_clone(),
        ))
    }
}

/// A grammar, and how much of it is written.
struct Following(Matcher);

impl Follow for Following {
    fn allowed(&mut self) -> Allowed {
        let end = self.0.is_accepting().unwrap_or(true);
        let mask = if self.0.is_stopped() {
            None
        } else {
            self.0.compute_mask().ok()
        };
        // A grammar that fails ends the answer: nothing is written that it does not allow.
        match mask {
            Some(mask) => Allowed {
                tokens: (0..mask.len())
                    .map(|token| mask.is_allowed(token as u32))
                    .collect(),
                end,
            },
            None => Allowed {
                tokens: Vec::new(),
                end: true,
            },
        }
    }

    fn take(&mut self, token: u32) -> bool {
        self.0.consume_token(token).is_err() || self.0.is_stopped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes alone, and markers.
    fn compile(wanted: &Wanted) -> Result<(Tokenizer, Box<dyn Follow>), String> {
        let mut specials = data::tokenizer::SPECIALS.to_vec();
        specials.push("<tool_call>");
        let tokenizer = Tokenizer::train(["a"].into_iter(), 256 + specials.len(), &specials)
            .expect("bytes alone");
        let config = ModelConfig {
            vocab_size: tokenizer.vocab_size() + 3,
            eos_token_id: 2.into(),
            ..ModelConfig::default()
        };
        Grammars::default()
            .compile(&tokenizer, &config, wanted)
            .map(|grammar| (tokenizer, grammar.begin()))
    }

    /// Whether a text can be written, byte by byte, and be all.
    #[track_caller]
    fn takes(wanted: &Wanted, text: &str) -> bool {
        let (tokenizer, mut follow) = compile(wanted).expect("a grammar");
        for token in tokenizer.encode(text) {
            let allowed = follow.allowed();
            assert!((0..4).all(
                |marker| !allowed.tokens.get(marker).copied().unwrap_or(false) || marker == 2
            ));
            if allowed.tokens.get(token as usize) != Some(&true) {
                return false;
            }
            follow.take(token);
        }
        follow.allowed().end
    }

    #[test]
    fn only_json_of_the_schema_can_be_written() {
        let schema = json!({ "type": "object", "properties": { "b": { "type": "integer" }, "a": { "enum": ["x"] } },
            "required": ["b", "a"], "additionalProperties": false });
        let wanted = Wanted::Json(schema);
        assert!(takes(&wanted, r#"{"b": 12, "a": "x"}"#));
        for text in [
            r#"{"b": 12"#,
            r#"{"b": 12}"#,
            r#"{"b": "x""#,
            r#"{"c""#,
            r#"{ "b""#,
            "b",
            r#"{"b": 12, "a": "y""#,
        ] {
            assert!(!takes(&wanted, text), "{text}");
        }
        let any = Wanted::Json(json!({ "type": "object" }));
        assert!(takes(
            &any,
            r#"{"é": [1, {"x": null}], "y": "\n"}"#.replace("\\n", "\\\\n").as_str()
        ));
        assert!(!takes(&any, "[1]"));
    }

    #[test]
    fn only_calls_of_the_tools_can_be_written() {
        let around = [
            "<tool_call>\n{\"name\": \"",
            "\", \"arguments\": ",
            "}\n</tool_call>",
        ]
        .map(str::to_owned);
        let ls = json!({ "type": "object", "properties": { "path": { "type": "string" } }, "required": ["path"] });
        let tools = vec![
            ("ls".to_owned(), ls),
            ("pwd".to_owned(), json!({ "type": "object" })),
        ];
        let syntax = Syntax {
            form: Form::Hermes,
            around,
        };
        let wanted = |many| Wanted::Calls {
            syntax: syntax.clone(),
            tools: tools.clone(),
            many,
        };
        let ls = "<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": \".\"}}\n</tool_call>";
        let pwd = "<tool_call>\n{\"name\": \"pwd\", \"arguments\": {}}\n</tool_call>";
        assert!(takes(&wanted(false), ls) && takes(&wanted(false), pwd));
        let both = format!("{ls}\n{pwd}");
        assert!(takes(&wanted(true), &both) && !takes(&wanted(false), &both));
        for text in [
            "Hello",
            "<tool_call>\n{\"name\": \"rm\"",
            "<tool_call>\n{\"name\": \"ls\", \"arguments\": {}",
        ] {
            assert!(!takes(&wanted(true), text), "{text}");
        }
    }

    #[test]
    fn a_schema_that_is_none_is_an_error() {
        assert!(compile(&Wanted::Json(json!("x"))).is_err());
        assert!(compile(&Wanted::Json(json!({ "type": "nothing" }))).is_err());
    }
}
