//! Answers as OpenAI writes them: whole, or as chunks of a stream.

use data::Tokenizer;
use rollout::trajectory::Stop;
use serde_json::{Map, Value, json};

use super::answer::random;
use data::calls::{Call, ToolCallParser};
use model::generate::Event;

/// Which of the two kinds of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `text_completion`
    Text,
    /// `chat.completion`
    Chat,
}

/// What every part of an answer says.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Which kind.
    pub kind: Kind,
    /// A name of its own.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// The model.
    pub model: String,
    /// Whether log-probabilities are told.
    pub logprobs: bool,
    /// Whether token ids are told.
    pub token_ids: bool,
}

/// One answer so far, or a part of it.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    text: String,
    calls: Vec<Call>,
    /// Calls that earlier parts of a stream told.
    earlier_calls: usize,
    tokens: Vec<u32>,
    logprobs: Vec<f32>,
    top: Vec<Vec<(u32, f32)>>,
    stop: Option<Stop>,
}

impl Choice {
    /// A part of a stream, before which so many calls were told.
    pub fn part(earlier_calls: usize) -> Self {
        Choice {
            earlier_calls,
            ..Choice::default()
        }
    }

    /// Takes the next token, and what `parser` makes of its text.
    pub fn take(&mut self, event: Event, parser: &mut ToolCallParser) {
        let (text, calls) = parser.push(&event.text, event.stop.is_some());
        self.text.push_str(&text);
        self.calls.extend(calls);
        self.tokens.push(event.token);
        self.logprobs.push(event.logprob);
        self.top.push(event.top);
        self.stop = event.stop;
    }

    /// Calls told by the end of it.
    pub fn calls_so_far(&self) -> usize {
        self.earlier_calls + self.calls.len()
    }

    fn finish_reason(&self) -> Option<&'static str> {
        self.stop.map(|stop| match finish_reason(stop) {
            "stop" if self.calls_so_far() > 0 => "tool_calls",
            reason => reason,
        })
    }

    /// The calls as OpenAI writes them.
    fn calls_json(&self) -> Vec<Map<String, Value>> {
        self.calls
            .iter()
            .map(|call| call.to_json(random()))
            .collect()
    }

    /// True when it has ended.
    pub fn is_done(&self) -> bool {
        self.stop.is_some()
    }

    /// Its tokens.
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }
}

/// The counts of tokens.
pub fn usage(prompt: usize, answer: usize) -> Value {
    json!({ "prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer })
}

fn finish_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::EndOfTurn | Stop::StopString => "stop",
        Stop::Length | Stop::Context | Stop::Repetition => "length",
    }
}

impl Reply {
    /// The whole answer. `prompts` are the tokens of the prompt of each choice.
    pub fn whole(
        &self,
        tokenizer: &Tokenizer,
        choices: &[Choice],
        prompts: &[&[u32]],
        usage: Value,
    ) -> Value {
        let object = if self.kind == Kind::Chat {
            "chat.completion"
        } else {
            "text_completion"
        };
        let choice = |(index, (choice, prompt)): (usize, (&Choice, &&[u32]))| {
            let mut value = self.choice(tokenizer, index, choice);
            match self.kind {
                Kind::Chat => {
                    let mut message = json!({ "role": "assistant", "content": choice.text });
                    if !choice.calls.is_empty() {
                        message["tool_calls"] = json!(choice.calls_json());
                        if choice.text.is_empty() {
                            message["content"] = Value::Null;
                        }
                    }
                    value.insert("message".into(), message)
                }
                Kind::Text => value.insert("text".into(), json!(choice.text)),
            };
            if self.token_ids {
                value.insert("prompt_token_ids".into(), json!(prompt));
            }
            Value::Object(value)
        };
        let choices: Vec<Value> = choices
            .iter()
            .zip(prompts)
            .enumerate()
            .map(choice)
            .collect();
        let mut body = self.body(object, choices);
        body["usage"] = usage;
        body
    }

    /// The part of a stream in which choice `index` grows by `part`.
    pub fn chunk(&self, tokenizer: &Tokenizer, index: usize, part: &Choice, first: bool) -> Value {
        let mut value = self.choice(tokenizer, index, part);
        match self.kind {
            Kind::Chat => {
                let role = if first {
                    json!({ "role": "assistant" })
                } else {
                    json!({})
                };
                let mut delta = role;
                delta["content"] = json!(part.text);
                if !part.calls.is_empty() {
                    let numbered = |(index, mut call): (usize, Map<String, Value>)| {
                        call.insert("index".into(), json!(part.earlier_calls + index));
                        call
                    };
                    delta["tool_calls"] = part
                        .calls_json()
                        .into_iter()
                        .enumerate()
                        .map(numbered)
                        .collect();
                }
                value.insert("delta".into(), delta)
            }
            Kind::Text => value.insert("text".into(), json!(part.text)),
        };
        self.body(self.chunk_object(), vec![Value::Object(value)])
    }

    /// The last part of a stream, with the counts of tokens.
    pub fn last(&self, usage: Value) -> Value {
        let mut body = self.body(self.chunk_object(), Vec::new());
        body["usage"] = usage;
        body
    }

    fn chunk_object(&self) -> &'static str {
        if self.kind == Kind::Chat {
            "chat.completion.chunk"
        } else {
            "text_completion"
        }
    }

    fn body(&self, object: &str, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id, "object": object, "created": self.created, "model": self.model, "choices": choices,
        })
    }

    fn choice(&self, tokenizer: &Tokenizer, index: usize, choice: &Choice) -> Map<String, Value> {
        let mut value = Map::new();
        value.insert("index".into(), json!(index));
        value.insert("finish_reason".into(), json!(choice.finish_reason()));
        value.insert("logprobs".into(), self.logprobs(tokenizer, choice));
        if self.token_ids {
            value.insert("token_ids".into(), json!(choice.tokens));
        }
        value
    }

    fn logprobs(&self, tokenizer: &Tokenizer, choice: &Choice) -> Value {
        if !self.logprobs {
            return Value::Null;
        }
        let text = |token: u32| tokenizer.decode(&[token]);
        let items = choice.tokens.iter().zip(&choice.logprobs).zip(&choice.top);
        match self.kind {
            Kind::Text => {
                let tokens: Vec<String> = choice.tokens.iter().map(|&token| text(token)).collect();
                let likeliest = |top: &Vec<(u32, f32)>| -> Map<String, Value> {
                    top.iter()
                        .map(|&(token, logprob)| (text(token), json!(logprob)))
                        .collect()
                };
                let top: Option<Vec<_>> = choice
                    .top
                    .iter()
                    .any(|top| !top.is_empty())
                    .then(|| choice.top.iter().map(likeliest).collect());
                json!({ "tokens": tokens, "token_logprobs": choice.logprobs, "top_logprobs": top })
            }
            Kind::Chat => {
                let one = |token: u32, logprob: f32| json!({ "token": text(token), "logprob": logprob, "bytes": tokenizer.piece(token) });
                let of = |((&token, &logprob), top): ((&u32, &f32), &Vec<(u32, f32)>)| {
                    let mut told = one(token, logprob);
                    told["top_logprobs"] = top
                        .iter()
                        .map(|&(token, logprob)| one(token, logprob))
                        .collect();
                    told
                };
                json!({ "content": items.map(of).collect::<Vec<Value>>() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data::calls::Form;

    const TEXT: &str = "Look:\n<tool_call>{\"name\":\"ls\",\"arguments\":{\"a\":1}}</tool_call><tool_call>{\"name\":\"pwd\"}</tool_call>";

    fn event(text: &str, stop: Option<Stop>) -> Event {
        Event {
            request: 0,
            attempt: 0,
            token: 7,
            logprob: -0.5,
            drawn: -0.5,
            top: vec![(7, -0.5)],
            text: text.into(),
            stop,
        }
    }

    fn reply() -> (Reply, Tokenizer) {
        let specials = data::tokenizer::SPECIALS;
        let tokenizer = Tokenizer::train(["a"].into_iter(), 256 + specials.len(), &specials)
            .expect("bytes alone");
        let reply = Reply {
            kind: Kind::Chat,
            id: "chatcmpl-1".into(),
            created: 0,
            model: "m".into(),
            logprobs: false,
            token_ids: false,
        };
        (reply, tokenizer)
    }

    fn whole(text: &str, stop: Stop, most: usize) -> Value {
        let (reply, tokenizer) = reply();
        let mut choice = Choice::default();
        choice.take(
            event(text, Some(stop)),
            &mut ToolCallParser::new(Some(Form::Hermes), most),
        );
        reply.whole(&tokenizer, &[choice], &[&[1]], usage(1, 1))["choices"][0].clone()
    }

    #[test]
    fn a_whole_answer_tells_its_calls_apart_from_its_text() {
        let choice = whole(TEXT, Stop::EndOfTurn, 9);
        let (message, calls) = (&choice["message"], &choice["message"]["tool_calls"]);
        assert_eq!(
            (&choice["finish_reason"], &message["content"]),
            (&json!("tool_calls"), &json!("Look:"))
        );
        assert_eq!(
            calls[0]["function"],
            json!({ "name": "ls", "arguments": "{\"a\":1}" })
        );
        assert_eq!(
            (&calls[1]["type"], calls[1]["id"].as_str().map(str::len)),
            (&json!("function"), Some(9))
        );
        assert_ne!(calls[0]["id"], calls[1]["id"]);
        // Nothing is said but the call, and only one is wanted; an answer that was cut off says so.
        let choice = whole(
            TEXT.strip_prefix("Look:\n").expect("begins so"),
            Stop::Length,
            1,
        );
        assert_eq!(
            (&choice["finish_reason"], &choice["message"]["content"]),
            (&json!("length"), &Value::Null)
        );
        assert_eq!(
            choice["message"]["tool_calls"].as_array().map(Vec::len),
            Some(1)
        );
        let choice = whole("no call", Stop::EndOfTurn, 9);
        assert_eq!(
            choice["message"],
            json!({ "role": "assistant", "content": "no call" })
        );
        assert_eq!(choice["finish_reason"], "stop");
    }

    #[test]
    fn a_stream_tells_the_same_piece_by_piece() {
        let (reply, tokenizer) = reply();
        let mut parser = ToolCallParser::new(Some(Form::Hermes), 9);
        let mut told = 0;
        let (mut said, mut calls) = (String::new(), Vec::new());
        let letters: Vec<String> = TEXT.chars().map(String::from).collect();
        for (at, letter) in letters.iter().enumerate() {
            let ended = at + 1 == letters.len();
            let mut part = Choice::part(told);
            part.take(event(letter, ended.then_some(Stop::EndOfTurn)), &mut parser);
            told = part.calls_so_far();
            let chunk = reply.chunk(&tokenizer, 0, &part, at == 0)["choices"][0].clone();
            said.push_str(chunk["delta"]["content"].as_str().expect("a text"));
            calls.extend(
                chunk["delta"]["tool_calls"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default(),
            );
            assert_eq!(
                chunk["finish_reason"],
                if ended {
                    json!("tool_calls")
                } else {
                    Value::Null
                }
            );
        }
        assert_eq!(said, "Look:");
        let names = calls
            .iter()
            .map(|call| (call["index"].clone(), call["function"]["name"].clone()));
        assert_eq!(
            names.collect::<Vec<_>>(),
            [(json!(0), json!("ls")), (json!(1), json!("pwd"))]
        );
    }
}
