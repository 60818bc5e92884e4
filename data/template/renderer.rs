//! A template of unknown origin is filled in by a process of its own: a few lines of it can ask for all memory there is.
//!
//! The process is started with the first conversation, lives as long as the template, and takes one question after the
//! other; each is a line of JSON, and so is each answer. One that dies or is silent ends with its question.

use std::fmt;
use std::io::{self, BufRead, Write};
use std::process::Stdio;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dialog::{Dialog, Turns};
use super::engine::{Engine, Fault, MAX_OUTPUT, Source};
use crate::child::{self, Child};

/// The argument that turns our program into one that fills in templates.
pub(crate) const CHILD_ARGUMENT: &str = "render-chat";
/// The most memory of that process: its program, the conversation, and what the template makes of it.
const MEMORY: u64 = 2 << 30;
/// How long it may think about one conversation.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer: every letter of the text may be written as an escape of six.
const LONGEST_ANSWER: usize = 6 * MAX_OUTPUT + 64;

/// As it is asked.
#[derive(Serialize)]
struct Question<'a> {
    dialog: Turns<'a>,
    add_generation_prompt: bool,
}

/// As the child hears it.
#[derive(Deserialize)]
struct Heard {
    dialog: Dialog,
    add_generation_prompt: bool,
}

/// A template that compiles.
pub(super) struct Renderer {
    pub(super) source: Source,
    engine: Engine,
    child: Mutex<Option<Child>>,
}

impl fmt::Debug for Renderer {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.debug_struct("Renderer")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Renderer {
    /// Compiles a template.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub(super) fn new(source: Source) -> Result<Renderer, Fault> {
        let engine = Engine::new(&source)?;
        Ok(Renderer {
            source,
            engine,
            child: Mutex::new(None),
        })
    }

    /// Whether the template asks for `name`.
    pub(super) fn asks_for(&self, name: &str) -> bool {
        self.engine.asks_for(name)
    }

    /// The conversation as text.
    ///
    /// # Errors
    ///
    /// As [`Engine::render`], and when the template takes too much memory or time.
    pub(super) fn render(
        &self,
        dialog: Turns,
        add_generation_prompt: bool,
    ) -> Result<String, Fault> {
        let no_child = |error| {
            Fault::Broken(format!(
                "a process that fills it in cannot be started: {error}"
            ))
        };
        let Some(program) = child::program().map_err(no_child)? else {
            return self.engine.render(dialog, add_generation_prompt);
        };
        let mut place = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // A child that fails is not put back.
        let mut child = match place.take() {
            Some(child) => child,
            None => self.start(program).map_err(no_child)?,
        };
        let question = Question {
            dialog,
            add_generation_prompt,
        };
        // One that died while it was asked is noticed when it does not answer.
        let _ = ask(&mut child, &question);
        match child.lines.recv_timeout(TIMEOUT) {
            Ok(line) => {
                let nonsense =
                    |error| Fault::Broken(format!("its process answers with nonsense: {error}"));
                let text =
                    serde_json::from_slice::<Result<String, Fault>>(&line).map_err(nonsense)?;
                *place = Some(child);
                text
            }
            Err(RecvTimeoutError::Timeout) => Err(Fault::Broken(format!(
                "it takes longer than {} s",
                TIMEOUT.as_secs()
            ))),
            Err(RecvTimeoutError::Disconnected) => {
                let most = MEMORY >> 20;
                Err(Fault::Broken(format!(
                    "it brought its process to {}; it may use {most} MiB",
                    child.end()
                )))
            }
        }
    }

    fn start(&self, program: &std::path::Path) -> io::Result<Child> {
        let mut child = Child::start(program, CHILD_ARGUMENT, &[], Stdio::piped(), LONGEST_ANSWER)?;
        ask(&mut child, &self.source)?;
        Ok(child)
    }
}

fn ask<T: Serialize>(child: &mut Child, question: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    let input = child.input()?;
    input.write_all(&line)?;
    input.flush()
}

/// The child: limits first, then the template, then one conversation after the other.
pub(crate) fn serve(_numbers: &[u64]) -> io::Result<()> {
    child::limit(MEMORY, None)?;
    let mut lines = io::stdin().lock().lines();
    let source: Source = serde_json::from_str(&lines.next().ok_or(io::ErrorKind::UnexpectedEof)??)?;
    let engine = Engine::new(&source).map_err(|fault| io::Error::other(format!("{fault:?}")))?;
    let mut out = io::stdout().lock();
    for line in lines {
        let text = match serde_json::from_str::<Heard>(&line?) {
            Ok(heard) => engine.render(heard.dialog.whole(), heard.add_generation_prompt),
            Err(error) => Err(Fault::Broken(format!(
                "the conversation cannot be passed to it: {error}"
            ))),
        };
        let mut answer = serde_json::to_vec(&text)?;
        answer.push(b'\n');
        out.write_all(&answer)?;
        out.flush()?;
    }
    Ok(())
}
