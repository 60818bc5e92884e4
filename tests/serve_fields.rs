//! What a request may say, and that it is done.

use serde_json::{Value, json};

use crate::serving::*;
use crate::support::*;

#[track_caller]
fn completion(serving: &Serving, more: Value) -> Value {
    let mut body = json!({ "prompt": "def add(a, b):", "max_tokens": 12, "temperature": 0, "return_token_ids": true });
    body.as_object_mut()
        .expect("fields")
        .extend(more.as_object().expect("fields").clone());
    let (status, told) = serving.post("/v1/completions", &body);
    assert_eq!(status, 200, "{told}");
    told["choices"][0].clone()
}

fn ids(choice: &Value) -> Vec<u32> {
    serde_json::from_value(choice["token_ids"].clone()).expect("ids")
}

#[test]
fn a_field_that_is_not_known_is_refused_by_name() {
    let serving = Serving::start("");
    for (field, value) in [
        ("tempreature", json!(0.5)),
        ("guided_json", json!({ "type": "object" })),
        ("structured_outputs", json!({ "regex": "a+" })),
        ("bad_words", json!(["a"])),
        ("prompt_logprobs", json!(1)),
        ("truncate_prompt_tokens", json!(3)),
        ("mirostat", json!(2)),
    ] {
        for (path, mut body) in [
            ("/v1/completions", json!({ "prompt": "x" })),
            (
                "/v1/chat/completions",
                json!({ "messages": [{ "role": "user", "content": "x" }] }),
            ),
        ] {
            body[field] = value.clone();
            let (status, told) = serving.post(path, &body);
            assert_eq!(
                (status, &told["error"]["param"]),
                (400, &json!(field)),
                "{told}"
            );
        }
    }
    completion(
        &serving,
        json!({ "user": "x", "metadata": {}, "store": false, "stream_options": null, "bad_words": [] }),
    );
    let (status, told) = serving.post(
        "/v1/completions",
        &json!({ "prompt": "x", "temperature": "hot" }),
    );
    assert_eq!(
        (status, &told["error"]["param"]),
        (400, &json!("temperature")),
        "{told}"
    );
}

#[test]
fn an_answer_ends_where_the_request_says() {
    let serving = Serving::start("");
    let plain = ids(&completion(&serving, json!({})));
    let stops = completion(&serving, json!({ "stop_token_ids": [plain[2]] }));
    let end = plain
        .iter()
        .position(|token| *token == plain[2])
        .expect("it is there")
        + 1;
    assert_eq!(
        (ids(&stops), &stops["finish_reason"]),
        (plain[..end].to_vec(), &json!("stop"))
    );
    let later = completion(
        &serving,
        json!({ "stop_token_ids": [plain[2]], "min_tokens": 9 }),
    );
    assert!(ids(&later).len() >= 9, "{later}");
    // END is token 2 of the base model; nothing but it is likely, and it ends nothing.
    let bias = json!({ "logit_bias": { "2": 100 }, "ignore_eos": true, "max_tokens": 5 });
    let ignored = completion(&serving, bias);
    assert_eq!((ids(&ignored), &ignored["text"]), (vec![2; 5], &json!("")));
    assert_eq!(ignored["finish_reason"], "length");
}

#[test]
fn penalties_biases_and_the_likeliest_tokens_are_as_asked() {
    let serving = Serving::start("");
    let plain = ids(&completion(&serving, json!({})));
    let first = plain[0].to_string();
    assert_ne!(
        ids(&completion(
            &serving,
            json!({ "logit_bias": { first: -100 } })
        ))[0],
        plain[0]
    );
    // A bias of 20 is outweighed once a token has come ten times.
    let penalized = json!({ "frequency_penalty": 2, "presence_penalty": 2, "logit_bias": { "70": 20 }, "max_tokens": 30 });
    let flat = ids(&completion(&serving, penalized));
    assert!(
        flat.iter().filter(|token| **token == 70).count() < 30 && flat[0] == 70,
        "{flat:?}"
    );
    let told = completion(&serving, json!({ "logprobs": 3 }));
    let top = told["logprobs"]["top_logprobs"].as_array().expect("a list");
    assert_eq!(
        (top.len(), top[0].as_object().map(serde_json::Map::len)),
        (plain.len(), Some(3))
    );
    let ask = json!({ "messages": [{ "role": "user", "content": "x" }], "max_tokens": 2, "logprobs": true, "top_logprobs": 2 });
    let (_, told) = serving.post("/v1/chat/completions", &ask);
    let token = &told["choices"][0]["logprobs"]["content"][0];
    assert_eq!(
        token["top_logprobs"].as_array().map(Vec::len),
        Some(2),
        "{token}"
    );
}

#[test]
fn markers_in_a_prompt_that_was_rendered_are_special_tokens() {
    let serving = Serving::start("");
    let text = "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\n";
    let rendered = completion(&serving, json!({ "prompt": text, "max_tokens": 1 }));
    let ask = json!({ "messages": [{ "role": "user", "content": "x" }], "max_tokens": 1, "return_token_ids": true });
    let (_, chat) = serving.post("/v1/chat/completions", &ask);
    assert_eq!(
        rendered["prompt_token_ids"],
        chat["choices"][0]["prompt_token_ids"]
    );
    // In a message they are text.
    let ask = json!({ "messages": [{ "role": "user", "content": "<|im_end|>" }], "max_tokens": 1, "return_token_ids": true });
    let (_, chat) = serving.post("/v1/chat/completions", &ask);
    let ids = chat["choices"][0]["prompt_token_ids"]
        .as_array()
        .expect("ids")
        .clone();
    assert_eq!(
        ids.iter().filter(|id| **id == json!(2)).count(),
        1,
        "{ids:?}"
    );
}

#[test]
fn an_answer_goes_on_with_the_last_message() {
    let folder = Folder::new("continue");
    let own = with_template(
        &folder,
        &format!("{}{{# of its own #}}", data::template::JINJA),
    );
    for serving in [Serving::start(""), Serving::start_with(&own, "")] {
        let ask = |more: Value| {
            let mut body = json!({ "messages": [{ "role": "user", "content": "a" }, { "role": "assistant", "content": "So: " }],
                "max_tokens": 1, "return_token_ids": true });
            body.as_object_mut()
                .expect("fields")
                .extend(more.as_object().expect("fields").clone());
            let (status, told) = serving.post("/v1/chat/completions", &body);
            assert_eq!(status, 200, "{told}");
            let ids: Vec<u32> =
                serde_json::from_value(told["choices"][0]["prompt_token_ids"].clone())
                    .expect("ids");
            base().tokenizer.decode(&ids)
        };
        let turn = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nSo: ";
        assert_eq!(
            ask(json!({ "continue_final_message": true, "add_generation_prompt": false })),
            turn
        );
        assert_eq!(
            ask(json!({ "add_generation_prompt": false })),
            format!("{turn}<|im_end|>\n")
        );
        assert_eq!(
            ask(json!({})),
            format!("{turn}<|im_end|>\n<|im_start|>assistant\n")
        );
    }
}

#[test]
fn an_answer_is_json_of_its_schema_however_it_is_drawn() {
    let serving = Serving::start("");
    let schema = json!({ "type": "object", "properties": { "line": { "type": "integer", "minimum": 0, "maximum": 99 },
        "good": { "type": "boolean" } }, "required": ["line", "good"], "additionalProperties": false });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": schema, "strict": true } });
    for seed in 0..3 {
        let ask = json!({ "messages": [{ "role": "user", "content": "x = 1" }], "temperature": 2.0, "seed": seed,
            "max_tokens": 60, "response_format": format });
        let (status, told) = serving.post("/v1/chat/completions", &ask);
        assert_eq!(
            (status, &told["choices"][0]["finish_reason"]),
            (200, &json!("stop")),
            "{told}"
        );
        let content = told["choices"][0]["message"]["content"]
            .as_str()
            .expect("a text");
        let answer: Value = serde_json::from_str(content).expect("JSON");
        assert!(
            answer["line"].as_u64().is_some_and(|line| line < 100) && answer["good"].is_boolean(),
            "{content}"
        );
    }
    let bad = json!({ "prompt": "x", "response_format": { "type": "json_schema", "json_schema": { "schema": { "type": "no" } } } });
    let (status, told) = serving.post("/v1/completions", &bad);
    assert_eq!(
        (status, &told["error"]["param"]),
        (400, &json!("response_format")),
        "{told}"
    );
}

/// A template that writes calls as Qwen's do.
const TOOLS: &str = "{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}\
    {% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content }}\
    {% for call in message.tool_calls or [] %}{{ '\\n<tool_call>\\n' + call.function | tojson + '\\n</tool_call>' }}{% endfor %}\
    {{ '<|im_end|>\\n' }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

#[test]
fn a_tool_that_must_be_called_is_called_with_arguments_of_its_schema() {
    let folder = Folder::new("required");
    let serving = Serving::start_with(&with_template(&folder, TOOLS), "");
    let tool = |name: &str| {
        json!({ "type": "function", "function": { "name": name, "parameters": { "type": "object",
            "properties": { "flag": { "type": "boolean" } }, "required": ["flag"], "additionalProperties": false } } })
    };
    let named = json!({ "type": "function", "function": { "name": "pwd" } });
    for (choice, names) in [
        (json!("required"), &["ls", "pwd"][..]),
        (named, &["pwd"][..]),
    ] {
        for stream in [false, true] {
            let ask = json!({ "messages": [{ "role": "user", "content": "hi" }], "tools": [tool("ls"), tool("pwd")],
                "tool_choice": choice, "parallel_tool_calls": false, "temperature": 1.5, "seed": 4, "max_tokens": 120, "stream": stream });
            let calls: Vec<Value> = if stream {
                let chunks = serving.stream("/v1/chat/completions", &ask);
                chunks
                    .iter()
                    .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array())
                    .flatten()
                    .cloned()
                    .collect()
            } else {
                let (status, told) = serving.post("/v1/chat/completions", &ask);
                assert_eq!(
                    (status, &told["choices"][0]["finish_reason"]),
                    (200, &json!("tool_calls")),
                    "{told}"
                );
                told["choices"][0]["message"]["tool_calls"]
                    .as_array()
                    .expect("calls")
                    .clone()
            };
            assert_eq!(calls.len(), 1, "{calls:?}");
            assert!(
                names.contains(&calls[0]["function"]["name"].as_str().expect("a name")),
                "{calls:?}"
            );
            let arguments: Value =
                serde_json::from_str(calls[0]["function"]["arguments"].as_str().expect("text"))
                    .expect("JSON");
            assert!(arguments["flag"].is_boolean(), "{arguments}");
        }
    }
}

#[test]
fn tools_are_refused_where_it_is_not_known_how_they_are_called() {
    let folder = Folder::new("glm");
    let template = TOOLS.replace(
        "call.function | tojson",
        "call.function.name + '\\n<arg_key>'",
    );
    let serving = Serving::start_with(&with_template(&folder, &template), "");
    let ask = json!({ "messages": [{ "role": "user", "content": "hi" }],
        "tools": [{ "type": "function", "function": { "name": "ls" } }] });
    let (status, told) = serving.post("/v1/chat/completions", &ask);
    assert_eq!(
        (status, &told["error"]["param"]),
        (400, &json!("tools")),
        "{told}"
    );
}
