//! What a request asks of its tokens besides how they are drawn: penalties, biases, ends, and a grammar.
//!
//! In: the logits of the next token and the answer so far. Out: the logits from which the token is drawn. The words are
//! those of vLLM's `SamplingParams`.
//! Example: with `logit_bias` −100 for token 5 that token is hardly ever drawn.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use crate::config::TokenIds;

/// The logit of a token that must not be drawn: its weight is 0 at every temperature, and no sum becomes NaN.
const NEVER: f32 = -1e30;

/// What shapes an answer besides [`data::sampling::Sampling`]. The default shapes nothing.
#[derive(Clone, Debug, Default)]
pub struct Control {
    /// Taken off the logit of a token for every time that it stands in the answer already.
    pub frequency_penalty: f32,
    /// Taken off the logit of a token that stands in the answer already.
    pub presence_penalty: f32,
    /// Added to the logits of these tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// Tokens of the answer before which none ends it.
    pub min_tokens: usize,
    /// These end an answer as the model's own end does; they are no part of its text.
    pub stop_token_ids: Vec<u32>,
    /// The model's own end ends nothing.
    pub ignore_eos: bool,
    /// How many of the likeliest tokens are told with each token.
    pub top_logprobs: usize,
    /// What the answer must be written in.
    pub grammar: Option<Arc<dyn Grammar>>,
}

/// A grammar that answers are written in.
pub trait Grammar: Debug + Send + Sync {
    /// Begins an answer.
    fn begin(&self) -> Box<dyn Follow>;
}

/// An answer that follows a grammar.
pub trait Follow: Send {
    /// Whether each token of the vocabulary may come next; `end` says whether the answer may end here.
    fn allowed(&mut self) -> Allowed;
    /// Takes the token that came; true when nothing can follow it.
    fn take(&mut self, token: u32) -> bool;
}

/// What may come next.
pub struct Allowed {
    /// True for every token that may.
    pub tokens: Vec<bool>,
    /// Whether the answer may end.
    pub end: bool,
}

/// Whether a token ends its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// It does not.
    No,
    /// It does, and is no part of the text.
    Before,
    /// It does, as the last of the text: the grammar knows nothing that could follow.
    After,
}

/// What shapes one answer that is being written.
pub struct Shaping {
    control: Arc<Control>,
    /// How often each token of the answer came; kept where a penalty asks for it.
    counts: BTreeMap<u32, u32>,
    written: usize,
    follow: Option<Box<dyn Follow>>,
}

impl Shaping {
    /// An answer that has not begun.
    pub fn new(control: Arc<Control>) -> Self {
        let follow = control.grammar.as_ref().map(|grammar| grammar.begin());
        Shaping {
            control,
            counts: BTreeMap::new(),
            written: 0,
            follow,
        }
    }

    /// What it is shaped by.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The logits to draw from; none where they are the model's own. `end` are the tokens that end a turn.
    pub fn shape(&mut self, logits: &[f32], end: &TokenIds) -> Option<Vec<f32>> {
        let control = &*self.control;
        let too_short = self.written < control.min_tokens;
        let penalized = control.frequency_penalty != 0.0 || control.presence_penalty != 0.0;
        if !too_short && !penalized && control.logit_bias.is_empty() && self.follow.is_none() {
            return None;
        }
        let mut shaped = logits.to_vec();
        for (&token, &count) in self.counts.iter().filter(|_| penalized) {
            shaped[token as usize] -=
                control.frequency_penalty * count as f32 + control.presence_penalty;
        }
        for &(token, bias) in &control.logit_bias {
            shaped[token as usize] += bias;
        }
        let allowed = self.follow.as_mut().map(|follow| follow.allowed());
        if let Some(allowed) = &allowed {
            for (token, logit) in shaped.iter_mut().enumerate() {
                let ends = end.contains(token as u32);
                let may = if ends {
                    allowed.end
                } else {
                    allowed.tokens.get(token) == Some(&true)
                };
                if !may {
                    *logit = NEVER;
                }
            }
        }
        // Where the grammar knows nothing but the end, the answer ends however short it is.
        let only_end = allowed.is_some_and(|allowed| !allowed.tokens.contains(&true));
        if too_short && !only_end {
            let ends = |token: u32| end.contains(token) || control.stop_token_ids.contains(&token);
            (0..shaped.len())
                .filter(|&token| ends(token as u32))
                .for_each(|token| shaped[token] = NEVER);
        }
        Some(shaped)
    }

    /// Takes the token that was drawn.
    pub fn take(&mut self, token: u32, end: &TokenIds) -> Ends {
        self.written += 1;
        let control = &*self.control;
        let ignored = control.ignore_eos && self.follow.is_none();
        if control.stop_token_ids.contains(&token) || (end.contains(token) && !ignored) {
            return Ends::Before;
        }
        if control.frequency_penalty != 0.0 || control.presence_penalty != 0.0 {
            *self.counts.entry(token).or_default() += 1;
        }
        let done = self
            .follow
            .as_mut()
            .is_some_and(|follow| follow.take(token));
        if done { Ends::After } else { Ends::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end() -> TokenIds {
        TokenIds::from(3)
    }

    fn shaped(control: Control, taken: &[u32]) -> Option<Vec<f32>> {
        let mut shaping = Shaping::new(Arc::new(control));
        for &token in taken {
            shaping.take(token, &end());
        }
        shaping.shape(&[1.0, 2.0, 3.0, 4.0], &end())
    }

    #[test]
    fn nothing_asked_changes_nothing() {
        assert_eq!(shaped(Control::default(), &[1, 1]), None);
    }

    #[test]
    fn penalties_count_the_tokens_of_the_answer_and_biases_are_added() {
        let control = Control {
            frequency_penalty: 0.5,
            presence_penalty: 1.0,
            ..Control::default()
        };
        assert_eq!(shaped(control, &[1, 1, 0]), Some(vec![-0.5, 0.0, 3.0, 4.0]));
        let control = Control {
            logit_bias: vec![(2, -100.0), (0, 5.0)],
            ..Control::default()
        };
        assert_eq!(shaped(control, &[]), Some(vec![6.0, 2.0, -97.0, 4.0]));
    }

    #[test]
    fn no_answer_ends_before_it_has_so_many_tokens() {
        let control = Control {
            min_tokens: 2,
            stop_token_ids: vec![0],
            ..Control::default()
        };
        assert_eq!(
            shaped(control.clone(), &[1]),
            Some(vec![NEVER, 2.0, 3.0, NEVER])
        );
        assert_eq!(shaped(control, &[1, 1]), None);
    }

    #[test]
    fn an_answer_ends_where_it_is_told_to_and_not_where_the_end_is_ignored() {
        let takes = |control: Control, token| Shaping::new(Arc::new(control)).take(token, &end());
        assert_eq!(
            (takes(Control::default(), 3), takes(Control::default(), 0)),
            (Ends::Before, Ends::No)
        );
        let stops = Control {
            stop_token_ids: vec![0],
            ignore_eos: true,
            ..Control::default()
        };
        assert_eq!(
            (takes(stops.clone(), 0), takes(stops, 3)),
            (Ends::Before, Ends::No)
        );
        let grammar = Control {
            grammar: Some(Arc::new(Twice)),
            ..Control::default()
        };
        let mut shaping = Shaping::new(Arc::new(grammar));
        assert_eq!(
            [1, 1].map(|token| shaping.take(token, &end())),
            [Ends::No, Ends::After]
        );
    }

    #[derive(Debug)]
    struct Twice;

    impl Grammar for Twice {
        fn begin(&self) -> Box<dyn Follow> {
            Box::new(Left(2))
        }
    }

    /// Token 1, so many times.
    struct Left(usize);

    impl Follow for Left {
        fn allowed(&mut self) -> Allowed {
            Allowed {
                tokens: vec![false, self.0 > 0, false, false],
                end: self.0 == 0,
            }
        }

        fn take(&mut self, token: u32) -> bool {
            assert_eq!(token, 1);
            self.0 -= 1;
            self.0 == 0
        }
    }

    #[test]
    fn what_the_grammar_does_not_know_is_never_drawn() {
        let control = Control {
            grammar: Some(Arc::new(Twice)),
            ..Control::default()
        };
        assert_eq!(
            shaped(control.clone(), &[1]),
            Some(vec![NEVER, 2.0, NEVER, NEVER])
        );
        assert_eq!(
            shaped(control.clone(), &[1, 1]),
            Some(vec![NEVER, NEVER, NEVER, 4.0])
        );
        let longer = Control {
            min_tokens: 9,
            ..control
        };
        assert_eq!(
            shaped(longer, &[1, 1]),
            Some(vec![NEVER, NEVER, NEVER, 4.0]),
            "it ends, however short"
        );
    }
}
