//! Every answer is read as a whole and letter by letter: both must tell the same.

use super::*;

/// The text and the calls (`name arguments`) of `text`.
#[track_caller]
fn told(form: Form, text: &str) -> (String, Vec<String>) {
    let words = |calls: Vec<Call>| {
        calls
            .into_iter()
            .map(|call| format!("{} {}", call.name, call.arguments))
    };
    let (whole, calls) = ToolCallParser::new(Some(form), usize::MAX).push(text, true);
    let calls: Vec<String> = words(calls).collect();
    let mut parser = ToolCallParser::new(Some(form), usize::MAX);
    let (mut said, mut called) = (String::new(), Vec::new());
    for letter in text.chars() {
        let (text, calls) = parser.push(&letter.to_string(), false);
        said.push_str(&text);
        called.extend(words(calls));
    }
    let (text, last) = parser.push("", true);
    said.push_str(&text);
    called.extend(words(last));
    assert_eq!((&said, &called), (&whole, &calls), "letter by letter");
    (whole, calls)
}

#[track_caller]
fn check(form: Form, text: &str, said: &str, calls: &[&str]) {
    let (told, called) = told(form, text);
    assert_eq!(
        (told.as_str(), called),
        (said, calls.iter().map(|&call| call.to_owned()).collect()),
        "{text}"
    );
}

#[test]
fn objects_between_tags_are_calls_and_the_rest_is_said() {
    let text = "Look:\n<tool_call>\n{\"name\": \"ls\", \"arguments\": {\"path\": \".\", \"all\": true}}\n</tool_call>\n\
                <tool_call>{\"name\":\"pwd\"}</tool_call>\n";
    check(
        Form::Hermes,
        text,
        "Look:",
        &[r#"ls {"path":".","all":true}"#, "pwd {}"],
    );
    // The end of the answer closes the last tag.
    check(
        Form::Hermes,
        r#"<tool_call>{"name":"pwd","arguments":{}}"#,
        "",
        &["pwd {}"],
    );
    let more = "A:\n<tool_call>{\"name\":\"ls\"}</tool_call>\nThen b.\n";
    check(Form::Hermes, more, "A:\nThen b.", &["ls {}"]);
    let tag_inside = r#"<tool_call>{"name":"w","arguments":{"t":"</tool_call>{"}}</tool_call>"#;
    check(
        Form::Hermes,
        tag_inside,
        "",
        &[r#"w {"t":"</tool_call>{"}"#],
    );
}

#[test]
fn what_is_cut_off_or_malformed_is_text_and_the_calls_before_it_stay() {
    let first = r#"<tool_call>{"name":"a","arguments":{"x":1}}</tool_call>"#;
    let calls = [r#"a {"x":1}"#];
    for rest in [
        "<tool_call>\n{\"name\": \"b\", \"argu",
        "<tool_call>{\"name\": b}",
        "<tool_call>no",
        r#"<tool_call>{"name":"b","arguments":["."]}</tool_call>"#,
    ] {
        check(Form::Hermes, &format!("{first}\n{rest}"), rest, &calls);
    }
    check(
        Form::Hermes,
        &format!("{first}\n<tool_call"),
        "\n<tool_call",
        &calls,
    );
    // One that was never closed does not swallow the next.
    let broken = r#"<tool_call>{"name":"a","arguments":{"x":1}</tool_call>"#;
    check(Form::Hermes, &format!("{broken}\n{first}"), broken, &calls);
    for text in [
        "none",
        " <tool_ca",
        "</tool_call>",
        "<tool_call>[1]</tool_call>",
        "a \n",
        "Hm < 3",
    ] {
        check(Form::Hermes, text, text, &[]);
    }
}

#[test]
fn mistral_lists_calls_or_names_them_one_by_one() {
    let list = r#"[TOOL_CALLS] [{"name": "ls", "arguments": {"path": "."}}, {"name": "pwd", "arguments": "{}"}]"#;
    check(Form::Mistral, list, "", &[r#"ls {"path":"."}"#, "pwd {}"]);
    let named = r#"So[TOOL_CALLS]ls[ARGS]{"path": "."}[TOOL_CALLS]pwd[CALL_ID]a1b2c3d4e[ARGS]{}"#;
    check(
        Form::Mistral,
        named,
        "So",
        &[r#"ls {"path":"."}"#, "pwd {}"],
    );
    check(
        Form::Mistral,
        r#"[TOOL_CALLS]ls{"path":"."}"#,
        "",
        &[r#"ls {"path":"."}"#],
    );
    let cut = r#"[TOOL_CALLS][{"name": "ls", "arguments": {}}, {"name": "pw"#;
    check(Form::Mistral, cut, r#", {"name": "pw"#, &["ls {}"]);
    for text in [
        "[TOOL_CALLS]",
        "[TOOL_CALLS][{]",
        "[TOOL_CALLS][ARGS]{}",
        "[TOOL_CALLS]ls[ARGS]{\"path\": ",
    ] {
        check(Form::Mistral, text, text, &[]);
    }
}

#[test]
fn llama_writes_nothing_but_calls() {
    let calls = [r#"ls {"path":"."}"#];
    for text in [
        r#"{"name": "ls", "parameters": {"path": "."}}"#,
        r#" <|python_tag|>{"name": "ls", "parameters": {"path": "."}}; "#,
    ] {
        check(Form::Llama, text, "", &calls);
    }
    let two = r#"{"name": "a", "parameters": {}}; {"name": "b", "parameters": {}}"#;
    check(Form::Llama, two, "", &["a {}", "b {}"]);
    check(
        Form::Llama,
        r#"{"name": "a", "parameters": {}}; {"name": "b", "par"#,
        r#" {"name": "b", "par"#,
        &["a {}"],
    );
    let person = r#"{"name": "Alice", "age": 3}"#;
    for text in [
        "{}",
        "{no",
        person,
        r#"{"name": "a", "parameters": {}} and more"#,
        "[1]",
        r#"Try {"name": "a"}"#,
    ] {
        check(Form::Llama, text, text, &[]);
    }
}

#[test]
fn without_a_form_all_is_text_and_of_many_calls_only_some_may_be_told() {
    let call = r#"<tool_call>{"name":"a"}</tool_call>"#;
    assert_eq!(
        ToolCallParser::new(None, 9).push(call, true),
        (call.to_owned(), Vec::new())
    );
    let (text, calls) = ToolCallParser::new(Some(Form::Hermes), 1).push(&call.repeat(3), true);
    assert_eq!((text.as_str(), calls.len()), ("", 1));
}
