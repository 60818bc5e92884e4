//! One try in a shell: commands until the model submits or a limit is reached.
//!
//! In: the first turn. Out: every further turn, and the files that differ. Whatever ends it, what was done counts: the tests
//! judge the tree as it is then, in another sandbox.

use std::time::{Duration, Instant};

use data::{FileChange, Message, Role, draw};
use sandbox::workspace::{CommandEnd, CommandRun};

use super::{Agent, AgentError, Observer, TRIES, Working, clipped};
use crate::agent::scaffold::shell::{Action, action};
use crate::agent::writer::{Writer, Written};
use crate::policy::Request;
use crate::record::Queue;

/// Answers in a row that hold no command, after which a try ends.
const MOST_UNREAD: u32 = 3;
/// What stands for an output that was taken out because the conversation was too long.
const ELIDED: &str = "[an earlier output]";

/// What came of a try in a shell.
pub(super) struct Session {
    /// The last answer, with the tokens of all.
    pub written: Written,
    /// The turns after the first one, up to the last answer.
    pub steps: Vec<Message>,
    /// Commands that ran.
    pub commands: u32,
    /// Commands that were the same as the one before, for the third time or more.
    pub stuck: u32,
    /// Text files that differ afterwards.
    pub changes: Vec<FileChange>,
    /// Time of the model.
    pub model: Duration,
}

impl Session {
    fn new() -> Session {
        Session {
            written: Written {
                text: String::new(),
                stop: data::sampling::Stop::EndOfTurn,
                tokens: 0,
            },
            steps: Vec::new(),
            commands: 0,
            stuck: 0,
            changes: Vec::new(),
            model: Duration::ZERO,
        }
    }
}

impl Agent<'_> {
    /// Has the model run commands until it submits, says the same too often or has no answers left.
    pub(super) fn session(
        &self,
        asked: &[Message],
        (retry, queue): (u32, Queue),
        working: &Working,
        writer: &mut dyn Writer,
        observer: &mut dyn Observer,
    ) -> Result<Session, AgentError> {
        let limits = &self.config.shell;
        let mut work = self.checker.workspace(self.task, &working.tree, limits)?;
        let mut turns = asked.to_vec();
        let (mut latest, mut same, mut unread) = (String::new(), 0, 0);
        let mut session = Session::new();
        for step in 0..limits.steps {
            if observer.stops() || !self.shorten(&mut turns, queue)? {
                break;
            }
            let request = Request {
                messages: turns.clone(),
                attempts: 1,
                seed: draw::key(self.seed, &[TRIES, u64::from(retry), u64::from(step)]),
            };
            let began = Instant::now();
            let sampling = self.sampling(queue);
            let written = writer.write(&request, sampling, &mut |text| observer.writes(text))?;
            session.model += began.elapsed();
            let tokens = session.written.tokens + written.tokens;
            turns.push(Message::new(Role::Assistant, clipped(&written.text)));
            let wanted = if written.stop.is_truncated() {
                Err("The answer was cut off because it was too long.".to_string())
            } else {
                action(&written.text, self.task)
            };
            session.written = Written { tokens, ..written };
            let told = match wanted {
                Ok(Action::Submit) => break,
                Ok(Action::Run(command)) => {
                    unread = 0;
                    same = if command == latest { same + 1 } else { 1 };
                    let mut told = told(&work.run(&command)?);
                    session.commands += 1;
                    if same >= limits.stuck_after {
                        session.stuck += 1;
                        told.push_str(
                            "\nThis was the same command again: do something else, or submit.",
                        );
                    }
                    latest = command;
                    told
                }
                Err(why) => {
                    unread += 1;
                    format!("{why} {}", self.scaffold().reminder())
                }
            };
            if unread >= MOST_UNREAD || same >= 2 * limits.stuck_after {
                break;
            }
            turns.push(Message::new(Role::User, told));
        }
        session.steps = turns.split_off(asked.len());
        session.changes = work.changes().0;
        Ok(session)
    }

    /// Takes the oldest outputs out where the conversation does not fit; false where that is not enough.
    fn shorten(&self, turns: &mut [Message], queue: Queue) -> Result<bool, AgentError> {
        let budget = self.prompt_budget(queue);
        let mut at = 1;
        while (self.words.prompt)(turns)? > budget {
            let outputs = turns.len().saturating_sub(1);
            let Some(old) = (at..outputs).find(|at| {
                turns[*at].role == Role::User && turns[*at].content.len() > ELIDED.len()
            }) else {
                return Ok(false);
            };
            turns[old].content = ELIDED.to_string();
            at = old + 1;
        }
        Ok(true)
    }
}

/// What a command did, for the model.
fn told(run: &CommandRun) -> String {
    let end = match run.end {
        CommandEnd::Exited(status) => format!("exit status {status}"),
        CommandEnd::TimedOut => "it did not end in time and was killed".to_string(),
        CommandEnd::OutOfMemory => "it used too much memory and was killed".to_string(),
    };
    let lost = match &run.lost {
        Some(why) => format!("\nIts changes of files are taken back: {why}."),
        None => String::new(),
    };
    format!(
        "<output>\n{}\n</output>\n{end}{lost}",
        run.output().trim_end()
    )
}
