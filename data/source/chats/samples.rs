//! A row to samples: tokens and a mask of what is trained.
//!
//! In: an [`Example`], a tokenizer and a chat template. Out: one sample; several where the template writes earlier answers
//! otherwise once the conversation goes on, or where a long one is split; none where it is too long. The end of an answer
//! that is trained is trained, too.
//! Example: Qwen3 shows the reasoning of the last answer only, so a conversation with two questions becomes two samples,
//! and each answer is trained as a model would write it.

use std::collections::BTreeSet;

use super::conversation::{Conversation, Example, Turn};
use super::settings::{ChatSettings, PlainPrompt, SystemTurn, TooLong, TrainOn};
use crate::message::Role;
use crate::sample::Sample;
use crate::template::{ChatTemplate, Dialog, TemplateError};
use crate::tokenizer::{Part, Tokenizer};

/// Why a conversation is none for a model without a chat template.
pub const NO_TEMPLATE: &str = "it is a conversation, and the model has no chat template";

/// Makes samples for one model.
pub struct SampleMaker<'a> {
    tokenizer: &'a Tokenizer,
    template: &'a ChatTemplate,
    with_tools: ChatTemplate,
    settings: &'a ChatSettings,
    /// The most tokens of a sample.
    longest: Option<usize>,
    /// What begins and what ends a text that is no conversation.
    begin: Vec<u32>,
    end: Option<u32>,
}

/// What became of a row.
#[derive(Debug, Default)]
pub struct Made {
    /// Its samples.
    pub samples: Vec<Sample>,
    /// Samples that were left out because they are too long.
    pub too_long: usize,
    /// Samples that were too long and lost their beginning or their end, or were split.
    pub cut: usize,
    /// Samples that the cut left without the end of their last answer.
    pub endless: usize,
    /// Pieces that were left out because nothing in them is trained.
    pub unlearned: usize,
    /// Answers whose reasoning the template leaves out.
    pub unreasoned: usize,
    /// Turns behind the last one that is trained, which nobody learns from.
    pub behind: usize,
    /// Samples beside the first, where the template writes earlier answers otherwise later on.
    pub apart: usize,
}

/// Why a row makes no sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmade {
    /// Something is wrong with it.
    Bad(String),
    /// It is longer than it may be, and long rows are refused.
    TooLong(String),
}

impl<'a> SampleMaker<'a> {
    /// For a model with this tokenizer and template, which sees `context` tokens at once.
    pub fn new(
        tokenizer: &'a Tokenizer,
        template: &'a ChatTemplate,
        settings: &'a ChatSettings,
        context: Option<usize>,
    ) -> SampleMaker<'a> {
        let end = template.end_of_text(tokenizer);
        let around = tokenizer.encode_rendered("", true);
        let begin = around
            .into_iter()
            .take_while(|id| Some(*id) != end)
            .collect();
        let longest = settings.max_tokens.into_iter().chain(context).min();
        SampleMaker {
            tokenizer,
            template,
            with_tools: template.with_tools(),
            settings,
            longest,
            begin,
            end,
        }
    }

    /// The most tokens of a sample; none where nothing bounds it.
    pub fn longest(&self) -> Option<usize> {
        self.longest
    }

    /// The samples of a row; `origin` says where it stands.
    ///
    /// # Errors
    ///
    /// When the template does not take it, or nothing of it is trained.
    pub fn make(&self, example: &Example, origin: &str) -> Result<Made, Unmade> {
        let mut made = Made::default();
        match example {
            Example::Conversation(conversation) => {
                self.conversation(conversation, origin, &mut made)?
            }
            Example::Continuation { prompt, completion }
                if self.settings.prompt == PlainPrompt::Chat =>
            {
                let turns = vec![
                    Turn::new(Role::User, prompt),
                    Turn::new(Role::Assistant, completion),
                ];
                self.conversation(
                    &Conversation {
                        turns,
                        ..Conversation::default()
                    },
                    origin,
                    &mut made,
                )?;
            }
            Example::Continuation { prompt, completion } => {
                self.text(prompt, completion, origin, &mut made)?
            }
            Example::Text(text) => self.text("", text, origin, &mut made)?,
        }
        Ok(made)
    }

    /// A text behind a prompt, between the tokens that begin and end a text.
    fn text(&self, prompt: &str, text: &str, origin: &str, made: &mut Made) -> Result<(), Unmade> {
        let end = self.end.ok_or_else(|| {
            Unmade::Bad("the tokenizer has no token that ends a text".to_string())
        })?;
        let parts: Vec<Part> = [prompt, text]
            .iter()
            .filter(|text| !text.is_empty())
            .map(|text| Part::Text((*text).to_string()))
            .collect();
        let mut ids = self.tokenizer.encode_parts(&parts);
        let learned = ids.pop().unwrap_or_default();
        let mut tokens = self.begin.clone();
        tokens.extend(ids.concat());
        let given = if self.settings.train_on == TrainOn::All {
            0
        } else {
            tokens.len()
        };
        tokens.extend(learned);
        tokens.push(end);
        let mask = (0..tokens.len()).map(|at| at >= given).collect();
        self.fit(tokens, mask, origin, made)
    }

    fn conversation(
        &self,
        said: &Conversation,
        origin: &str,
        made: &mut Made,
    ) -> Result<(), Unmade> {
        // What no template writes is refused before one is asked.
        if self.template.is_assumed() {
            return Err(Unmade::Bad(NO_TEMPLATE.to_string()));
        }
        let merged;
        let said = match self.settings.system {
            SystemTurn::Keep => said,
            SystemTurn::Merge => {
                merged = with_merged_system(said);
                &merged
            }
        };
        let mut left = self.wanted(&said.turns)?;
        let dialog = said.dialog().map_err(Unmade::Bad)?;
        let template = if said.tools.is_empty() {
            self.template
        } else {
            &self.with_tools
        };
        if self.settings.train_on == TrainOn::All {
            return self.everything(template, &dialog, &said.turns, origin, made);
        }
        made.behind = left.last().map_or(0, |last| said.turns.len() - 1 - last);
        let mut found = Vec::new();
        while let Some(&last) = left.last() {
            let messages = dialog.messages[..=last].to_vec();
            let answers = template.encode_answers(
                self.tokenizer,
                &Dialog {
                    messages,
                    given: dialog.given.clone(),
                },
            );
            let answers = answers.map_err(|error| bad(&error))?;
            if let Some((_, error)) = answers.failed.iter().find(|(at, _)| *at == last) {
                return Err(bad(error));
            }
            let failed: BTreeSet<usize> = answers.failed.iter().map(|(at, _)| *at).collect();
            let told: BTreeSet<usize> = left.difference(&failed).copied().collect();
            left.retain(|at| failed.contains(at));
            made.unreasoned += answers
                .unreasoned
                .iter()
                .filter(|at| told.contains(at))
                .count();
            let mask: Vec<bool> = answers
                .turns
                .iter()
                .map(|turn| turn.is_some_and(|at| told.contains(&at)))
                .collect();
            found.push((answers.tokens, mask));
        }
        made.apart = found.len() - 1;
        let several = found.len() > 1;
        for (number, (tokens, mask)) in found.into_iter().rev().enumerate() {
            let origin = if several {
                format!("{origin}, part {}", number + 1)
            } else {
                origin.to_string()
            };
            self.fit(tokens, mask, &origin, made)?;
        }
        Ok(())
    }

    /// Every token is trained, but those of answers that the row excludes.
    fn everything(
        &self,
        template: &ChatTemplate,
        dialog: &Dialog,
        turns: &[Turn],
        origin: &str,
        made: &mut Made,
    ) -> Result<(), Unmade> {
        let left_out: Vec<usize> = (0..turns.len())
            .filter(|at| turns[*at].train == Some(false))
            .collect();
        if let Some(at) = left_out
            .iter()
            .find(|at| turns[**at].role != Role::Assistant)
        {
            return Err(Unmade::Bad(format!(
                "message {} is not to be trained; with `train_on = \"all\"` only messages of the assistant can be left out",
                at + 1
            )));
        }
        let answers = template
            .encode_answers(self.tokenizer, dialog)
            .map_err(|error| bad(&error))?;
        if let Some((_, error)) = answers.failed.iter().find(|(at, _)| left_out.contains(at)) {
            return Err(bad(error));
        }
        made.unreasoned += answers.unreasoned.len();
        let mask = answers
            .turns
            .iter()
            .map(|turn| !turn.is_some_and(|at| left_out.contains(&at)))
            .collect();
        self.fit(answers.tokens, mask, origin, made)
    }

    /// The turns that are trained.
    fn wanted(&self, turns: &[Turn]) -> Result<BTreeSet<usize>, Unmade> {
        let answers = || (0..turns.len()).filter(|at| turns[*at].role == Role::Assistant);
        let last = answers().next_back();
        let wanted = |at: &usize| {
            turns[*at].train.unwrap_or(match self.settings.train_on {
                TrainOn::Last => Some(*at) == last,
                TrainOn::Assistant | TrainOn::All => true,
            })
        };
        let wanted: BTreeSet<usize> = answers().filter(wanted).collect();
        if wanted.is_empty() {
            return Err(Unmade::Bad(
                "every message of the assistant is marked as not to be trained".to_string(),
            ));
        }
        Ok(wanted)
    }

    /// Adds a sample, or what the settings say becomes of one that is too long.
    fn fit(
        &self,
        tokens: Vec<u32>,
        mask: Vec<bool>,
        origin: &str,
        made: &mut Made,
    ) -> Result<(), Unmade> {
        let length = tokens.len();
        let longest = self.longest.unwrap_or(usize::MAX);
        if length <= longest {
            self.add(tokens, mask, origin, made);
            return Ok(());
        }
        let piece = |from: usize, to: usize| (tokens[from..to].to_vec(), mask[from..to].to_vec());
        let ends_cut = |to: usize| usize::from(to < length && mask[to - 1..=to] == [true, true]);
        match self.settings.too_long {
            TooLong::Refuse => {
                return Err(Unmade::TooLong(format!(
                    "it has {length} tokens, and at most {longest} are possible"
                )));
            }
            TooLong::Drop => made.too_long += 1,
            TooLong::TruncateLeft => {
                made.cut += 1;
                let (tokens, mask) = piece(length - longest, length);
                self.add(tokens, mask, origin, made);
            }
            TooLong::TruncateRight => {
                made.cut += 1;
                let (tokens, mask) = piece(0, longest);
                made.endless += ends_cut(longest) * usize::from(learns(&mask));
                self.add(tokens, mask, origin, made);
            }
            TooLong::Split => {
                made.cut += 1;
                for (number, from) in (0..length).step_by(longest).enumerate() {
                    let to = (from + longest).min(length);
                    let (tokens, mask) = piece(from, to);
                    made.endless += ends_cut(to) * usize::from(learns(&mask));
                    self.add(
                        tokens,
                        mask,
                        &format!("{origin}, piece {}", number + 1),
                        made,
                    );
                }
            }
        }
        Ok(())
    }

    fn add(&self, tokens: Vec<u32>, mut mask: Vec<bool>, origin: &str, made: &mut Made) {
        // Nothing stands before the first token that could predict it.
        if let Some(first) = mask.first_mut() {
            *first = false;
        }
        match Sample::new(tokens, mask, origin) {
            Ok(sample) => made.samples.push(sample),
            Err(_) => made.unlearned += 1,
        }
    }
}

/// Whether a piece has a token that is trained and that another one predicts.
fn learns(mask: &[bool]) -> bool {
    mask.iter().skip(1).any(|trained| *trained)
}

/// What is wrong with a row, in the words of its template.
fn bad(error: &TemplateError) -> Unmade {
    Unmade::Bad(match error {
        TemplateError::Unasked { template, asked } => format!(
            "{template} does not ask for `{asked}`, so the model would never see it{}",
            crate::Hint(
                "choose a template that does: \
             `--chat-template FILE`"
            )
        ),
        other => other.to_string(),
    })
}

/// The standing instructions before the first question, an empty line between.
fn with_merged_system(said: &Conversation) -> Conversation {
    let mut merged = said.clone();
    if merged
        .turns
        .first()
        .is_some_and(|turn| turn.role == Role::System)
        && let Some(asked) = merged.turns.iter().position(|turn| turn.role == Role::User)
    {
        let system = merged.turns.remove(0);
        let asked = &mut merged.turns[asked - 1];
        asked.content = format!("{}\n\n{}", system.content, asked.content);
    }
    merged
}
