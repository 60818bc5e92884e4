//! What a `tokenizer.json` may ask for and GGUF cannot say.
//!
//! In: the file. Out: an error by name: such a file would load, and then text would silently be cut into other tokens.
//! Example: a normalizer that writes everything small.

use serde_json::Value as Json;

use super::{ExportError, TokenizerFiles, cutting_rule, items, parse, wrong};

impl TokenizerFiles<'_> {
    /// Refuses what changes how text becomes tokens, and what the file cannot say.
    pub(super) fn require_plain(&self, json: &Json) -> Result<(), ExportError> {
        if let Some(step) = normalizers(json).find(|step| kind(step) != Some("NFC")) {
            let name = kind(step).unwrap_or("unknown");
            return Err(wrong(format!(
                "its `normalizer` changes the text (`{name}`), which GGUF's byte-level BPE cannot say: text would \
                 silently be cut into other tokens"
            )));
        }
        let of_model = |key: &str| {
            json.pointer(&format!("/model/{key}"))
                .filter(|value| !value.is_null())
        };
        for (key, unset) in [
            ("end_of_word_suffix", Json::from("")),
            ("continuing_subword_prefix", "".into()),
        ] {
            if of_model(key).is_some_and(|value| *value != unset) {
                return Err(wrong(format!("its `{key}` cannot be said in GGUF")));
            }
        }
        if of_model("dropout").is_some_and(|dropout| dropout.as_f64() != Some(0.0)) {
            return Err(wrong("its `dropout` cuts text at random".into()));
        }
        let rule = cutting_rule(json)?;
        if of_model("ignore_merges").is_some_and(|ignore| ignore == true)
            && !["llama-bpe", "tekken"].contains(&rule)
        {
            return Err(wrong(format!(
                "it has `ignore_merges`, which llama.cpp does not do for `{rule}`"
            )));
        }
        let swallows = |token: &&Json| {
            let strips = ["lstrip", "rstrip", "single_word"]
                .iter()
                .any(|key| token[*key] == true);
            let written = token["content"]
                .as_str()
                .is_some_and(|text| self.chat_template.contains(text));
            let ends = token["id"]
                .as_u64()
                .is_some_and(|id| self.end.contains(id as u32));
            strips && (written || ends)
        };
        match items(json, "added_tokens").find(swallows) {
            Some(token) => Err(wrong(format!(
                "the token {} takes the blanks around it, which GGUF cannot say",
                token["content"]
            ))),
            None => Ok(()),
        }
    }

    /// What a reader should know about a file that can be written.
    pub fn note(&self) -> Option<&'static str> {
        let json = parse(self.tokenizer_json).ok()?;
        let found = normalizers(&json).any(|step| kind(step) == Some("NFC"));
        found.then_some(
            "the tokenizer composes letters and accents (NFC); llama.cpp takes text as it is",
        )
    }
}

/// The steps of the normalizer.
fn normalizers(json: &Json) -> impl Iterator<Item = &Json> {
    let steps: Vec<&Json> = match json.get("normalizer") {
        None | Some(Json::Null) => Vec::new(),
        Some(all) if kind(all) == Some("Sequence") => items(all, "normalizers").collect(),
        Some(one) => vec![one],
    };
    steps.into_iter()
}

fn kind(step: &Json) -> Option<&str> {
    step.get("type").and_then(Json::as_str)
}

#[cfg(test)]
mod tests {
    use data::template::EndOfTurn;
    use serde_json::json;

    use super::super::tests::{tokenizer, values};
    use super::super::{SPLITS, SpecialTokens};
    use super::*;

    #[test]
    fn what_changes_the_text_and_cannot_be_said_is_refused_by_name() {
        let split = SPLITS.iter().find(|(name, _)| *name == "qwen2").unwrap().1;
        let removed = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": split}, "behavior": "Removed", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]});
        let lower =
            json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]});
        for (place, value, told) in [
            ("/normalizer", json!({"type": "Lowercase"}), "`Lowercase`"),
            ("/normalizer", lower, "`Lowercase`"),
            (
                "/normalizer",
                json!({"type": "Replace", "pattern": {"String": "a"}, "content": "b"}),
                "`Replace`",
            ),
            (
                "/model/end_of_word_suffix",
                json!("</w>"),
                "end_of_word_suffix",
            ),
            ("/model/ignore_merges", json!(true), "`ignore_merges`"),
            ("/model/dropout", json!(0.1), "`dropout`"),
            ("/pre_tokenizer", removed, "pre_tokenizer"),
            ("/added_tokens/1/rstrip", json!(true), "<|im_end|>"),
        ] {
            let mut tokenizer = tokenizer();
            let (parent, key) = place.rsplit_once('/').unwrap();
            let parent = if parent.is_empty() {
                &mut tokenizer
            } else {
                tokenizer.pointer_mut(parent).unwrap()
            };
            parent[key] = value;
            let said = values(&tokenizer, 8).unwrap_err().to_string();
            assert!(said.contains(told), "{said}");
        }
    }

    #[test]
    fn composing_letters_is_told_and_not_refused() {
        let mut tokenizer = tokenizer();
        tokenizer["normalizer"] = json!({"type": "NFC"});
        values(&tokenizer, 8).expect("is written");
        let bytes = tokenizer.to_string().into_bytes();
        let (end, special) = (EndOfTurn::default(), SpecialTokens::default());
        let files = TokenizerFiles {
            tokenizer_json: &bytes,
            chat_template: "",
            end,
            special,
        };
        assert!(files.note().expect("a note").contains("NFC"));
    }
}
