//! Who wrote which token of a sample, told by how a template begins the turn of each role.
//!
//! Example: `<|im_start|>user` begins a turn of the user; the shortest run of tokens that no other role has is looked
//! for, so that Llama's `<|start_header_id|>user<|end_header_id|>` is not taken for its last marker.

use serde_json::json;

use super::dialog::Dialog;
use super::guard::Markers;
use super::{ChatTemplate, Form, Json, TemplateError};
use crate::message::{Message, Role};
use crate::tokenizer::Tokenizer;

/// Words that no template contains.
const WORDS: [(Role, &str); 4] = [
    (Role::System, "qxsyx"),
    (Role::User, "qxusx"),
    (Role::Assistant, "qxasx"),
    (Role::Tool, "qxtlx"),
];
/// The name of a call, as Mistral's templates want it.
const CALL: &str = "qxc000001";

/// What begins the turn of each role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    begins: Vec<(Role, Vec<u32>)>,
}

impl ChatTemplate {
    /// How this template begins the turn of each role. A role that it does not take, or does not mark, is left out.
    ///
    /// # Errors
    ///
    /// When the template does not take a question.
    pub fn roles(&self, tokenizer: &Tokenizer) -> Result<Roles, TemplateError> {
        let [system, user, assistant, _] = WORDS.map(|(role, word)| Message::new(role, word));
        let with_system = [system, user.clone(), assistant.clone(), user.clone()];
        let without = [user.clone(), assistant, user];
        // Some templates put the system's words into the first question: then nothing tells the two apart.
        let told = self
            .render(&with_system, false)
            .ok()
            .map(|text| leads(tokenizer, &text));
        let marked = |(_, lead): &(Role, Vec<u32>)| !lead.is_empty();
        let mut tokens = match told
            .filter(|leads| leads.len() == with_system.len() && leads.iter().all(marked))
        {
            Some(leads) => leads,
            None => leads(tokenizer, &self.render(&without, false)?),
        };
        tokens.extend(self.tool_lead(tokenizer));
        let specials: Vec<u32> = tokenizer.specials().iter().map(|(_, id)| *id).collect();
        let mut begins: Vec<(Role, Vec<u32>)> = Vec::new();
        for (role, lead) in &tokens {
            let others: Vec<&Vec<u32>> = tokens
                .iter()
                .filter(|(other, _)| other != role)
                .map(|(_, lead)| lead)
                .collect();
            let starts = (0..lead.len())
                .rev()
                .filter(|at| specials.contains(&lead[*at]));
            let mut runs = starts.map(|at| &lead[at..]);
            let own = runs.find(|run| !others.iter().any(|other| other.ends_with(run)));
            if let Some(run) = own.filter(|run| !begins.iter().any(|(_, known)| known == run)) {
                begins.push((*role, run.to_vec()));
            }
        }
        begins.sort_by_key(|(_, run)| std::cmp::Reverse(run.len()));
        Ok(Roles { begins })
    }
}

impl ChatTemplate {
    /// What begins the turn of a tool; none where the template knows no tools.
    fn tool_lead(&self, tokenizer: &Tokenizer) -> Option<(Role, Vec<u32>)> {
        let template = self.with_tools();
        let Form::Model(model) = &template.form else {
            return None;
        };
        let [_, user, assistant, tool] = WORDS.map(|(role, word)| (role.name(), word));
        let call = json!([{ "id": CALL, "type": "function", "function": { "name": "f", "arguments": {} } }]);
        let turns = [
            json!({ "role": user.0, "content": user.1 }),
            json!({ "role": assistant.0, "content": assistant.1, "tool_calls": call }),
            json!({ "role": tool.0, "content": tool.1, "name": "f", "tool_call_id": CALL }),
        ];
        let fields = |turn| Json::from(turn).as_object().cloned();
        let messages = turns.into_iter().filter_map(fields).collect();
        let dialog = Dialog {
            messages,
            given: model.given.clone(),
        };
        let text = model.render(dialog.whole(), false).ok()?;
        leads(tokenizer, &text)
            .into_iter()
            .find(|(role, lead)| *role == Role::Tool && !lead.is_empty())
    }
}

impl Roles {
    /// The role of each token; none before the first turn.
    pub fn of_tokens(&self, tokens: &[u32]) -> Vec<Option<Role>> {
        let mut roles = Vec::with_capacity(tokens.len());
        let mut role = None;
        for at in 0..tokens.len() {
            let found = self
                .begins
                .iter()
                .find(|(_, run)| tokens[at..].starts_with(run));
            role = found.map(|(role, _)| *role).or(role);
            roles.push(role);
        }
        roles
    }
}

/// What stands before each word: all from the word before it on, less the blanks at its end.
fn leads(tokenizer: &Tokenizer, text: &str) -> Vec<(Role, Vec<u32>)> {
    let markers = Markers::new(tokenizer.specials());
    let mut leads = Vec::new();
    let mut rest = text;
    loop {
        let found = WORDS
            .iter()
            .filter_map(|(role, word)| Some((rest.find(word)?, *role, word.len())));
        let Some((at, role, length)) = found.min_by_key(|(at, _, _)| *at) else {
            return leads;
        };
        leads.push((
            role,
            tokenizer
                .encode_parts(&markers.parts(rest[..at].trim_end()))
                .concat(),
        ));
        rest = &rest[at + length..];
    }
}
