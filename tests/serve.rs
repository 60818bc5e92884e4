//! A model behind HTTP, for any client.

use std::fs;
use std::io::Read;

use burn::tensor::Device;
use data::{Message, Role};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rollout::policy::{Policy, Request, Sampling};
use rollout::server::{Server, ServerConfig};
use serde_json::{Value, json};
use train::checkpoint::Loaded;
use train::policy::Generator;

use crate::serving::*;
use crate::support::*;

#[test]
fn a_model_behind_http_answers_as_it_does_in_process() {
    let serving = Serving::start("--name small");
    let Loaded {
        config,
        model,
        tokenizer,
        template,
        ..
    } = base();
    let ask = |text: &str, attempts, seed| Request {
        messages: vec![Message::new(Role::User, text)],
        attempts,
        seed,
    };
    let requests = [
        ask("def add(a, b):\n    return a - b\n", 3, 5),
        ask("x = 1", 2, 6),
    ];
    let plain = Sampling {
        max_new_tokens: 24,
        ..Sampling::default()
    };
    let narrow = Sampling {
        temperature: 0.8,
        top_k: 50,
        top_p: 0.9,
        min_p: 0.01,
        repetition_penalty: 1.1,
        ..plain.clone()
    };
    let mut local = Generator::new(model, &config, &tokenizer, &template, 8, &Device::flex());
    let settings = ServerConfig::new(format!("http://{}/v1", serving.address), "small");
    let mut remote = Server::new(settings, &tokenizer, &template).expect("a client");
    for sampling in [plain, narrow] {
        let here = local
            .complete(&requests, &sampling)
            .expect("answers")
            .concat();
        let there = remote
            .complete(&requests, &sampling)
            .expect("answers")
            .concat();
        assert_eq!(here.len(), there.len());
        for (here, there) in here.iter().zip(&there) {
            assert_eq!(
                (&here.prompt, &here.tokens, &here.text),
                (&there.prompt, &there.tokens, &there.text)
            );
            assert_eq!(here.stop, there.stop);
            for (a, b) in here.logprobs.iter().zip(&there.logprobs) {
                assert!((a - b).abs() < 1e-4, "{a} is not {b}");
            }
        }
    }
}

#[test]
fn a_stream_tells_what_the_whole_answer_tells() {
    let serving = Serving::start("");
    for (path, body) in [
        (
            "/v1/completions",
            json!({ "prompt": "def add(a, b):", "max_tokens": 20, "seed": 3, "n": 2 }),
        ),
        (
            "/v1/chat/completions",
            json!({ "messages": [{ "role": "user", "content": "x = 1" }], "max_tokens": 20, "seed": 3, "n": 2 }),
        ),
    ] {
        let (status, whole) = serving.post(path, &body);
        assert_eq!(status, 200, "{whole}");
        let mut streamed = body.clone();
        streamed["stream"] = json!(true);
        streamed["stream_options"] = json!({ "include_usage": true });
        let chunks = serving.stream(path, &streamed);
        assert_eq!(chunks.last().expect("chunks")["usage"], whole["usage"]);
        for index in 0..2 {
            let of = |chunk: &&Value| chunk["choices"][0]["index"] == json!(index);
            let parts: Vec<&Value> = chunks
                .iter()
                .filter(of)
                .map(|chunk| &chunk["choices"][0])
                .collect();
            let text = |part: &&Value| {
                part["text"]
                    .as_str()
                    .or(part["delta"]["content"].as_str())
                    .expect("a text")
                    .to_owned()
            };
            let choice = &whole["choices"][index];
            let expected = choice["text"]
                .as_str()
                .or(choice["message"]["content"].as_str());
            assert_eq!(
                Some(parts.iter().map(text).collect::<String>().as_str()),
                expected
            );
            assert_eq!(
                parts.last().expect("parts")["finish_reason"],
                choice["finish_reason"]
            );
        }
    }
}

#[test]
fn what_is_wrong_is_told_as_openai_tells_it() {
    let serving = Serving::start("--name small");
    let completions = "/v1/completions";
    let long = "x ".repeat(2000);
    let cases = [
        (
            completions,
            json!({ "prompt": long }),
            400,
            "the context holds 1024",
        ),
        (
            completions,
            json!({ "prompt": "x", "max_tokens": 5000 }),
            400,
            "tokens at most, or shorten the prompt",
        ),
        (completions, json!({ "prompt": "" }), 400, "no tokens"),
        (
            completions,
            json!({ "prompt": [5, 999_999] }),
            400,
            "token 999999",
        ),
        (
            completions,
            json!({ "prompt": "x", "n": 0 }),
            400,
            "`n` is 0",
        ),
        (
            completions,
            json!({ "prompt": "x", "temperature": -1 }),
            400,
            "`temperature` is -1",
        ),
        (
            completions,
            json!({ "prompt": "x", "model": "other" }),
            404,
            "`small` is",
        ),
        (completions, json!({ "max_tokens": 3 }), 400, "prompt"),
        (
            "/v1/chat/completions",
            json!({ "messages": [] }),
            400,
            "`messages` is empty",
        ),
        (
            "/v1/embeddings",
            json!({ "input": "x" }),
            404,
            "no such endpoint",
        ),
    ];
    for (path, body, status, words) in cases {
        let (got, told) = serving.post(path, &body);
        let message = told["error"]["message"].as_str().unwrap_or_default();
        assert!(
            got == status && message.contains(words),
            "{status} `{words}` is not {got}: {told}"
        );
        assert_eq!(told["error"]["type"], "invalid_request_error");
    }
    let (status, _, body) = serving.ask("POST", completions, "{");
    assert!(
        status == 400 && body.contains("invalid_request_error"),
        "{body}"
    );
    assert_eq!(serving.ask("GET", completions, "").0, 405);
    assert_eq!(
        serving.number("serve_sampled_tokens_total"),
        0.0,
        "nothing was written for any of them"
    );
}

#[test]
fn what_a_client_may_know_is_told() {
    let serving = Serving::start("--name small");
    let (status, _, body) = serving.ask("GET", "/v1/models", "");
    assert!(status == 200 && body.contains(r#""id":"small""#), "{body}");
    assert_eq!(serving.ask("GET", "/health", "").0, 200);
    let ask = json!({ "prompt": "x = ", "max_tokens": 5, "temperature": 0, "logprobs": 1, "return_token_ids": true });
    let (_, told) = serving.post("/v1/completions", &ask);
    let choice = &told["choices"][0];
    let count = choice["token_ids"].as_array().expect("ids").len();
    assert_eq!(
        choice["logprobs"]["token_logprobs"]
            .as_array()
            .expect("numbers")
            .len(),
        count
    );
    assert_eq!(told["usage"]["completion_tokens"], json!(count));
    assert_eq!(serving.number("serve_sampled_tokens_total"), count as f64);
}

#[test]
fn a_client_that_leaves_frees_its_row() {
    let serving = Serving::start("--max-rows 1");
    let reader = first_chunk(serving.send("POST", "/v1/completions", &long().to_string()));
    drop(reader);
    let (status, told) = serving.post(
        "/v1/completions",
        &json!({ "prompt": "x", "max_tokens": 2 }),
    );
    assert_eq!(status, 200, "{told}");
    let written = serving.number("serve_sampled_tokens_total");
    assert!(
        written < 800.0,
        "the answer that nobody wanted was written on: {written} tokens"
    );
}

#[test]
fn who_comes_when_the_queue_is_full_is_told_to_come_later() {
    let serving = Serving::start("--max-requests 1");
    let reader = first_chunk(serving.send("POST", "/v1/completions", &long().to_string()));
    let (status, head, body) = serving.ask("POST", "/v1/completions", r#"{"prompt":"x"}"#);
    assert!(
        status == 429 && head.contains("retry-after") && body.contains("rate_limit_exceeded"),
        "{status}: {body}"
    );
    drop(reader);
}

#[test]
fn a_server_that_is_told_to_stop_ends_its_answers_first() {
    let mut serving = Serving::start("");
    let mut reader = first_chunk(serving.send("POST", "/v1/completions", &long().to_string()));
    kill(Pid::from_raw(serving.child.id() as i32), Signal::SIGTERM).expect("signals");
    let mut rest = String::new();
    reader
        .read_to_string(&mut rest)
        .expect("the answer goes on");
    assert!(rest.contains("data: [DONE]"), "{rest}");
    assert!(serving.child.wait().expect("ends").success());
}

#[test]
fn a_model_behind_http_is_evaluated_as_the_same_model_is_here() {
    if !python("the evaluation of a model behind HTTP") {
        return;
    }
    let _alone = alone();
    let folder = Folder::new("eval-server");
    let tasks = folder.join("tasks");
    let planting = format!(
        "data plant --package examples/packages/planegeo --max-tasks 4 --out {}",
        tasks.display()
    );
    run(&planting).succeeds();
    let eval = |options: &str, name: &str| {
        let out = folder.join(name);
        let line = format!(
            "eval --model checkpoints/base --tasks {}/tasks.jsonl --out {} --set eval.attempts=2 \
             --set eval.sampling.temperature=0.5 --set eval.sampling.max_new_tokens=40 {options}",
            tasks.display(),
            out.display()
        );
        run(&line).succeeds();
        let told: Value =
            serde_json::from_slice(&fs::read(out).expect("an evaluation")).expect("JSON");
        told
    };
    let here = eval("", "here.json");
    let serving = Serving::start("--name small");
    let there = eval(
        &format!("--server http://{}/v1", serving.address),
        "there.json",
    );
    assert_eq!((&there["model"], &there["n"]), (&json!("small"), &json!(4)));
    assert_eq!(there["evaluation"], here["evaluation"]);
    assert!(serving.number("serve_sampled_tokens_total") > 0.0);
    let out = folder.join("nobody.json");
    let line = format!(
        "eval --model checkpoints/base --tasks {}/tasks.jsonl --out {}",
        tasks.display(),
        out.display()
    );
    run(&format!("{line} --server http://127.0.0.1:1/v1"))
        .refuses(&["127.0.0.1:1", "does not answer"]);
}

/// A template that shows tools as Qwen's do.
const TOOLS: &str = "{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}\
    {% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content }}\
    {% for call in message.tool_calls or [] %}{{ '<tool_call>' + call.function | tojson + '</tool_call>' }}{% endfor %}\
    {{ '<|im_end|>\\n' }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

#[test]
fn tools_reach_the_template_where_it_asks_for_them() {
    // As text, so that the fields keep their order.
    const ASKED: &str = r#"{"messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call00001", "type": "function", "function": {"name": "ls", "arguments": "{\"path\": \".\"}"}}]},
        {"role": "tool", "tool_call_id": "call00001", "content": "a.py"}],
        "tools": [{"type": "function", "function": {"name": "ls", "description": "lists"}}],
        "max_tokens": 4, "return_token_ids": true}"#;
    let ask = |serving: &Serving| {
        let (status, _, body) = serving.ask("POST", "/v1/chat/completions", ASKED);
        (status, serde_json::from_str::<Value>(&body).expect("JSON"))
    };
    let folder = Folder::new("tools");
    let serving = Serving::start_with(&with_template(&folder, TOOLS), "");
    let (status, answer) = ask(&serving);
    assert_eq!(status, 200, "{answer}");
    let ids: Vec<u32> =
        serde_json::from_value(answer["choices"][0]["prompt_token_ids"].clone()).expect("ids");
    let expected = "{\"type\": \"function\", \"function\": {\"name\": \"ls\", \"description\": \"lists\"}}\
                    <|im_start|>user\nhi<|im_end|>\n\
                    <|im_start|>assistant\n<tool_call>{\"name\": \"ls\", \"arguments\": {\"path\": \".\"}}</tool_call><|im_end|>\n\
                    <|im_start|>tool\na.py<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(base().tokenizer.decode(&ids), expected);
    // The base model's own template knows none.
    let (status, answer) = ask(&Serving::start(""));
    assert_eq!(
        (status, &answer["error"]["param"]),
        (400, &json!("tools")),
        "{answer}"
    );
    let called = json!({ "messages": [{ "role": "tool", "content": "a.py" }] });
    let (status, answer) = Serving::start("").post("/v1/chat/completions", &called);
    assert_eq!(
        (status, &answer["error"]["param"]),
        (400, &json!("messages")),
        "{answer}"
    );
}
