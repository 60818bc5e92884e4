//! Messages to tokens, and a mask of who wrote them.
//!
//! `<|im_start|>{role}\n{content}<|im_end|>\n` for every message (ChatML). The assistant's words and the `<|im_end|>`
//! behind them are trained; nothing else is. Every segment is encoded alone, so the tokens of a prompt are a prefix
//! of the tokens of the whole conversation.

use crate::message::{Message, Role};
use crate::sample::{Sample, SampleError};
use crate::tokenizer::Tokenizer;

/// The template in the language of Hugging Face, for `tokenizer_config.json` and GGUF.
pub const JINJA: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// Messages to tokens.
#[derive(Clone, Debug, Default)]
pub struct ChatTemplate;

/// A tokenizer lacks what the template needs.
#[derive(Debug, thiserror::Error)]
#[error("the tokenizer has no token `{0}`, which the chat template needs")]
pub struct MissingToken(pub &'static str);

impl ChatTemplate {
    /// Checks that `tokenizer` has the tokens that the template needs.
    ///
    /// # Errors
    ///
    /// Names the missing one.
    pub fn check(&self, tokenizer: &Tokenizer) -> Result<(), MissingToken> {
        ["<|im_start|>", "<|im_end|>"]
            .into_iter()
            .find(|name| tokenizer.special(name).is_none())
            .map_or(Ok(()), |name| Err(MissingToken(name)))
    }

    /// The conversation as text.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> String {
        let turn = |message: &Message| format!("<|im_start|>{}\n{}<|im_end|>\n", message.role.name(), message.content);
        let mut text: String = messages.iter().map(turn).collect();
        if add_generation_prompt {
            text.push_str("<|im_start|>assistant\n");
        }
        text
    }

    /// The tokens of a whole conversation, and which of them the assistant wrote.
    pub fn encode(&self, tokenizer: &Tokenizer, messages: &[Message]) -> (Vec<u32>, Vec<bool>) {
        let (mut tokens, mut mask) = (Vec::new(), Vec::new());
        for message in messages {
            let trained = message.role == Role::Assistant;
            self.open(tokenizer, message.role, &mut tokens);
            mask.resize(tokens.len(), false);
            tokens.extend(tokenizer.encode(&message.content));
            tokens.extend(tokenizer.special("<|im_end|>"));
            mask.resize(tokens.len(), trained);
            tokens.extend(tokenizer.encode("\n"));
            mask.resize(tokens.len(), false);
        }
        (tokens, mask)
    }

    /// The tokens after which the assistant speaks.
    pub fn encode_prompt(&self, tokenizer: &Tokenizer, messages: &[Message]) -> Vec<u32> {
        let (mut tokens, _) = self.encode(tokenizer, messages);
        self.open(tokenizer, Role::Assistant, &mut tokens);
        tokens
    }

    fn open(&self, tokenizer: &Tokenizer, role: Role, tokens: &mut Vec<u32>) {
        tokens.extend(tokenizer.special("<|im_start|>"));
        tokens.extend(tokenizer.encode(&format!("{}\n", role.name())));
    }

    /// A conversation as a sample.
    ///
    /// # Errors
    ///
    /// When the assistant says nothing in it.
    pub fn sample(&self, tokenizer: &Tokenizer, messages: &[Message], origin: &str) -> Result<Sample, SampleError> {
        let (mut tokens, mut mask) = self.encode(tokenizer, messages);
        // What stands behind the last trained token teaches nothing.
        let used = mask.iter().rposition(|&trained| trained).map_or(0, |last| last + 1);
        tokens.truncate(used);
        mask.truncate(used);
        Sample::new(tokens, mask, origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokenizer() -> Tokenizer {
        Tokenizer::train(["user assistant fix it\n"; 30].into_iter(), 280).expect("trains")
    }

    fn talk() -> [Message; 2] {
        [Message::new(Role::User, "fix it"), Message::new(Role::Assistant, "done")]
    }

    #[test]
    fn only_the_assistants_words_and_their_end_are_trained() {
        let tokenizer = tokenizer();
        let (tokens, mask) = ChatTemplate.encode(&tokenizer, &talk());
        let trained: Vec<u32> = tokens.iter().zip(&mask).filter(|(_, mask)| **mask).map(|(token, _)| *token).collect();
        let mut expected = tokenizer.encode("done");
        expected.extend(tokenizer.special("<|im_end|>"));
        assert_eq!(trained, expected);
    }

    #[test]
    fn the_prompt_is_a_prefix_of_the_conversation() {
        let tokenizer = tokenizer();
        let (tokens, _) = ChatTemplate.encode(&tokenizer, &talk());
        let prompt = ChatTemplate.encode_prompt(&tokenizer, &talk()[..1]);
        assert!(prompt.len() < tokens.len());
        assert_eq!(tokens[..prompt.len()], prompt);
    }

    #[test]
    fn a_sample_ends_with_the_end_of_the_turn() {
        let tokenizer = tokenizer();
        let sample = ChatTemplate.sample(&tokenizer, &talk(), "here").expect("a sample");
        assert_eq!(sample.tokens.last().copied(), tokenizer.special("<|im_end|>"));
    }

    #[test]
    fn the_text_is_chatml() {
        assert_eq!(
            ChatTemplate.render(&talk()[..1], true),
            "<|im_start|>user\nfix it<|im_end|>\n<|im_start|>assistant\n"
        );
    }
}
