//! The client against a server that says what it is told to, in the words of vLLM and llama.cpp.

use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use data::tokenizer::SPECIALS;
use data::{Message, Role};

use super::*;
use crate::trajectory::Stop;

/// Answers one request after the other with a status and a body, and tells what it was asked.
fn scripted(answers: Vec<(u16, String)>) -> (String, Receiver<Value>, JoinHandle<()>) {
    let server = tiny_http::Server::http("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/v1", server.server_addr().to_ip().expect("an address"));
    let (told, asked) = channel();
    let thread = std::thread::spawn(move || {
        for (status, body) in answers {
            let mut request = server.recv().expect("a request");
            let mut text = String::new();
            request.as_reader().read_to_string(&mut text).expect("a body");
            told.send(serde_json::from_str(&text).expect("JSON")).ok();
            request.respond(tiny_http::Response::from_string(body).with_status_code(status)).ok();
        }
    });
    (url, asked, thread)
}

fn tokenizer() -> Tokenizer {
    Tokenizer::train(["a b"].into_iter(), 256 + SPECIALS.len(), &SPECIALS).expect("bytes alone")
}

fn ask(url: &str, attempts: usize, sampling: &Sampling) -> Result<Vec<Completion>, String> {
    data::child::in_this_process();
    let (tokenizer, template) = (tokenizer(), ChatTemplate::default());
    let config = ServerConfig { tries: 3, first_wait: Duration::from_millis(1), ..ServerConfig::new(url, "m") };
    let mut policy = Server::new(config, &tokenizer, &template).expect("a client");
    let request = Request { messages: vec![Message::new(Role::User, "hi")], attempts, seed: 5 };
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
    let (url, asked, server) = scripted(vec![choices(&[vllm("ab"), vllm("c")])]);
    let answers = ask(&url, 2, &Sampling { top_k: 3, ..Sampling::default() }).expect("answers");
    assert_eq!(answers.iter().map(|answer| answer.text.as_str()).collect::<Vec<_>>(), ["ab", "c"]);
    assert_eq!(answers[0].logprobs, [-0.5, -0.5]);
    assert_eq!(answers[0].tokens, tokenizer().encode("ab"));
    let body = asked.recv().expect("asked");
    assert_eq!((&body["n"], &body["seed"], &body["top_k"]), (&json!(2), &json!(5), &json!(3)));
    assert_eq!(body["prompt"], json!(answers[0].prompt));
    server.join().expect("ends");
}

#[test]
fn what_llama_cpp_says_is_a_completion_and_what_it_leaves_out_is_asked_for_again() {
    let choice = json!({
        "text": "a", "finish_reason": "length",
        "logprobs": { "content": [{ "id": 70, "token": "a", "logprob": -0.25, "bytes": [97], "top_logprobs": [] }] },
    });
    let (url, asked, server) = scripted(vec![choices(std::slice::from_ref(&choice)), choices(&[choice])]);
    let answers = ask(&url, 2, &Sampling::default()).expect("answers");
    assert_eq!((answers.len(), answers[1].tokens[0], answers[1].logprobs[0]), (2, 70, -0.25));
    assert_eq!(answers[1].stop, Stop::Length);
    let seeds: Vec<Value> = asked.iter().map(|body| body["seed"].clone()).collect();
    assert_eq!(seeds, [json!(5), json!(6)]);
    server.join().expect("ends");
}

#[test]
fn a_busy_server_is_asked_again_and_a_wrong_request_is_not() {
    let (url, _, server) = scripted(vec![(429, String::new()), (503, String::new()), choices(&[vllm("x")])]);
    assert_eq!(ask(&url, 1, &Sampling::default()).expect("an answer")[0].text, "x");
    server.join().expect("ends");
    let (url, _, server) = scripted(vec![(400, r#"{"error":{"message":"too long"}}"#.to_owned())]);
    let refused = ask(&url, 1, &Sampling::default()).expect_err("refused");
    assert!(refused.contains("answers 400: too long"), "{refused}");
    server.join().expect("ends");
}

#[test]
fn a_server_that_stays_away_is_given_up_with_its_address() {
    let refused = ask("http://127.0.0.1:9/v1", 1, &Sampling::default()).expect_err("nobody listens");
    assert!(refused.contains("http://127.0.0.1:9/v1/completions` does not answer"), "{refused}");
    assert!(refused.contains("\nhint: "), "{refused}");
}

#[test]
fn a_server_without_tokens_or_log_probabilities_is_an_error_that_says_so() {
    let mut no_tokens = vllm("x");
    no_tokens["token_ids"] = Value::Null;
    let mut no_logprobs = vllm("x");
    no_logprobs["logprobs"] = Value::Null;
    for (choice, word) in [(no_tokens, "not which tokens"), (no_logprobs, "no log-probabilities")] {
        let (url, _, server) = scripted(vec![choices(&[choice])]);
        let refused = ask(&url, 1, &Sampling::default()).expect_err("unusable");
        assert!(refused.contains(word) && refused.contains("\nhint: "), "{refused}");
        server.join().expect("ends");
    }
}

#[test]
fn an_answer_that_came_to_a_stop_string_says_so() {
    let mut choice = vllm("a END");
    choice["text"] = json!("a ");
    let (url, _, server) = scripted(vec![choices(&[choice])]);
    let sampling = Sampling { stop: vec!["END".to_owned()], ..Sampling::default() };
    let answer = ask(&url, 1, &sampling).expect("an answer").remove(0);
    assert_eq!((answer.text.as_str(), answer.stop), ("a ", Stop::StopString));
    server.join().expect("ends");
}
