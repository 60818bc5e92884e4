use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::message::Role;
use crate::template::{ChatTemplate, Json};
use crate::tokenizer::Tokenizer;

fn row(value: Value) -> Row {
    value.as_object().expect("an object").clone()
}

fn read_any(value: Value) -> Result<Example, String> {
    let (row, names) = (row(value), Names::default());
    read(&row, recognise(&row, &names)?, &names)
}

fn turns(value: Value) -> Vec<Turn> {
    match read_any(value).expect("is read") {
        Example::Conversation(said) => said.turns,
        other => panic!("no conversation: {other:?}"),
    }
}

fn said(turns: &[Turn]) -> Vec<(Role, &str)> {
    turns
        .iter()
        .map(|turn| (turn.role, turn.content.as_str()))
        .collect()
}

#[test]
fn the_same_conversation_in_two_forms_is_the_same() {
    let messages = json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]});
    let sharegpt = json!({"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]});
    let (messages, sharegpt) = (
        read_any(messages).expect("reads"),
        read_any(sharegpt).expect("reads"),
    );
    assert_eq!(messages, sharegpt);
    assert_eq!(messages.hash(), sharegpt.hash());
}

#[test]
fn a_form_is_told_by_its_columns_or_asked_for() {
    let form = |value: Value| recognise(&row(value), &Names::default());
    assert_eq!(
        form(json!({"prompt": "a", "completion": "b", "text": "ab"})),
        Ok(Form::PromptCompletion)
    );
    assert_eq!(
        form(json!({"prompt": "a", "prompt_id": "x", "messages": []})),
        Ok(Form::Messages)
    );
    assert_eq!(form(json!({"messages": null, "text": "a"})), Ok(Form::Text));
    let several = form(json!({"messages": [], "conversations": []})).expect_err("fits both");
    assert!(
        several.contains("--format messages` or `--format sharegpt"),
        "{several}"
    );
    assert!(
        form(json!({"a": 1}))
            .expect_err("fits none")
            .contains("`a`")
    );
    for form in Form::ALL {
        assert_eq!(form.name().parse(), Ok(form));
        assert_eq!(serde_json::to_value(form).expect("JSON"), form.name());
    }
}

#[test]
fn arguments_of_calls_keep_their_order_and_become_objects() {
    let call = |arguments: Value| {
        json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [
            {"id": "a", "function": {"name": "f", "arguments": arguments}}]}]})
    };
    for arguments in [json!({"z": 1, "a": 2}), json!("{\"z\": 1, \"a\": 2}")] {
        let Example::Conversation(said) = read_any(call(arguments)).expect("reads") else {
            panic!("a conversation")
        };
        let dialog = said.dialog().expect("an object");
        let written = serde_json::to_string(&dialog.messages[1]["tool_calls"]).expect("JSON");
        assert_eq!(
            written,
            r#"[{"id":"a","type":"function","function":{"name":"f","arguments":{"z":1,"a":2}}}]"#
        );
    }
    assert!(
        read_any(call(json!([1])))
            .expect_err("a list")
            .contains("arguments that are a list")
    );
}

#[test]
fn what_stands_before_the_completion_is_not_trained() {
    let turns = turns(json!({
        "prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}],
        "completion": "d"
    }));
    let train: Vec<Option<bool>> = turns.iter().map(|turn| turn.train).collect();
    assert_eq!(train, [None, Some(false), None, None]);
}

#[test]
fn the_chosen_side_is_read_and_the_rejected_is_not() {
    let both = turns(
        json!({"prompt": "a", "chosen": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        "rejected": []}),
    );
    assert_eq!(said(&both), [(Role::User, "a"), (Role::Assistant, "b")]);
    let text = turns(
        json!({"chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d", "rejected": ""}),
    );
    assert_eq!(
        said(&text),
        [
            (Role::User, "a"),
            (Role::Assistant, "b"),
            (Role::User, "c"),
            (Role::Assistant, "d")
        ]
    );
    let plain = read_any(json!({"prompt": "a", "chosen": " b", "rejected": " c"})).expect("reads");
    assert_eq!(
        plain,
        Example::Continuation {
            prompt: "a".into(),
            completion: " b".into()
        }
    );
}

#[test]
fn roles_of_a_data_set_are_mapped() {
    let roles = BTreeMap::from([("robot".to_string(), Role::Assistant)]);
    let row = row(
        json!({"messages": [{"role": "User", "content": "x"}, {"role": "robot", "content": "y"}]}),
    );
    let Ok(Example::Conversation(said)) =
        read(&row, Form::Messages, &Names::new(&BTreeMap::new(), &roles))
    else {
        panic!("is read")
    };
    assert_eq!(said.turns[1].role, Role::Assistant);
}

#[test]
fn an_answer_of_openhands_stands_once_however_many_calls_it_makes() {
    let message = json!({"role": "assistant", "content": "two", "tool_calls": [
        {"id": "a", "function": {"name": "f", "arguments": "{}"}}, {"id": "b", "function": {"name": "f", "arguments": "{}"}}]});
    let response = json!({"id": "r", "choices": [{"message": message}]});
    let act = |id: &str| json!({"source": "agent", "action": "run", "tool_call_metadata": {"tool_call_id": id, "model_response": response}});
    let saw = |id: &str| json!({"source": "agent", "observation": "run", "content": id, "tool_call_metadata": {"tool_call_id": id}});
    let history = json!([{"source": "user", "action": "message", "args": {"content": "go"}}, act("a"), saw("a"), act("b"), saw("b")]);
    let turns = turns(json!({"instance_id": "i", "history": history}));
    assert_eq!(
        said(&turns),
        [
            (Role::User, "go"),
            (Role::Assistant, "two"),
            (Role::Tool, "a"),
            (Role::Tool, "b")
        ]
    );
    let unknown = json!({"history": [{"source": "agent", "action": "run", "args": {}}]});
    assert!(
        read_any(unknown)
            .expect_err("is refused")
            .contains("event 1 is the action `run`")
    );
}

fn settings(change: impl Fn(&mut ChatSettings)) -> ChatSettings {
    let mut settings = ChatSettings::default();
    change(&mut settings);
    settings
}

/// A template that shows what was thought in the last answer only, as Qwen3's does.
const FORGETS: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}<think>\n\
    {{ m.reasoning_content }}\n</think>\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}\
    <|im_start|>assistant\n{% endif %}";

#[test]
fn an_answer_that_is_written_otherwise_later_on_is_a_sample_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("tokenizer.json"),
        include_str!("../../template/reference/byte_level.json"),
    )
    .expect("writes");
    std::fs::write(folder.path().join("chat_template.jinja"), FORGETS).expect("writes");
    std::fs::write(
        folder.path().join("tokenizer_config.json"),
        r#"{"eos_token": "<|im_end|>"}"#,
    )
    .expect("writes");
    let tokenizer = Tokenizer::from_folder(folder.path()).expect("reads");
    let template = ChatTemplate::from_folder(folder.path(), &tokenizer).expect("reads");
    let example = read_any(json!({"messages": [
        {"role": "user", "content": "first question"}, {"role": "assistant", "content": "first answer", "reasoning_content": "t1"},
        {"role": "user", "content": "second question"}, {"role": "assistant", "content": "second answer", "reasoning_content": "t2"},
        {"role": "user", "content": "thanks"}]}))
    .expect("reads");
    let settings = settings(|_| ());
    let made = SampleMaker::new(&tokenizer, &template, &settings, None)
        .make(&example, "here")
        .expect("makes");
    let trained = |at: usize| {
        let sample = &made.samples[at];
        let ids: Vec<u32> = sample
            .tokens
            .iter()
            .zip(&sample.mask)
            .filter(|(_, on)| **on)
            .map(|(id, _)| *id)
            .collect();
        tokenizer.decode(&ids)
    };
    assert_eq!(
        (made.samples.len(), made.apart, made.behind, made.unreasoned),
        (2, 1, 1, 0)
    );
    assert_eq!(trained(0), "<think>\nt1\n</think>\nfirst answer<|im_end|>");
    assert_eq!(trained(1), "<think>\nt2\n</think>\nsecond answer<|im_end|>");
    assert!(
        tokenizer
            .decode(&made.samples[1].tokens)
            .contains("first answer")
    );
}

#[test]
fn settings_that_cannot_be_are_named() {
    assert!(
        settings(|chats| chats.validation = 1.0)
            .problem()
            .is_some_and(|why| why.contains("validation"))
    );
    assert!(
        settings(|chats| chats.max_tokens = Some(1))
            .problem()
            .is_some()
    );
    let columns = BTreeMap::from([("mesages".to_string(), "x".to_string())]);
    assert!(
        settings(|chats| chats.columns = columns.clone())
            .problem()
            .is_some_and(|why| why.contains("`mesages`"))
    );
    assert_eq!(settings(|_| ()).problem(), None);
}

#[test]
fn a_switch_of_the_template_is_json_of_any_kind() {
    let Ok(Example::Conversation(said)) = read_any(
        json!({"chat_template_kwargs": "{\"enable_thinking\": false}",
        "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}),
    ) else {
        panic!("is read")
    };
    assert_eq!(
        said.switches.get("enable_thinking"),
        Some(&Json::Bool(false))
    );
}
