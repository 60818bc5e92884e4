//! A Hugging Face tokenizer in the words of GGUF.
//!
//! In: `tokenizer.json`, the chat template, what ends a turn and the names of the special tokens. Out: the `tokenizer.*` values of the
//! file. Only byte-level BPE is told, and only with a rule for cutting text that llama.cpp knows by name: another
//! rule would load and then silently cut text into other tokens than the model was trained on.

mod plain;

use std::collections::BTreeMap;

use data::template::EndOfTurn;
use serde_json::Value as Json;

use super::ExportError;
use gguf::Value;

/// What a tokenizer consists of.
#[derive(Clone, Debug)]
pub struct TokenizerFiles<'a> {
    /// The bytes of `tokenizer.json`.
    pub tokenizer_json: &'a [u8],
    /// The Jinja template that turns messages into text; empty for none.
    pub chat_template: &'a str,
    /// What ends a turn. A file without it is refused, since no program would know when to stop.
    pub end: EndOfTurn,
    /// The other tokens with a job.
    pub special: SpecialTokens,
}

/// The texts of the tokens with a job, as in `tokenizer_config.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins a text.
    pub begin: Option<String>,
    /// Stands for what has no token.
    pub unknown: Option<String>,
    /// Fills a batch.
    pub padding: Option<String>,
}

impl SpecialTokens {
    /// Reads them from the bytes of a `tokenizer_config.json`.
    ///
    /// # Errors
    ///
    /// When it is no JSON object.
    pub fn from_config(tokenizer_config: &[u8]) -> Result<Self, ExportError> {
        let config: Json = serde_json::from_slice(tokenizer_config)
            .map_err(|error| wrong(format!("`tokenizer_config.json` is no JSON: {error}")))?;
        // A token is a text, or an object whose `content` is the text.
        let text = |key: &str| {
            let token = config.get(key)?;
            token
                .as_str()
                .or_else(|| token.get("content")?.as_str())
                .map(str::to_string)
        };
        Ok(SpecialTokens {
            begin: text("bos_token"),
            unknown: text("unk_token"),
            padding: text("pad_token"),
        })
    }
}

/// What a token is, in GGUF's numbers.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;

/// Rules for cutting text before BPE, by the regular expression of their `Split`.
const SPLITS: [(&str, &str); 3] = [
    (
        "llama-bpe",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    (
        "qwen2",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    (
        "tekken",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
];

impl TokenizerFiles<'_> {
    /// The values of the file, for an embedding of `vocab` rows.
    pub(super) fn values(&self, vocab: usize) -> Result<Vec<(String, Value)>, ExportError> {
        let json = parse(self.tokenizer_json)?;
        let model = json
            .pointer("/model/type")
            .and_then(Json::as_str)
            .unwrap_or("BPE");
        if model != "BPE" {
            return Err(wrong(format!(
                "its model is `{model}`, only byte-level BPE can be written"
            )));
        }
        self.require_plain(&json)?;
        let (tokens, types) = tokens(&json, vocab)?;
        let id = |text: &str| {
            let id = tokens.iter().position(|token| token == text);
            id.ok_or_else(|| {
                wrong(format!(
                    "the special token `{text}` is not in the vocabulary"
                ))
            })
        };
        let mut special = self.ends(vocab)?;
        let jobs = [
            ("bos", self.special.begin.as_deref()),
            ("unknown", self.special.unknown.as_deref()),
            ("padding", self.special.padding.as_deref()),
        ];
        for (job, text) in jobs {
            if let Some(text) = text {
                special.push((
                    format!("tokenizer.ggml.{job}_token_id"),
                    Value::Whole(id(text)? as u64),
                ));
            }
        }

        let mut values = vec![
            (
                "tokenizer.ggml.model".to_string(),
                Value::Text("gpt2".into()),
            ),
            (
                "tokenizer.ggml.pre".into(),
                Value::Text(cutting_rule(&json)?.into()),
            ),
            ("tokenizer.ggml.tokens".into(), Value::Texts(tokens)),
            ("tokenizer.ggml.token_type".into(), Value::Wholes(types)),
            ("tokenizer.ggml.merges".into(), Value::Texts(merges(&json)?)),
        ];
        values.extend(special);
        values.push((
            "tokenizer.ggml.add_bos_token".into(),
            Value::Truth(adds_begin(&json, self.special.begin.as_deref())),
        ));
        if !self.chat_template.is_empty() {
            values.push((
                "tokenizer.chat_template".into(),
                Value::Text(self.chat_template.into()),
            ));
        }
        Ok(values)
    }

    /// What ends a turn: the token that is trained for most programs, and all of them for those that know a list.
    fn ends(&self, vocab: usize) -> Result<Vec<(String, Value)>, ExportError> {
        let all = self.end.all();
        let first = *all.first().ok_or_else(|| {
            wrong(
                "no token ends an answer; name it in `tokenizer_config.json` as `eos_token`".into(),
            )
        })?;
        if let Some(id) = all.iter().find(|id| **id as usize >= vocab) {
            return Err(wrong(format!(
                "the token {id} ends an answer, but the embedding has {vocab} rows"
            )));
        }
        let mut values = vec![(
            "tokenizer.ggml.eos_token_id".to_string(),
            Value::Whole(first.into()),
        )];
        values.extend(self.end.trained().map(|id| {
            (
                "tokenizer.ggml.eot_token_id".into(),
                Value::Whole(id.into()),
            )
        }));
        if all.len() > 1 {
            let ids = all.iter().map(|id| *id as i32).collect();
            values.push(("tokenizer.ggml.eos_token_ids".into(), Value::Wholes(ids)));
        }
        Ok(values)
    }
}

/// Text and type of every row of the embedding. Rows without a token, there to round the number up, get a name.
fn tokens(json: &Json, vocab: usize) -> Result<(Vec<String>, Vec<i32>), ExportError> {
    let mut rows: BTreeMap<usize, (String, i32)> = BTreeMap::new();
    let base = json.pointer("/model/vocab").and_then(Json::as_object);
    for (text, id) in base.ok_or_else(|| wrong("`model.vocab` is missing".into()))? {
        let id = id
            .as_u64()
            .ok_or_else(|| wrong(format!("the id of `{text}` is {id}")))? as usize;
        if let Some((other, _)) = rows.insert(id, (text.clone(), NORMAL)) {
            return Err(wrong(format!(
                "`{other}` and `{text}` have the same id {id}"
            )));
        }
    }
    for token in items(json, "added_tokens") {
        let (Some(text), Some(id)) = (
            token.get("content").and_then(Json::as_str),
            token.get("id").and_then(Json::as_u64),
        ) else {
            return Err(wrong(format!(
                "the added token {token} lacks its id or its content"
            )));
        };
        let special = token
            .get("special")
            .and_then(Json::as_bool)
            .unwrap_or(false);
        rows.insert(
            id as usize,
            (text.into(), if special { CONTROL } else { USER_DEFINED }),
        );
    }
    if let Some((&id, (text, _))) = rows.last_key_value()
        && id >= vocab
    {
        return Err(wrong(format!(
            "token {id} `{text}` has no row: the embedding has {vocab}"
        )));
    }
    Ok((0..vocab)
        .map(|id| {
            rows.remove(&id)
                .unwrap_or_else(|| (format!("[PAD{id}]"), UNUSED))
        })
        .unzip())
}

/// The merges as `left right`.
fn merges(json: &Json) -> Result<Vec<String>, ExportError> {
    let merges = json.pointer("/model/merges").and_then(Json::as_array);
    let merges = merges.ok_or_else(|| wrong("`model.merges` is missing".into()))?;
    let told = |merge: &Json| match merge {
        Json::String(text) => Some(text.clone()),
        Json::Array(pair) => match (pair.first()?.as_str()?, pair.get(1)?.as_str()?, pair.len()) {
            (left, right, 2) if !left.contains(' ') && !right.contains(' ') => {
                Some(format!("{left} {right}"))
            }
            _ => None,
        },
        _ => None,
    };
    merges
        .iter()
        .map(|merge| {
            told(merge).ok_or_else(|| wrong(format!("the merge {merge} is no pair of texts")))
        })
        .collect()
}

/// The name that llama.cpp has for the way this tokenizer cuts text.
fn cutting_rule(json: &Json) -> Result<&'static str, ExportError> {
    let unknown = || {
        let known = SPLITS.map(|(name, _)| name).join("`, `");
        wrong(format!(
            "its `pre_tokenizer` is none of `gpt-2`, `smollm`, `{known}`"
        ))
    };
    let rule = json.get("pre_tokenizer").ok_or_else(unknown)?;
    let steps: Vec<&Json> = match rule.get("type").and_then(Json::as_str) {
        Some("Sequence") => items(rule, "pretokenizers").collect(),
        _ => vec![rule],
    };
    if steps
        .iter()
        .any(|step| step.get("add_prefix_space").and_then(Json::as_bool) == Some(true))
    {
        return Err(wrong(
            "it puts a space before every text, which llama.cpp's byte-level BPE does not".into(),
        ));
    }
    let is = |step: &Json, name: &str| step.get("type").and_then(Json::as_str) == Some(name);
    // A missing `use_regex` means yes.
    let cuts = |step: &Json| {
        step.get("use_regex")
            .and_then(Json::as_bool)
            .unwrap_or(true)
    };
    match steps[..] {
        [bytes] if is(bytes, "ByteLevel") && cuts(bytes) => Ok("gpt-2"),
        [digits, bytes] if is(digits, "Digits") && is(bytes, "ByteLevel") && cuts(bytes) => {
            match digits.get("individual_digits").and_then(Json::as_bool) {
                Some(true) => Ok("smollm"),
                _ => Err(unknown()),
            }
        }
        [split, bytes] if is(split, "Split") && is(bytes, "ByteLevel") && !cuts(bytes) => {
            let plain = split
                .get("behavior")
                .is_none_or(|behavior| behavior == "Isolated")
                && split.get("invert").is_none_or(|invert| invert == false);
            let regex = split
                .pointer("/pattern/Regex")
                .and_then(Json::as_str)
                .filter(|_| plain);
            SPLITS
                .iter()
                .find(|(_, known)| Some(*known) == regex)
                .map(|(name, _)| *name)
                .ok_or_else(unknown)
        }
        _ => Err(unknown()),
    }
}

/// Whether the tokenizer puts the begin token before every text: its post-processor then starts with it.
fn adds_begin(json: &Json, begin: Option<&str>) -> bool {
    let Some(processor) = json.get("post_processor") else {
        return false;
    };
    let steps: Vec<&Json> = match processor.get("type").and_then(Json::as_str) {
        Some("Sequence") => items(processor, "processors").collect(),
        _ => vec![processor],
    };
    let mut first = steps.iter().map(|step| {
        step.pointer("/single/0/SpecialToken/id")
            .and_then(Json::as_str)
    });
    begin.is_some() && first.any(|token| token == begin)
}

/// The items of a list under `key`; none if there is no list.
fn items<'a>(json: &'a Json, key: &str) -> impl Iterator<Item = &'a Json> {
    json.get(key).and_then(Json::as_array).into_iter().flatten()
}

fn parse(tokenizer_json: &[u8]) -> Result<Json, ExportError> {
    serde_json::from_slice(tokenizer_json)
        .map_err(|error| wrong(format!("`tokenizer.json` is no JSON: {error}")))
}

fn wrong(what: String) -> ExportError {
    ExportError::Tokenizer(what)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    pub fn tokenizer() -> Json {
        json!({
            "added_tokens": [
                {"id": 0, "content": "<|endoftext|>", "special": true},
                {"id": 5, "content": "<|im_end|>", "special": true},
                {"id": 6, "content": "<tool>", "special": false},
            ],
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Digits", "individual_digits": true},
                {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
            ]},
            "post_processor": null,
            "model": {
                "type": "BPE",
                "vocab": {"<|endoftext|>": 0, "a": 1, "b": 2, "ab": 3, "Ġ": 4},
                "merges": [["a", "b"], "Ġ a"],
            },
        })
    }

    pub fn values(tokenizer: &Json, vocab: usize) -> Result<Vec<(String, Value)>, ExportError> {
        let bytes = tokenizer.to_string().into_bytes();
        let special = SpecialTokens {
            begin: Some("<|endoftext|>".into()),
            ..SpecialTokens::default()
        };
        let end = EndOfTurn::new(Some(5), &[0]);
        TokenizerFiles {
            tokenizer_json: &bytes,
            chat_template: "{{ x }}",
            end,
            special,
        }
        .values(vocab)
    }

    fn value(values: &[(String, Value)], key: &str) -> Value {
        values
            .iter()
            .find(|(name, _)| name == key)
            .unwrap_or_else(|| panic!("no `{key}`"))
            .1
            .clone()
    }

    #[test]
    fn both_spellings_of_merges_and_all_kinds_of_tokens_are_told() {
        let values = values(&tokenizer(), 8).unwrap();
        let texts =
            |texts: &[&str]| Value::Texts(texts.iter().map(|text| text.to_string()).collect());
        assert_eq!(
            value(&values, "tokenizer.ggml.merges"),
            texts(&["a b", "Ġ a"])
        );
        let expected = texts(&[
            "<|endoftext|>",
            "a",
            "b",
            "ab",
            "Ġ",
            "<|im_end|>",
            "<tool>",
            "[PAD7]",
        ]);
        assert_eq!(value(&values, "tokenizer.ggml.tokens"), expected);
        assert_eq!(
            value(&values, "tokenizer.ggml.token_type"),
            Value::Wholes(vec![3, 1, 1, 1, 1, 3, 4, 5])
        );
        assert_eq!(
            value(&values, "tokenizer.ggml.pre"),
            Value::Text("smollm".into())
        );
        assert_eq!(
            value(&values, "tokenizer.ggml.add_bos_token"),
            Value::Truth(false)
        );
    }

    #[test]
    fn what_is_trained_as_the_end_of_a_turn_is_the_end_in_the_file() {
        let values = values(&tokenizer(), 8).unwrap();
        assert_eq!(
            value(&values, "tokenizer.ggml.eos_token_id"),
            Value::Whole(5)
        );
        assert_eq!(
            value(&values, "tokenizer.ggml.eot_token_id"),
            Value::Whole(5)
        );
        assert_eq!(
            value(&values, "tokenizer.ggml.eos_token_ids"),
            Value::Wholes(vec![5, 0])
        );
    }

    #[test]
    fn a_tokenizer_that_begins_every_text_says_so() {
        let mut tokenizer = tokenizer();
        tokenizer["post_processor"] = json!({"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]});
        let values = values(&tokenizer, 8).unwrap();
        assert_eq!(
            value(&values, "tokenizer.ggml.add_bos_token"),
            Value::Truth(true)
        );
    }

    #[test]
    fn a_cutting_rule_without_a_name_is_refused() {
        let mut tokenizer = tokenizer();
        tokenizer["pre_tokenizer"] = json!({"type": "Whitespace"});
        let error = values(&tokenizer, 8).unwrap_err().to_string();
        assert!(
            error.starts_with("tokenizer: its `pre_tokenizer` is none of `gpt-2`, `smollm`"),
            "{error}"
        );
    }

    #[test]
    fn a_token_beyond_the_embedding_is_refused() {
        let error = values(&tokenizer(), 6).unwrap_err().to_string();
        assert_eq!(
            error,
            "tokenizer: token 6 `<tool>` has no row: the embedding has 6"
        );
    }

    #[test]
    fn a_model_that_cannot_end_its_answer_is_refused() {
        let bytes = tokenizer().to_string().into_bytes();
        let (end, special) = (EndOfTurn::default(), SpecialTokens::default());
        let files = TokenizerFiles {
            tokenizer_json: &bytes,
            chat_template: "",
            end,
            special,
        };
        assert!(
            files
                .values(8)
                .unwrap_err()
                .to_string()
                .contains("no token ends an answer")
        );
    }

    #[test]
    fn a_special_token_is_a_text_or_an_object() {
        let config = json!({"bos_token": null, "unk_token": {"content": "<unk>", "lstrip": false}, "pad_token": "<pad>"});
        let special = SpecialTokens::from_config(config.to_string().as_bytes()).unwrap();
        let text = |text: &str| Some(text.to_string());
        assert_eq!(
            special,
            SpecialTokens {
                begin: None,
                unknown: text("<unk>"),
                padding: text("<pad>")
            }
        );
    }
}
