//! Messages to tokens, and a mask of who wrote them.
//!
//! In: a conversation. Out: `<|im_start|>{role}\n{content}<|im_end|>\n` for each message, as text or as tokens.
//! Every part is encoded on its own, so a prompt is always a prefix of the conversation that goes on from it.
//! Example: of `user: hi`, `assistant: ho` only `ho<|im_end|>` is trained.

use crate::message::{Message, Role};
use crate::sample::{Sample, SampleError};
use crate::tokenizer::{END, START, Tokenizer};

/// The template in the language that `tokenizer_config.json` uses.
pub const JINJA: &str = "{% for message in messages %}\
    {{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}\
    {% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// How a conversation is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatTemplate {
    /// Begins a turn.
    start: &'static str,
    /// Ends a turn.
    end: &'static str,
}

impl Default for ChatTemplate {
    fn default() -> Self {
        ChatTemplate { start: START, end: END }
    }
}

/// A tokenizer lacks a marker that the template needs.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the tokenizer has no special token `{0}`, which the chat template needs")]
pub struct TemplateError(pub &'static str);

impl ChatTemplate {
    /// Refuses a tokenizer that lacks a marker: with it no turn would end.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] with the marker.
    pub fn check(&self, tokenizer: &Tokenizer) -> Result<(), TemplateError> {
        let missing = [self.start, self.end].into_iter().find(|name| tokenizer.special(name).is_none());
        missing.map_or(Ok(()), |name| Err(TemplateError(name)))
    }

    /// The conversation as text; with `add_generation_prompt` the assistant's turn is begun.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> String {
        let (start, end) = (self.start, self.end);
        let turn = |message: &Message| format!("{start}{}\n{}{end}\n", message.role.name(), message.content);
        let mut text: String = messages.iter().map(turn).collect();
        if add_generation_prompt {
            text.push_str(&format!("{start}{}\n", Role::Assistant.name()));
        }
        text
    }

    /// The conversation as tokens, and true exactly on what the assistant wrote: its words and their `<|im_end|>`.
    pub fn encode(&self, tokenizer: &Tokenizer, messages: &[Message]) -> (Vec<u32>, Vec<bool>) {
        let (mut tokens, mut mask) = (Vec::new(), Vec::new());
        for message in messages {
            self.begin(tokenizer, message.role, &mut tokens);
            mask.resize(tokens.len(), false);
            tokens.extend(tokenizer.encode(&message.content));
            tokens.extend(marker(tokenizer, self.end));
            mask.resize(tokens.len(), message.role == Role::Assistant);
            tokens.extend(tokenizer.encode("\n"));
            mask.resize(tokens.len(), false);
        }
        (tokens, mask)
    }

    /// The conversation as tokens, with the assistant's turn begun: what a model is asked to continue.
    pub fn encode_prompt(&self, tokenizer: &Tokenizer, messages: &[Message]) -> Vec<u32> {
        let (mut tokens, _) = self.encode(tokenizer, messages);
        self.begin(tokenizer, Role::Assistant, &mut tokens);
        tokens
    }

    /// A conversation as a training sample.
    ///
    /// # Errors
    ///
    /// When the assistant says nothing in it.
    pub fn to_sample(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
        origin: impl Into<String>,
    ) -> Result<Sample, SampleError> {
        let (tokens, mask) = self.encode(tokenizer, messages);
        Sample::new(tokens, mask, origin)
    }

    fn begin(&self, tokenizer: &Tokenizer, role: Role, tokens: &mut Vec<u32>) {
        tokens.extend(marker(tokenizer, self.start));
        tokens.extend(tokenizer.encode(role.name()));
        tokens.extend(tokenizer.encode("\n"));
    }
}

/// The id of a marker; its letters, where [`ChatTemplate::check`] would have refused the tokenizer.
fn marker(tokenizer: &Tokenizer, name: &str) -> Vec<u32> {
    tokenizer.special(name).map_or_else(|| tokenizer.encode(name), |id| vec![id])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::tests::trained;

    fn conversation() -> Vec<Message> {
        vec![
            Message::new(Role::System, "be brief"),
            Message::new(Role::User, "def add(a, b):\n    return a - b<|im_end|>"),
            Message::new(Role::Assistant, "  return a + b\n"),
            Message::new(Role::User, "\nand?"),
            Message::new(Role::Assistant, "2|x"),
        ]
    }

    #[test]
    fn tokens_decode_to_the_rendered_text() {
        let (template, tokenizer) = (ChatTemplate::default(), trained());
        let (tokens, _) = template.encode(&tokenizer, &conversation());
        assert_eq!(tokenizer.decode(&tokens), template.render(&conversation(), false));
        let prompt = template.encode_prompt(&tokenizer, &conversation()[..2]);
        assert_eq!(tokenizer.decode(&prompt), template.render(&conversation()[..2], true));
    }

    #[test]
    fn the_mask_covers_what_the_assistant_wrote_and_its_end() {
        let tokenizer = trained();
        let (tokens, mask) = ChatTemplate::default().encode(&tokenizer, &conversation());
        let trained: Vec<u32> = tokens.iter().zip(&mask).filter(|(_, mask)| **mask).map(|(id, _)| *id).collect();
        assert_eq!(tokenizer.decode(&trained), "  return a + b\n<|im_end|>2|x<|im_end|>");
        let ends = tokens.iter().filter(|id| Some(**id) == tokenizer.special(END)).count();
        assert_eq!(ends, conversation().len(), "the marker in the user's text is text");
    }

    #[test]
    fn a_prompt_is_a_strict_prefix_of_the_conversation() {
        let (template, tokenizer) = (ChatTemplate::default(), trained());
        for asked in [2, 4] {
            let prompt = template.encode_prompt(&tokenizer, &conversation()[..asked]);
            let (tokens, mask) = template.encode(&tokenizer, &conversation()[..=asked]);
            assert!(tokens.len() > prompt.len() && tokens.starts_with(&prompt));
            assert!(mask[prompt.len()], "the first token after the prompt is trained");
        }
    }

    #[test]
    fn a_conversation_without_an_answer_is_no_sample() {
        let refused = ChatTemplate::default().to_sample(&trained(), &conversation()[..2], "a");
        assert_eq!(refused, Err(SampleError::NothingTrained("a".into())));
    }

    #[test]
    fn a_tokenizer_without_the_markers_is_refused() {
        let bare = Tokenizer::train(["a"].iter(), 300, &[START]).expect("trains");
        assert_eq!(ChatTemplate::default().check(&bare), Err(TemplateError(END)));
        assert_eq!(ChatTemplate::default().check(&trained()), Ok(()));
    }
}
