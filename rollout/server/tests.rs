//! The client against a server that says what it is told to, in the words of vLLM and llama.cpp.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use axum::{Json, Router};
use data::tokenizer::SPECIALS;
use data::{Message, Role};

use super::*;
use crate::http::{HttpServer, Limits};
use crate::trajectory::Stop;

/// Answers one request after the other with a status and a body, and tells what it was asked. Then it closes its doors.
fn scripted(answers: Vec<(u16, String)>) -> (String, Receiver<Value>, HttpServer) {
    let (told, asked) = channel();
    let answers = Arc::new(Mutex::new(answers.into_iter()));
    let answer = move |Json(body): Json<Value>| {
        told.send(body).ok();
        let next = answers.lock().expect("one at a time").next();
        let (status, body) = next.unwrap_or((500, "no more answers".to_owned()));
        std::future::ready((StatusCode::from_u16(status).expect("a status"), body))
    };
    let router = Router::new().fallback(answer);
    let server = HttpServer::bind(
        "127.0.0.1:0".parse().expect("an address"),
        router,
        Limits::default(),
    );
    let server = server.expect("a free port");
    (format!("http://{}/v1", server.address()), asked, server)
}

fn tokenizer() -> Tokenizer {
    Tokenizer::train(["a b"].into_iter(), 256 + SPECIALS.len(), &SPECIALS).expect("bytes alone")
}

fn ask(url: &str, attempts: usize, sampling: &Sampling) -> Result<Vec<Completion>, String> {
    data::child::in_this_process();
    let (tokenizer, template) = (tokenizer(), ChatTemplate::default());
    let config = ServerConfig {
        tries: 3,
        first_wait: Duration::from_millis(1),
        ..ServerConfig::new(url, "m")
    };
    let mut policy = Server::new(config, &tokenizer, &template).expect("a client");
    let request = Request {
        messages: vec![Message::new(Role::User, "hi")],
        attempts,
        seed: 5,
    };
    match policy.complete(&[request], sampling) {
        Ok(mut answers) => Ok(answers.remove(0)),
        Err(error) => Err(chain_of(&error)),
    }
}

fn choices(choices: &[Value]) -> (u16, String) {
    (200, json!({ "choices": choices }).to_string())
}

fn vllm(text: &str) -> Value {
    let tokens = tokenizer().encode(text);
    let logprobs = vec![-0.5; tokens.len()];
    json!({
        "index": 0, "text": text, "finish_reason": "stop", "token_ids": tokens,
        "logprobs": { "token_logprobs": logprobs, "tokens": [], "top_logprobs": [] },
    })
}

#[test]
fn what_vllm_says_is_a_completion() {
    let (url, asked, _server) = scripted(vec![choices(&[vllm("ab"), vllm("c")])]);
    let answers = ask(
        &url,
        2,
        &Sampling {
            top_k: 3,
            ..Sampling::default()
        },
    )
    .expect("answers");
    assert_eq!(
        answers
            .iter()
            .map(|answer| answer.text.as_str())
            .collect::<Vec<_>>(),
        ["ab", "c"]
    );
    assert_eq!(answers[0].logprobs, [-0.5, -0.5]);
    assert_eq!(answers[0].tokens, tokenizer().encode("ab"));
    let body = asked.recv().expect("asked");
    assert_eq!(
        (&body["n"], &body["seed"], &body["top_k"]),
        (&json!(2), &json!(5), &json!(3))
    );
    assert_eq!(body["prompt"], json!(answers[0].prompt));
}

#[test]
fn what_llama_cpp_says_is_a_completion_and_what_it_leaves_out_is_asked_for_again() {
    let choice = json!({
        "text": "a", "finish_reason": "length",
        "logprobs": { "content": [{ "id": 70, "token": "a", "logprob": -0.25, "bytes": [97], "top_logprobs": [] }] },
    });
    let (url, asked, server) = scripted(vec![
        choices(std::slice::from_ref(&choice)),
        choices(&[choice]),
    ]);
    let answers = ask(&url, 2, &Sampling::default()).expect("answers");
    assert_eq!(
        (answers.len(), answers[1].tokens[0], answers[1].logprobs[0]),
        (2, 70, -0.25)
    );
    assert_eq!(answers[1].stop, Stop::Length);
    drop(server);
    let seeds: Vec<Value> = asked.iter().map(|body| body["seed"].clone()).collect();
    assert_eq!(seeds, [json!(5), json!(6)]);
}

#[test]
fn a_busy_server_is_asked_again_and_a_wrong_request_is_not() {
    let (url, _, _server) = scripted(vec![
        (429, String::new()),
        (503, String::new()),
        choices(&[vllm("x")]),
    ]);
    assert_eq!(
        ask(&url, 1, &Sampling::default()).expect("an answer")[0].text,
        "x"
    );
    let (url, _, _server) = scripted(vec![(
        400,
        r#"{"error":{"message":"too long"}}"#.to_owned(),
    )]);
    let refused = ask(&url, 1, &Sampling::default()).expect_err("refused");
    assert!(refused.contains("answers 400: too long"), "{refused}");
}

#[test]
fn a_server_that_stays_away_is_given_up_with_its_address() {
    let refused =
        ask("http://127.0.0.1:9/v1", 1, &Sampling::default()).expect_err("nobody listens");
    assert!(
        refused.contains("http://127.0.0.1:9/v1/completions` does not answer"),
        "{refused}"
    );
    assert!(refused.contains("\nhint: "), "{refused}");
}

#[test]
fn a_server_without_tokens_or_log_probabilities_is_an_error_that_says_so() {
    let mut no_tokens = vllm("x");
    no_tokens["token_ids"] = Value::Null;
    let mut no_logprobs = vllm("x");
    no_logprobs["logprobs"] = Value::Null;
    for (choice, word) in [
        (no_tokens, "not which tokens"),
        (no_logprobs, "no log-probabilities"),
    ] {
        let (url, _, _server) = scripted(vec![choices(&[choice])]);
        let refused = ask(&url, 1, &Sampling::default()).expect_err("unusable");
        assert!(
            refused.contains(word) && refused.contains("\nhint: "),
            "{refused}"
        );
    }
}

#[test]
fn an_answer_that_came_to_a_stop_string_says_so() {
    let mut choice = vllm("a END");
    choice["text"] = json!("a ");
    let (url, _, _server) = scripted(vec![choices(&[choice])]);
    let sampling = Sampling {
        stop: vec!["END".to_owned()],
        ..Sampling::default()
    };
    let answer = ask(&url, 1, &sampling).expect("an answer").remove(0);
    assert_eq!(
        (answer.text.as_str(), answer.stop),
        ("a ", Stop::StopString)
    );
}

#[test]
fn an_answer_that_goes_on_behind_its_end_of_turn_is_cut_there() {
    let tokenizer = tokenizer();
    let end = tokenizer.special("<|im_end|>").expect("is there");
    let mut choice = vllm("a b");
    let tokens: Vec<u32> = tokenizer
        .encode("a")
        .into_iter()
        .chain([end])
        .chain(tokenizer.encode(" b"))
        .collect();
    choice["logprobs"]["token_logprobs"] = json!(vec![-0.5; tokens.len()]);
    (choice["text"], choice["token_ids"]) = (json!("a b"), json!(tokens));
    let (url, asked, server) = scripted(vec![choices(&[choice])]);
    let answer = ask(&url, 1, &Sampling::default())
        .expect("an answer")
        .remove(0);
    assert_eq!((answer.text.as_str(), answer.stop), ("a", Stop::EndOfTurn));
    assert_eq!(
        (answer.tokens.last(), answer.logprobs.len()),
        (Some(&end), answer.tokens.len())
    );
    assert_eq!(asked.recv().expect("asked")["stop_token_ids"], json!([end]));
    drop(server);
}
