//! What tokens of a sample are: whose, known, and whether an answer ends.
//!
//! In: a model's tokenizer and chat template. Out: the role of each token, and each answer with its end.

use std::path::Path;

use anyhow::Result;
use data::template::{ChatTemplate, EndOfTurn, Roles};
use data::{Role, Sample, Tokenizer};

use super::super::config_at;

/// What ends a text that is no conversation.
const END_OF_TEXT: &str = "<|endoftext|>";

/// What a sample is judged by.
pub(super) struct Judge {
    pub(super) tokenizer: Tokenizer,
    /// How turns begin; none where the chat template cannot tell.
    roles: Option<Roles>,
    /// What ends an answer.
    end: EndOfTurn,
    /// Ids that the model knows.
    pub(super) vocab_size: usize,
    /// Tokens that the model can see at once, where a config tells.
    pub(super) context: Option<usize>,
}

/// What is trained between two prompts.
pub(super) struct Answer {
    /// Its last token.
    pub(super) last: usize,
    /// True where the end of turn is trained.
    pub(super) ended: bool,
}

impl Judge {
    pub(super) fn new(
        path: &Path,
        tokenizer: &Tokenizer,
        template: &ChatTemplate,
    ) -> Result<Judge> {
        let config = config_at(path)?;
        let vocab_size = config
            .as_ref()
            .map_or(tokenizer.vocab_size(), |config| config.vocab_size);
        tokenizer.require_within(vocab_size)?;
        let context = config.map(|config| config.max_position_embeddings);
        let roles = template.roles(tokenizer).ok();
        let end = template.end_of_turn(tokenizer);
        Ok(Judge {
            tokenizer: tokenizer.clone(),
            roles,
            end,
            vocab_size,
            context,
        })
    }

    /// The role of each token; a sample that is no conversation has none.
    pub(super) fn roles_of(&self, sample: &Sample) -> Vec<Option<Role>> {
        match &self.roles {
            Some(roles) => roles.of_tokens(&sample.tokens),
            None => vec![None; sample.tokens.len()],
        }
    }

    pub(super) fn knows(&self, id: u32) -> bool {
        (id as usize) < self.vocab_size && self.tokenizer.piece(id).is_some()
    }

    /// What is trained between two prompts, and whether it ends. Tokens of the same turn that are left out of the
    /// training do not divide an answer.
    pub(super) fn answers(&self, sample: &Sample, roles: &[Option<Role>]) -> Vec<Answer> {
        // Text that is no conversation ends with the end of the text.
        let text_end = if roles.iter().all(Option::is_none) {
            self.tokenizer.special(END_OF_TEXT)
        } else {
            None
        };
        let is_end = |id: u32| self.end.contains(id) || Some(id) == text_end;
        let mut answers: Vec<Answer> = Vec::new();
        let mut open = false;
        for (at, (id, trained)) in sample.tokens.iter().zip(&sample.mask).enumerate() {
            if !trained {
                open = open && roles[at] == Some(Role::Assistant) && !is_end(*id);
                continue;
            }
            match answers.last_mut().filter(|_| open) {
                Some(answer) => answer.last = at,
                None => answers.push(Answer {
                    last: at,
                    ended: false,
                }),
            }
            open = true;
            // A line break behind the end belongs to the template.
            let blank = self
                .tokenizer
                .piece(*id)
                .is_some_and(|piece| piece.trim_ascii().is_empty());
            if let Some(answer) = answers.last_mut() {
                answer.ended = is_end(*id) || answer.ended && blank;
            }
        }
        answers
    }
}
