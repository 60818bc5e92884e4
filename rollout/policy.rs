//! What writes the answers: prompts in, completions with the log-probability of every token out.
//!
//! In: [`Request`]s. Out: for each, as many [`Completion`]s as it asked for, in the same order.
//! Example: [`Scripted`] answers `3|    return a + b` to every prompt that contains `test_sum`, so that the whole
//! reinforcement loop runs in a test without a model.

use data::template::ChatTemplate;
use data::{Message, Tokenizer, draw};
use serde::{Deserialize, Serialize};

use crate::trajectory::Stop;

pub use data::sampling::{MAX_STOPS, RequestError, Sampling};

/// One prompt and how many answers it wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// How many answers.
    pub attempts: usize,
    /// All randomness of this request derives from it, whatever it is batched with.
    pub seed: u64,
}

impl Request {
    /// The seed of one of the attempts: a function of the request's seed and the attempt's number alone.
    pub fn attempt_seed(&self, attempt: usize) -> u64 {
        draw::key(self.seed, &[attempt as u64])
    }

    /// The tokens of the prompt, as a model is asked.
    ///
    /// # Errors
    ///
    /// When the chat template does not take the conversation.
    pub fn prompt(
        &self,
        template: &ChatTemplate,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<u32>, PolicyError> {
        let prompt = template.encode_prompt(tokenizer, &self.messages);
        prompt.map_err(|error| PolicyError::Failed {
            doing: "writing a prompt".into(),
            source: error.into(),
        })
    }
}

/// One answer.
///
/// Invariant: `tokens` is not empty and `logprobs` has one finite number for each of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The tokens the answer was conditioned on.
    pub prompt: Vec<u32>,
    /// The tokens as sampled, the end-of-turn token included where it was sampled.
    pub tokens: Vec<u32>,
    /// Log-probability of each token by the model at the temperature it was drawn with (1 for a greedy answer), over
    /// the whole vocabulary: what a trainer recomputes.
    pub logprobs: Vec<f32>,
    /// Log-probability of each token in the distribution it was drawn from: after the repetition penalty, top-k, top-p
    /// and min-p. Without them it is that of `logprobs`.
    pub drawn: Vec<f32>,
    /// The tokens as text, without the end-of-turn token and without the stop string.
    pub text: String,
    /// Why it ended.
    pub stop: Stop,
    /// Number of optimizer steps behind the weights that wrote it.
    pub policy_version: u64,
}

impl Completion {
    /// Checks the invariant.
    ///
    /// # Errors
    ///
    /// When the lengths differ, nothing was sampled, or a log-probability is not finite.
    pub fn new(
        prompt: Vec<u32>,
        tokens: Vec<u32>,
        logprobs: Vec<f32>,
        text: String,
        stop: Stop,
        policy_version: u64,
    ) -> Result<Self, PolicyError> {
        check_logprobs(&tokens, &logprobs)?;
        let drawn = logprobs.clone();
        Ok(Completion {
            prompt,
            tokens,
            logprobs,
            drawn,
            text,
            stop,
            policy_version,
        })
    }

    /// The same, with other log-probabilities in the distribution that the tokens were drawn from.
    ///
    /// # Errors
    ///
    /// As [`Completion::new`].
    pub fn drawn_with(self, drawn: Vec<f32>) -> Result<Self, PolicyError> {
        check_logprobs(&self.tokens, &drawn)?;
        Ok(Completion { drawn, ..self })
    }
}

fn check_logprobs(tokens: &[u32], logprobs: &[f32]) -> Result<(), PolicyError> {
    if tokens.len() != logprobs.len() || tokens.is_empty() {
        return Err(PolicyError::Lengths {
            tokens: tokens.len(),
            logprobs: logprobs.len(),
        });
    }
    match logprobs.iter().position(|logprob| !logprob.is_finite()) {
        Some(at) => Err(PolicyError::NotFinite {
            at,
            logprob: logprobs[at],
        }),
        None => Ok(()),
    }
}

/// Why a policy gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// What is asked for cannot be had.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Not one log-probability per sampled token.
    #[error("a completion has {tokens} tokens but {logprobs} log-probabilities")]
    Lengths {
        /// Sampled tokens.
        tokens: usize,
        /// Log-probabilities.
        logprobs: usize,
    },
    /// The model produced NaN or an infinity.
    #[error(
        "the log-probability of token {at} is {logprob}; the weights or the sampler are broken"
    )]
    NotFinite {
        /// Which token of the completion.
        at: usize,
        /// What it was.
        logprob: f32,
    },
    /// A script has no answer to a prompt.
    #[error("the script answers no prompt like `{0}`")]
    NotScripted(String),
    /// The template, the tokenizer or the model failed.
    #[error("the policy failed while {doing}: {source}")]
    Failed {
        /// What was being done.
        doing: String,
        /// What was said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Writes answers.
pub trait Policy {
    /// For each request, `attempts` completions.
    ///
    /// The same weights, request and sampling give the same completions. What else is in `requests` changes no more than the
    /// last digits of a probability.
    ///
    /// # Errors
    ///
    /// When the machinery fails; what the model writes is never an error.
    fn complete(
        &mut self,
        requests: &[Request],
        sampling: &Sampling,
    ) -> Result<Vec<Vec<Completion>>, PolicyError>;

    /// One completion of a request; `tell` hears its text as it is written, or, where the policy cannot tell, when it is
    /// whole.
    ///
    /// # Errors
    ///
    /// As [`Policy::complete`].
    fn complete_telling(
        &mut self,
        request: &Request,
        sampling: &Sampling,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Completion, PolicyError> {
        let request = Request {
            attempts: 1,
            ..request.clone()
        };
        let answers = self.complete(std::slice::from_ref(&request), sampling)?;
        let answer = answers.into_iter().flatten().next();
        let missing = || PolicyError::Failed {
            doing: "answering".into(),
            source: "there is no answer".into(),
        };
        let answer = answer.ok_or_else(missing)?;
        tell(&answer.text);
        Ok(answer)
    }

    /// Number of optimizer steps behind the current weights.
    fn version(&self) -> u64;
}

/// Answers by what stands in the prompt, for tests and rehearsals.
///
/// Its tokens are the bytes of the text, and [`Scripted::END_OF_TURN`]; it is certain of each, so every
/// log-probability is 0.
#[derive(Clone, Debug, Default)]
pub struct Scripted {
    answers: Vec<(String, Vec<String>)>,
    /// What [`Policy::version`] says.
    pub version: u64,
}

impl Scripted {
    /// The token that ends an answer.
    pub const END_OF_TURN: u32 = 256;

    /// To a prompt that contains `part`, attempt `n` is answered with the `n`-th of `answers`, and again from the
    /// first; a greedy attempt always gets the first. Earlier rules win.
    #[must_use]
    pub fn when(mut self, part: &str, answers: &[&str]) -> Self {
        assert!(!answers.is_empty(), "a rule has at least one answer");
        self.answers.push((
            part.to_owned(),
            answers.iter().map(|answer| (*answer).to_owned()).collect(),
        ));
        self
    }

    fn answer(
        &self,
        prompt: &str,
        text: &str,
        sampling: &Sampling,
    ) -> Result<Completion, PolicyError> {
        let mut tokens: Vec<u32> = text
            .bytes()
            .map(u32::from)
            .chain([Self::END_OF_TURN])
            .collect();
        let stop = if tokens.len() > sampling.max_new_tokens {
            Stop::Length
        } else {
            Stop::EndOfTurn
        };
        tokens.truncate(sampling.max_new_tokens);
        let kept: Vec<u8> = text.bytes().take(tokens.len()).collect();
        let text = String::from_utf8_lossy(&kept).into_owned();
        let logprobs = vec![0.0; tokens.len()];
        Completion::new(
            prompt.bytes().map(u32::from).collect(),
            tokens,
            logprobs,
            text,
            stop,
            self.version,
        )
    }
}

impl Policy for Scripted {
    fn complete(
        &mut self,
        requests: &[Request],
        sampling: &Sampling,
    ) -> Result<Vec<Vec<Completion>>, PolicyError> {
        sampling.check()?;
        let completions = |request: &Request| {
            let prompt: String = request
                .messages
                .iter()
                .map(|message| message.content.as_str())
                .collect();
            let rule = self
                .answers
                .iter()
                .find(|(part, _)| prompt.contains(part.as_str()));
            let Some((_, answers)) = rule else {
                return Err(PolicyError::NotScripted(prompt.chars().take(80).collect()));
            };
            let turn = |attempt: usize| {
                if sampling.is_greedy() {
                    0
                } else {
                    attempt % answers.len()
                }
            };
            (0..request.attempts)
                .map(|attempt| self.answer(&prompt, &answers[turn(attempt)], sampling))
                .collect()
        };
        requests.iter().map(completions).collect()
    }

    fn version(&self) -> u64 {
        self.version
    }
}

#[cfg(test)]
mod tests {
    use data::Role;

    use super::*;

    fn request(text: &str, attempts: usize) -> Request {
        Request {
            messages: vec![Message::new(Role::User, text)],
            attempts,
            seed: 1,
        }
    }

    fn texts(completions: &[Completion]) -> Vec<&str> {
        completions
            .iter()
            .map(|completion| completion.text.as_str())
            .collect()
    }

    #[test]
    fn a_scripted_policy_answers_by_the_text_of_the_task() {
        let mut policy = Scripted::default()
            .when("test_sum", &["good", "bad"])
            .when("", &["other"]);
        let answers = policy.complete(
            &[request("fix test_sum", 3), request("else", 1)],
            &Sampling::default(),
        );
        let answers = answers.expect("answers");
        assert_eq!(texts(&answers[0]), ["good", "bad", "good"]);
        assert_eq!(texts(&answers[1]), ["other"]);
        assert_eq!(
            answers[1][0].tokens,
            [111, 116, 104, 101, 114, Scripted::END_OF_TURN]
        );
        assert_eq!(answers[1][0].prompt, [101, 108, 115, 101]);
    }

    #[test]
    fn a_greedy_policy_repeats_itself() {
        let mut policy = Scripted::default().when("", &["first", "second"]);
        let answers = policy
            .complete(&[request("x", 2)], &Sampling::greedy(9))
            .expect("answers");
        assert_eq!(texts(&answers[0]), ["first", "first"]);
    }

    #[test]
    fn an_answer_beyond_the_limit_is_cut_and_says_so() {
        let mut policy = Scripted::default().when("", &["four"]);
        let stop = |policy: &mut Scripted, limit| {
            let sampling = Sampling {
                max_new_tokens: limit,
                ..Sampling::default()
            };
            let answer = policy
                .complete(&[request("x", 1)], &sampling)
                .expect("answers")
                .remove(0)
                .remove(0);
            (answer.text, answer.tokens.len(), answer.stop)
        };
        assert_eq!(stop(&mut policy, 5), ("four".into(), 5, Stop::EndOfTurn));
        assert_eq!(stop(&mut policy, 4), ("four".into(), 4, Stop::Length));
        assert_eq!(stop(&mut policy, 2), ("fo".into(), 2, Stop::Length));
    }

    #[test]
    fn a_prompt_without_a_rule_is_an_error_that_quotes_it() {
        let refused =
            Scripted::default().complete(&[request("what is this", 1)], &Sampling::default());
        assert_eq!(
            refused.expect_err("no rule").to_string(),
            "the script answers no prompt like `what is this`"
        );
    }

    #[test]
    fn a_completion_without_a_logprob_for_each_token_is_refused() {
        let new = |tokens: &[u32], logprobs: &[f32]| {
            let completion = Completion::new(
                vec![],
                tokens.into(),
                logprobs.into(),
                "".into(),
                Stop::EndOfTurn,
                0,
            );
            completion.map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(new(&[1, 2], &[-0.5, -0.1]), Ok(()));
        assert_eq!(
            new(&[1, 2], &[-0.5]),
            Err("a completion has 2 tokens but 1 log-probabilities".into())
        );
        assert_eq!(
            new(&[], &[]),
            Err("a completion has 0 tokens but 0 log-probabilities".into())
        );
        assert!(
            new(&[1], &[f32::NAN])
                .is_err_and(|error| error.starts_with("the log-probability of token 0 is NaN"))
        );
    }

    #[test]
    fn each_attempt_has_a_seed_of_its_own() {
        let request = request("x", 2);
        assert_ne!(request.attempt_seed(0), request.attempt_seed(1));
        assert_eq!(request.attempt_seed(1), request.clone().attempt_seed(1));
    }
}
