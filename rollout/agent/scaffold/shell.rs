//! A shell in a work tree: the model runs commands until it submits, as mini-swe-agent has it.
//!
//! In: an answer. Out: an [`Action`]. A call is read in the form of Hermes and Qwen, Mistral or Llama 3, else one fenced
//! block of bash is the command. Every tool becomes one shell command, so that the work tree is touched inside of the
//! sandbox alone.
//! Example: of "Let me look.\n```bash\nls\n```" the action is `Run("ls")`.

use data::calls::{Call, Form, ToolCallParser};
use data::edit::tree::Anchor;
use data::{FileChange, Task};
use serde_json::Value;

use super::{Scaffold, Unread, View, cut};
use crate::agent::state::WorkTree;

/// Says, as the first line of what a command prints in other agents, that the work is done.
const SUBMITS: [&str; 2] = ["submit", "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"];
/// Lines of a file where nobody says how many.
const LINES: u64 = 100;
/// Test ids that are named.
const NAMED_TESTS: usize = 10;

/// A shell in a work tree.
pub struct Shell;

/// What the model wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run this in the shell.
    Run(String),
    /// The work is done.
    Submit,
}

const FORM: &str = "Write one short thought, then one command in a block:

```bash
the command
```

Or call one of the tools, in the form that you know: `bash` {\"command\"}, `view` {\"path\", \"start\", \"end\"}, \
`search` {\"pattern\", \"path\"}, `edit` {\"path\", \"search\", \"replace\"}, `test` {}, `submit` {}.

Every command is a fresh process in the repository, without input and without network; files stay, variables do not. \
When the work is done, the command is `submit`. Tests are not changed. Keep as much of the code as possible.";

const EDIT: &str = "import sys
path, old, new = sys.argv[1:4]
text = open(path).read() if old else ''
if text.count(old) != 1 and old:
    sys.exit('the lines to replace stand in `%s` %d times, not once' % (path, text.count(old)))
open(path, 'w').write(text.replace(old, new) if old else new)
print('edited', path)";

impl Scaffold for Shell {
    fn name(&self) -> &'static str {
        "shell"
    }

    fn uses_focus(&self) -> bool {
        false
    }

    fn converses(&self) -> bool {
        false
    }

    fn keeps_tree(&self) -> bool {
        true
    }

    fn open(&self, view: &View<'_>) -> Result<String, String> {
        let task = view.task;
        let issue = cut(&task.statement, view.budget / 4, view.tokens);
        let named: Vec<&str> = task
            .fail_to_pass
            .iter()
            .take(NAMED_TESTS)
            .map(String::as_str)
            .collect();
        let mut text = format!(
            "Repair this repository. You have a shell in it.\n\n<issue>\n{}\n</issue>\n\nThese tests must pass: {}\n",
            issue.trim_end(),
            named.join(", ")
        );
        let fits = |text: &str| (view.tokens)(&format!("{text}\n{FORM}\n")) <= view.budget;
        if !fits(&text) {
            return Err(format!("a prompt does not fit into {} tokens", view.budget));
        }
        let related: Vec<&str> = view.related.iter().map(|one| one.path.as_str()).collect();
        let related = format!("\nFiles that may matter: {}\n", related.join(", "));
        let notes = view.notes.iter().map(|note| format!("\n{note}\n"));
        for more in notes.chain([related]) {
            let longer = format!("{text}{more}");
            if fits(&longer) {
                text = longer;
            }
        }
        Ok(format!("{text}\n{FORM}\n"))
    }

    fn read(&self, _: &str, _: &Task, _: &WorkTree, _: Anchor) -> Result<Vec<FileChange>, Unread> {
        Err(Unread::NoEdit("edits are made in the shell".into()))
    }

    fn reminder(&self) -> String {
        FORM.to_string()
    }
}

/// What an answer wants.
///
/// # Errors
///
/// In words for the model, when it wants nothing, too much, or a tool that there is not.
pub fn action(answer: &str, task: &Task) -> Result<Action, String> {
    let form = if answer.contains("<tool_call>") {
        Some(Form::Hermes)
    } else if answer.contains("[TOOL_CALLS]") {
        Some(Form::Mistral)
    } else if answer.trim_start().starts_with(['{', '<']) {
        Some(Form::Llama)
    } else {
        None
    };
    let (_, calls) = ToolCallParser::new(form, usize::MAX).push(answer, true);
    match (calls.as_slice(), fences(answer).as_slice()) {
        ([call], _) => of_call(call, task),
        ([], [command]) => Ok(of_command(command)),
        ([], []) => Err("The answer holds no command.".into()),
        _ => Err("The answer holds more than one command; write one.".into()),
    }
}

fn of_command(command: &str) -> Action {
    let command = command.trim();
    if SUBMITS.contains(&command) {
        Action::Submit
    } else {
        Action::Run(command.to_string())
    }
}

fn of_call(call: &Call, task: &Task) -> Result<Action, String> {
    let told: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
    let text = |name: &str| {
        let missing = || format!("`{}` needs `{name}` as a text.", call.name);
        told[name].as_str().ok_or_else(missing)
    };
    let run = |command: String| Ok(Action::Run(command));
    match call.name.as_str() {
        "bash" => Ok(of_command(text("command")?)),
        "view" => {
            let start = told["start"].as_u64().unwrap_or(1).max(1);
            let end = told["end"].as_u64().unwrap_or(start.saturating_add(LINES));
            run(format!(
                "cat -n -- {} | sed -n '{start},{end}p'",
                quoted(text("path")?)
            ))
        }
        "search" => run(format!(
            "grep -rnI -e {} -- {}",
            quoted(text("pattern")?),
            quoted(told["path"].as_str().unwrap_or("."))
        )),
        "edit" => run(format!(
            "python3 -c {} {} {} {}",
            quoted(EDIT),
            quoted(text("path")?),
            quoted(text("search")?),
            quoted(text("replace")?)
        )),
        "test" => {
            let ids: Vec<String> = task.fail_to_pass.iter().map(|id| quoted(id)).collect();
            run(format!(
                "python3 -m pytest -q -x -p no:cacheprovider {}",
                ids.join(" ")
            ))
        }
        "submit" => Ok(Action::Submit),
        other => Err(format!("There is no tool `{other}`.")),
    }
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The fenced blocks of bash.
fn fences(answer: &str) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), None::<String>);
    for line in answer.lines() {
        let mark = line.trim_end();
        match &mut open {
            None if ["```bash", "```sh", "```shell", "```mswea_bash_command"].contains(&mark) => {
                open = Some(String::new());
            }
            None => {}
            Some(_) if mark == "```" => found.extend(open.take()),
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::example::task;

    fn run(command: &str) -> Result<Action, String> {
        Ok(Action::Run(command.to_string()))
    }

    #[test]
    fn a_command_is_read_in_every_form_that_templates_have() {
        let task = task("sum");
        let forms = [
            "I look.\n```bash\nls -a\n```\n",
            "I look.\n<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\": \"ls -a\"}}\n</tool_call>",
            "[TOOL_CALLS][{\"name\": \"bash\", \"arguments\": {\"command\": \"ls -a\"}}]",
            "{\"name\": \"bash\", \"parameters\": {\"command\": \"ls -a\"}}",
        ];
        for form in forms {
            assert_eq!(action(form, &task), run("ls -a"), "{form}");
        }
        assert_eq!(action("```bash\nsubmit\n```", &task), Ok(Action::Submit));
        assert!(action("I am done.", &task).is_err());
        assert!(action("```bash\na\n```\n```bash\nb\n```", &task).is_err());
        assert!(action("{\"name\": \"fly\", \"parameters\": {}}", &task).is_err());
    }

    #[test]
    fn what_a_tool_is_given_stays_one_word_of_the_shell() {
        let call = "{\"name\": \"search\", \"parameters\": {\"pattern\": \"it's; rm -r .\"}}";
        let expected = "grep -rnI -e 'it'\\''s; rm -r .' -- '.'";
        assert_eq!(action(call, &task("sum")), run(expected));
    }
}
