//! Calls of tools in what a model writes.
//!
//! In: the text of an answer, and how the model's template writes calls. Out: what is said besides, and the calls. A text
//! that only looks like a call is a text.
//! Example: of `Let me look.\n<tool_call>\n{"name": "ls", "arguments": {"path": "."}}\n</tool_call>` the text is
//! `Let me look.`, and `ls` is called with `{"path":"."}`.

use data::template::{Fields, Json};
use serde_json::{Map, Value, json};

/// Letters and digits of the name of a call; Mistral's templates want just as many.
const ID_LETTERS: usize = 9;
/// What a call is written between, by Hermes and Qwen.
const TAGS: [&str; 2] = ["<tool_call>", "</tool_call>"];
/// What some models write between the tags instead of an object: not read here.
const TAGS_INSIDE: &str = "<function=";
/// What stands before calls of Mistral's models, and, in their newer form, between the name and the arguments.
const LIST: &str = "[TOOL_CALLS]";
const PARTS: [&str; 3] = ["[CALL_ID]", "[ARGS]", "{"];
/// What may stand before a call of Llama 3.
const PYTHON: &str = "<|python_tag|>";

/// How a model writes that it calls a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Objects between `<tool_call>` and `</tool_call>`: Hermes, Qwen2.5, Qwen3.
    Tagged,
    /// `[TOOL_CALLS][{…}, …]`, or `[TOOL_CALLS]name[ARGS]{…}` for each: Mistral.
    Listed,
    /// Nothing but an object, or many with `;` between them: Llama 3.
    Bare,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The tool.
    pub name: String,
    /// JSON, as text.
    pub arguments: String,
}

impl Call {
    /// As OpenAI writes it. `number` makes its name.
    pub fn to_json(&self, number: u64) -> Map<String, Value> {
        let function = json!({ "name": self.name, "arguments": self.arguments });
        let fields = [("id", json!(id(number))), ("type", json!("function")), ("function", function)];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// None where it is no call, or one whose arguments are no object: those could not be told to the model again.
    fn read(object: &Json) -> Option<Call> {
        let name = object.get("name")?.as_str()?.to_owned();
        let arguments = match object.get("arguments").or(object.get("parameters")) {
            None | Some(Json::Null) => "{}".to_owned(),
            Some(Json::Text(text)) => serde_json::from_str::<Fields>(text).is_ok().then(|| text.clone())?,
            Some(arguments) => serde_json::to_string(arguments.as_object()?).ok()?,
        };
        Some(Call { name, arguments })
    }
}

fn id(mut number: u64) -> String {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut letter = || {
        let letter = LETTERS[(number % LETTERS.len() as u64) as usize];
        number /= LETTERS.len() as u64;
        char::from(letter)
    };
    (0..ID_LETTERS).map(|_| letter()).collect()
}

impl Form {
    /// How a model with this chat template writes calls, if that is known.
    pub fn of(template: &str) -> Option<Form> {
        let has = |text: &str| template.contains(text);
        if has(TAGS_INSIDE) {
            None
        } else if has(TAGS[0]) {
            Some(Form::Tagged)
        } else if has(LIST) {
            Some(Form::Listed)
        } else if has(PYTHON) || (has("\"name\": ") && has("\"parameters\": ")) {
            Some(Form::Bare)
        } else {
            None
        }
    }

    /// What is said besides, and the calls; none where the text calls nothing.
    pub fn read(self, text: &str) -> Option<(String, Vec<Call>)> {
        let (said, calls) = match self {
            Form::Tagged => tagged(text)?,
            Form::Listed => listed(text)?,
            Form::Bare => (String::new(), bare(text)?),
        };
        (!calls.is_empty()).then_some((said, calls))
    }

    /// How many of the last bytes of `text` may belong to a call.
    fn held(self, text: &str) -> usize {
        let begins = |marker: &str| match text.find(marker) {
            Some(at) => text.len() - at,
            None => (1..marker.len()).rev().find(|&length| text.ends_with(&marker[..length])).unwrap_or(0),
        };
        // The white space before a call is no text either.
        let blank = |held: usize| text.len() - text[..text.len() - held].trim_end().len();
        match self {
            Form::Tagged => blank(begins(TAGS[0])),
            Form::Listed => blank(begins(LIST)),
            Form::Bare => {
                let text = text.trim_start();
                let may_be = text.starts_with('{') || text.starts_with(PYTHON) || PYTHON.starts_with(text);
                if may_be { text.len() } else { 0 }
            }
        }
    }
}

fn tagged(text: &str) -> Option<(String, Vec<Call>)> {
    let (mut said, mut calls, mut rest) = (String::new(), Vec::new(), text);
    while let Some((before, after)) = rest.split_once(TAGS[0]) {
        said.push_str(before.trim_end());
        let (object, after) = after.split_once(TAGS[1]).unwrap_or((after, ""));
        calls.push(Call::read(&serde_json::from_str(object).ok()?)?);
        rest = after;
    }
    said.push_str(rest.trim_end());
    Some((said, calls))
}

fn listed(text: &str) -> Option<(String, Vec<Call>)> {
    let (said, rest) = text.split_once(LIST)?;
    let said = said.trim_end().to_owned();
    if rest.trim_start().starts_with('[') {
        let calls: Vec<Json> = serde_json::from_str(rest).ok()?;
        return Some((said, calls.iter().map(Call::read).collect::<Option<_>>()?));
    }
    let named = |text: &str| {
        let name = &text[..PARTS.iter().filter_map(|part| text.find(part)).min()?];
        let arguments = &text[text.find('{')?..];
        let arguments: Fields = serde_json::from_str(arguments).ok()?;
        let (name, arguments) = (name.trim().to_owned(), serde_json::to_string(&arguments).ok()?);
        (!name.is_empty()).then_some(Call { name, arguments })
    };
    Some((said, rest.split(LIST).map(named).collect::<Option<_>>()?))
}

fn bare(text: &str) -> Option<Vec<Call>> {
    let text = text.trim();
    let text = text.strip_prefix(PYTHON).unwrap_or(text);
    let mut calls = Vec::new();
    let mut rest = text;
    loop {
        let mut objects = serde_json::Deserializer::from_str(rest).into_iter::<Fields>();
        let object = objects.next()?.ok()?;
        // Any answer in JSON may have a name.
        object.get("parameters").or(object.get("arguments"))?;
        let after = rest[objects.byte_offset()..].trim_start();
        calls.push(Call::read(&Json::Object(object))?);
        rest = match after.strip_prefix(';') {
            Some(rest) if !rest.trim().is_empty() => rest,
            _ if after.is_empty() || after == ";" => return Some(calls),
            _ => return None,
        };
    }
}

/// An answer that is told piece by piece, less what may be a call.
#[derive(Clone, Debug)]
pub struct Telling {
    form: Option<Form>,
    text: String,
    told: usize,
}

impl Telling {
    /// Where nothing is a call, without a form.
    pub fn new(form: Option<Form>) -> Self {
        Telling { form, text: String::new(), told: 0 }
    }

    /// Takes a piece; returns what is surely no call.
    pub fn take(&mut self, piece: &str) -> String {
        self.text.push_str(piece);
        let held = self.form.map_or(0, |form| form.held(&self.text));
        let from = std::mem::replace(&mut self.told, self.text.len() - held);
        self.text.get(from..self.told).unwrap_or_default().to_owned()
    }

    /// What was held back, as calls or as text.
    pub fn finish(&self) -> (String, Vec<Call>) {
        match self.form.and_then(|form| form.read(&self.text)) {
            // What was told is what is said before the first call.
            Some((said, calls)) => (said.get(self.told..).unwrap_or_default().to_owned(), calls),
            None => (self.text[self.told..].to_owned(), Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, arguments: &str) -> Call {
        Call { name: name.into(), arguments: arguments.into() }
    }

    #[test]
    fn a_template_says_how_its_model_calls() {
        assert_eq!(Form::of("{{ '<tool_call>\\n' }}"), Some(Form::Tagged));
        assert_eq!(Form::of("{{ '[TOOL_CALLS]' }}"), Some(Form::Listed));
        assert_eq!(Form::of(r#"respond in the format {"name": function name, "parameters": {}}"#), Some(Form::Bare));
        assert_eq!(Form::of("{{ '<tool_call>\\n<function=' + name }}"), None);
        assert_eq!(Form::of(data::template::JINJA), None);
    }

    #[test]
    fn objects_between_tags_are_calls_and_the_rest_is_said() {
        let text = "Look:\n<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": \".\", \"all\": true}}\n</tool_call>\n\
                    <tool_call>{\"name\":\"pwd\"}</tool_call>\n";
        let calls = vec![call("ls", r#"{"path":".","all":true}"#), call("pwd", "{}")];
        assert_eq!(Form::Tagged.read(text), Some(("Look:".into(), calls)));
        // The end of the answer closes the last tag.
        let open = r#"<tool_call>{"name":"pwd","arguments":{}}"#;
        assert_eq!(Form::Tagged.read(open), Some((String::new(), vec![call("pwd", "{}")])));
        let listed = r#"<tool_call>{"name": "ls", "arguments": ["."]}</tool_call>"#;
        for text in
            ["none", "<tool_call>{\"name\": \"ls\", \"argum", "<tool_call>[1]</tool_call>", "</tool_call>", listed]
        {
            assert_eq!(Form::Tagged.read(text), None, "{text}");
        }
    }

    #[test]
    fn mistral_lists_calls_or_names_them_one_by_one() {
        let list = r#"[TOOL_CALLS][{"name": "ls", "arguments": {"path": "."}}, {"name": "pwd", "arguments": "{}"}]"#;
        let calls = vec![call("ls", r#"{"path":"."}"#), call("pwd", "{}")];
        assert_eq!(Form::Listed.read(list), Some((String::new(), calls.clone())));
        let named = r#"So[TOOL_CALLS]ls[ARGS]{"path": "."}[TOOL_CALLS]pwd[CALL_ID]a1b2c3d4e[ARGS]{}"#;
        assert_eq!(Form::Listed.read(named), Some(("So".into(), calls)));
        assert_eq!(Form::Listed.read(r#"[TOOL_CALLS]ls{"path":"."}"#).expect("a call").1[0].name, "ls");
        for text in ["[TOOL_CALLS]", "[TOOL_CALLS][{]", "[TOOL_CALLS][ARGS]{}", "[TOOL_CALLS]ls[ARGS]{\"path\": "] {
            assert_eq!(Form::Listed.read(text), None, "{text}");
        }
    }

    #[test]
    fn llama_writes_nothing_but_the_call() {
        let calls = vec![call("ls", r#"{"path":"."}"#)];
        for text in [
            r#"{"name": "ls", "parameters": {"path": "."}}"#,
            r#"<|python_tag|>{"name": "ls", "parameters": {"path": "."}};"#,
        ] {
            assert_eq!(Form::Bare.read(text), Some((String::new(), calls.clone())), "{text}");
        }
        let two = r#"{"name": "a", "parameters": {}}; {"name": "b", "parameters": {}}"#;
        assert_eq!(Form::Bare.read(two).expect("calls").1.len(), 2);
        let person = r#"{"name": "Alice", "age": 3}"#;
        for text in ["", "{}", person, r#"{"name": "a", "parameters": {}} and more"#, "[1]", r#"Try {"name": "a"}"#] {
            assert_eq!(Form::Bare.read(text), None, "{text}");
        }
    }

    /// What is told of `text` letter by letter, and how it ends.
    fn told(form: Form, text: &str) -> (String, String, usize) {
        let mut telling = Telling::new(Some(form));
        let told: String = text.chars().map(|letter| telling.take(&letter.to_string())).collect();
        let (rest, calls) = telling.finish();
        (told, rest, calls.len())
    }

    #[test]
    fn nothing_of_a_call_is_told_as_text_and_all_of_a_text_is() {
        let call = "Hm < 3 <tool_call>{\"name\":\"ls\"}</tool_call>";
        assert_eq!(told(Form::Tagged, call), ("Hm < 3".into(), String::new(), 1));
        assert_eq!(told(Form::Tagged, "a <tool_ca"), ("a".into(), " <tool_ca".into(), 0));
        let more = "A:\n<tool_call>{\"name\":\"ls\"}</tool_call>\nThen b.\n";
        assert_eq!(told(Form::Tagged, more), ("A:".into(), "\nThen b.".into(), 1));
        assert_eq!(Form::Tagged.read(more).expect("a call").0, "A:\nThen b.");
        assert_eq!(told(Form::Tagged, "<tool_call>no"), (String::new(), "<tool_call>no".into(), 0));
        assert_eq!(told(Form::Bare, " {\"name\":\"ls\",\"parameters\":{}}").2, 1);
        assert_eq!(told(Form::Bare, "Yes {x}"), ("Yes {x}".into(), String::new(), 0));
        assert_eq!(told(Form::Bare, "{no"), (String::new(), "{no".into(), 0));
        let mut plain = Telling::new(None);
        assert_eq!(plain.take(call), call);
    }

    #[test]
    fn the_name_of_a_call_has_nine_letters_and_digits() {
        let ids = [0, 1, u64::MAX].map(id);
        assert!(ids.iter().all(|id| id.len() == 9 && id.chars().all(|letter| letter.is_ascii_alphanumeric())));
        assert_ne!(ids[0], ids[1]);
    }
}
