//! How a template writes calls, told by the template itself.
//!
//! A conversation with a call is rendered beside the same one with a text in its place. What stands where the text stood
//! is the call in the template's own words; the form is the one whose parser reads it back. A template that writes calls
//! in no such form, or none at all, has no form that is known here.

use crate::Tokenizer;
use crate::template::{ChatTemplate, Dialog, Fields, Json};

use super::parser::{PYTHON, TAGS, TOOL_CALLS, ToolCallParser};
use super::scan::{Found, Scan};
use super::{Call, Form};

/// What is called and with what, what is said in its place, and what a call is named: as long as Mistral's templates want it.
const NAME: &str = "probe_tool";
const ARGUMENTS: &str = r#"{"probe_key":"probe value"}"#;
const SAID: &str = "probe text";
const CALL_ID: &str = "probe0001";

/// How a template writes a call, letter by letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syntax {
    /// Which parser reads it.
    pub form: Form,
    /// What stands before the name, between the name and the arguments, and behind the arguments.
    pub around: [String; 3],
}

/// How a model with this template writes calls, if it is a way that can be read.
pub fn syntax_of(template: &ChatTemplate, tokenizer: &Tokenizer) -> Option<Syntax> {
    let render = |turn: &str| {
        let tokens = template
            .encode_dialog(tokenizer, &dialog(template, turn)?)
            .ok()?;
        Some(tokenizer.decode(&tokens))
    };
    let call = format!(
        r#"{{"role":"assistant","content":"","tool_calls":[{{"id":"{CALL_ID}","type":"function","function":{{"name":"{NAME}","arguments":{ARGUMENTS}}}}}]}}"#
    );
    let plain = render(&format!(r#"{{"role":"assistant","content":"{SAID}"}}"#))?;
    let calling = render(&call)?;
    // What stands where the text stood; some templates leave out blanks that they write before a text.
    let before = plain[..plain.find(SAID)?].trim_end();
    let written = calling.strip_prefix(before)?.trim_start();
    let wanted = Call {
        name: NAME.to_owned(),
        arguments: ARGUMENTS.to_owned(),
    };
    let bare = written.strip_prefix(PYTHON).unwrap_or(written);
    let length = match Scan::default().look(bare) {
        Found::End(length) if bare.starts_with('{') => written.len() - bare.len() + length,
        _ => 0,
    };
    let candidates = [
        (Form::Hermes, written.starts_with(TAGS[0]), written),
        (Form::Mistral, written.starts_with(TOOL_CALLS), written),
        (Form::Llama, length > 0, &written[..length]),
    ];
    let reads = |form: Form, text: &str| {
        ToolCallParser::new(Some(form), 1).push(text, true).1.pop() == Some(wanted.clone())
    };
    let (form, _, text) = candidates
        .into_iter()
        .find(|(form, begins, text)| *begins && reads(*form, text))?;
    Some(Syntax {
        form,
        around: around(form, text)?,
    })
}

/// What stands around the name and the arguments of the call at the beginning of `written`.
fn around(form: Form, written: &str) -> Option<[String; 3]> {
    let name = written.find(NAME)?;
    let arguments = written
        .find("probe_key")
        .and_then(|key| written[..key].rfind('{'))?;
    let end = arguments + written[arguments..].find('}')? + 1;
    let behind = &written[end..];
    let closed = match form {
        Form::Hermes => behind.find(TAGS[1]).map(|at| at + TAGS[1].len()),
        Form::Mistral if written[TOOL_CALLS.len()..].trim_start().starts_with("[{") => {
            behind.find(']').map(|at| at + 1)
        }
        Form::Mistral => Some(0),
        Form::Llama => Some(behind.len()),
    };
    let between = written.get(name + NAME.len()..arguments)?;
    Some([&written[..name], between, &behind[..closed?]].map(str::to_owned))
}

/// A question, the turn, and where the template asks for tools, one that is offered.
fn dialog(template: &ChatTemplate, turn: &str) -> Option<Dialog> {
    let question: Fields =
        serde_json::from_str(r#"{"role":"user","content":"probe question"}"#).ok()?;
    let messages = vec![question, serde_json::from_str(turn).ok()?];
    let mut given = Fields::new();
    if template.asks_for("tools") {
        let tool = r#"[{"type":"function","function":{"name":"other_tool","description":"other","parameters":{"type":"object","properties":{"other":{"type":"string","description":"other"}},"required":["other"]}}}]"#;
        given.insert("tools".to_owned(), serde_json::from_str::<Json>(tool).ok()?);
    }
    Some(Dialog { messages, given })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% for call in m.tool_calls or [] %}";
    const TAIL: &str = "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

    fn syntax(call: &str) -> Option<Syntax> {
        crate::child::in_this_process();
        let specials = crate::tokenizer::SPECIALS;
        let tokenizer = Tokenizer::train(["a"].into_iter(), 256 + specials.len(), &specials)
            .expect("bytes alone");
        let name = blake3::hash(call.as_bytes()).to_hex();
        let folder =
            std::env::temp_dir().join(format!("train-probe-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let config = r#"{"eos_token":"<|im_end|>"}"#;
        for (name, text) in [
            ("chat_template.jinja", format!("{HEAD}{call}{TAIL}")),
            ("tokenizer_config.json", config.to_owned()),
        ] {
            std::fs::write(folder.join(name), text).expect("writes");
        }
        let template = ChatTemplate::from_folder(&folder, &tokenizer).expect("a template");
        std::fs::remove_dir_all(&folder).expect("removes");
        syntax_of(&template, &tokenizer)
    }

    #[track_caller]
    fn check(call: &str, form: Form, around: [&str; 3]) {
        assert_eq!(
            syntax(call),
            Some(Syntax {
                form,
                around: around.map(str::to_owned)
            }),
            "{call}"
        );
    }

    #[test]
    fn the_form_is_that_of_the_call_that_the_template_writes() {
        let function = "{{ call.function | tojson }}";
        let (name, arguments) = (
            "{{ call.function.name }}",
            "{{ call.function.arguments | tojson }}",
        );
        let object = ["{\"name\": \"", "\", \"arguments\": ", "}"];
        check(
            &format!("\n<tool_call>\n{function}\n</tool_call>"),
            Form::Hermes,
            [
                &format!("<tool_call>\n{}", object[0]),
                object[1],
                "}\n</tool_call>",
            ],
        );
        let list = "[TOOL_CALLS] [{{ call.function | tojson }}]".to_string();
        check(
            &list,
            Form::Mistral,
            [&format!("[TOOL_CALLS] [{}", object[0]), object[1], "}]"],
        );
        check(
            &format!("[TOOL_CALLS]{name}[ARGS]{arguments}"),
            Form::Mistral,
            ["[TOOL_CALLS]", "[ARGS]", ""],
        );
        let llama = format!(r#"{{"name": "{name}", "parameters": {arguments}}}"#);
        check(
            &llama,
            Form::Llama,
            [object[0], "\", \"parameters\": ", "}"],
        );
    }

    #[test]
    fn a_form_that_is_not_known_is_none() {
        let glm = "<tool_call>{{ call.function.name }}\n{% for k, v in call.function.arguments.items() %}<arg_key>{{ k }}</arg_key>\n<arg_value>{{ v }}</arg_value>\n{% endfor %}</tool_call>";
        let coder = "<tool_call>\n<function={{ call.function.name }}>\n</function>\n</tool_call>";
        for unknown in [
            glm,
            coder,
            "<call>{{ call.function | tojson }}</call>",
            "",
            "{{ call.function.name }}()",
        ] {
            assert_eq!(syntax(unknown), None, "{unknown}");
        }
    }
}
