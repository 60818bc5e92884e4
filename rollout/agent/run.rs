//! The loop of a repair: ask, edit, test, tell.
//!
//! In: a task, its tree, a writer, a checker. Out: a [`Repair`]. Every try is handed out as it ends, and can be handed in
//! again: a killed repair goes on with the tries that it had, without asking the model or the tests for them.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use data::edit::tree::Anchor;
use data::retrieve::{Index, Query};
use data::{FileChange, Message, Task, draw};
use sandbox::Failure;

use super::check::{Checked, Checker};
use super::queue::{self, Event, From, Next, Step};
use super::rescue::{Action, Case, Help, Rules};
use super::scaffold::{Scaffold, Talk, View};
use super::state::{Checkpoint, WorkTree};
use super::writer::{Words, Writer, Written};
use super::{AgentConfig, Refiner, ScaffoldKind};
use crate::outcome::Status;
use crate::policy::{Request, Sampling};
use crate::record::Queue;
use crate::summary::summary;

mod edit;
mod feedback;
mod repair;
mod shell;

use edit::Refused;
use feedback::{Told, told};
pub use repair::{AgentError, End, Observer, Repair, Try};
use shell::Session;

/// What is kept of an answer in the conversation.
const ANSWER_BYTES: usize = 16 << 10;
/// Tokens that stay free beside prompt and answer: a template may count a little differently.
const MARGIN: usize = 16;
/// The seed of a try is drawn from the run's for this.
const TRIES: u64 = 0xa9e7;

/// Installs a requirement, or says why not.
pub type Install<'a> = dyn Fn(&str) -> Result<(), String> + 'a;

/// What an agent works with.
pub struct Agent<'a> {
    /// How it works.
    pub config: &'a AgentConfig,
    /// Rules of the last queue.
    pub rules: &'a Rules,
    /// The folder below which the tree of the task lies.
    pub root: &'a Path,
    /// The task.
    pub task: &'a Task,
    /// The files of its tree.
    pub index: &'a Index,
    /// Runs its tests.
    pub checker: &'a Checker,
    /// The model's own measure of text.
    pub words: &'a Words<'a>,
    /// Installs a requirement from the wheel cache; none where there is no cache.
    pub install: Option<&'a Install<'a>>,
    /// From which the seeds of all tries derive.
    pub seed: u64,
}

/// Where a repair stands.
struct Working {
    tree: WorkTree,
    passing: Checkpoint,
    talk: Talk,
    /// What the next turn begins with, where the conversation begins anew.
    latest: Option<Told>,
    seen: HashSet<[u8; 32]>,
    used: BTreeMap<String, u32>,
    failed_installs: u32,
    apart: bool,
    spent: Duration,
}

impl Agent<'_> {
    /// Repairs the task. `first` is how its tests fail before any try; `before` are the tries of an earlier process.
    ///
    /// # Errors
    ///
    /// When our own machinery fails; what the model writes and what its code does are part of the [`Repair`].
    pub fn run(
        &self,
        first: Option<Checked>,
        before: Vec<Try>,
        writer: &mut dyn Writer,
        observer: &mut dyn Observer,
    ) -> Result<Repair, AgentError> {
        let tree = WorkTree::open(self.root, self.task)?;
        let best = first.as_ref().map_or(0, |first| first.passing);
        let mut working = Working {
            passing: tree.checkpoint(),
            tree,
            talk: Talk::default(),
            latest: first.map(|first| told(&first, None, &[], self)),
            seen: HashSet::new(),
            used: BTreeMap::new(),
            failed_installs: 0,
            apart: false,
            spent: Duration::ZERO,
        };
        let mut before = before.into_iter();
        let mut tries: Vec<Try> = Vec::new();
        let mut now = queue::start(&self.config.queue, best);
        let end = loop {
            let (retry, queue, from) = match now.step {
                Step::Try { retry, queue, from } => (retry, queue, from),
                Step::Resolved => break End::Repaired,
                Step::NeedsReview(why) => break End::NeedsReview(why),
            };
            let known = before.next();
            if known.is_none() && observer.stops() {
                break End::Stopped;
            }
            if known.is_none() {
                observer.begins(retry, queue, from);
            }
            let is_new = known.is_none();
            let mut one = self.attempt(
                (retry, queue, from),
                now.standing.best,
                known,
                &mut working,
                writer,
                observer,
            )?;
            now = self.decide(&now, &one, &mut working);
            one.progress = now.progress;
            if is_new {
                observer.ended(&one)?;
            }
            let quarantined = one.suspicion.clone();
            tries.push(one);
            if let Some(why) = quarantined {
                break End::Quarantined(why);
            }
        };
        self.finish(end, now, working, tries)
    }

    /// What follows a try.
    fn decide(&self, now: &Next, one: &Try, working: &mut Working) -> Next {
        working.spent += Duration::from_millis(one.tests_ms + one.model_ms);
        let event = Event {
            at: working.spent,
            passing: one.passing,
            broken: one.broken,
            resolved: one.status == Status::Pass && one.suspicion.is_none(),
            repeated: one.repeated,
            failed_installs: one.failed_installs,
        };
        let next = queue::next(&now.standing, &event, &self.config.queue);
        if next.progress {
            working.passing = working.tree.checkpoint();
        }
        next
    }

    fn finish(
        &self,
        end: End,
        now: Next,
        mut working: Working,
        tries: Vec<Try>,
    ) -> Result<Repair, AgentError> {
        if !matches!(end, End::Repaired) {
            working.tree.roll_back(&working.passing);
        }
        let patch = working.tree.patch().unwrap_or_default();
        let mut repair = Repair {
            passing: now.standing.best,
            end,
            patch,
            tries,
        };
        if repair.end == End::Repaired {
            repair.passing = self.task.fail_to_pass.len();
            if self.config.refiner == Refiner::Files {
                repair.patch = self.without_needless_files(&working, repair.patch)?;
            }
        }
        Ok(repair)
    }

    /// One try, new or known from an earlier process.
    fn attempt(
        &self,
        (retry, queue, from): (u32, Queue, From),
        best: usize,
        known: Option<Try>,
        working: &mut Working,
        writer: &mut dyn Writer,
        observer: &mut dyn Observer,
    ) -> Result<Try, AgentError> {
        if from == From::PassingState || !self.scaffold().keeps_tree() {
            working.tree.roll_back(&working.passing);
            working.talk.clear();
        }
        let helps = match &known {
            Some(known) => known.rules.clone(),
            None => self.helps(queue, working),
        };
        let (anchor, wanted) = self.help(&helps, known.is_some(), working);
        self.ask(&helps, &wanted, queue, working)?;
        let asked = working.talk.messages().to_vec();
        let answered = match &known {
            Some(known) => Answered::again(known),
            None if self.config.scaffold == ScaffoldKind::Shell => {
                let session = self.session(&asked, (retry, queue), working, writer, observer)?;
                Answered::in_shell(session)
            }
            None => self.write(&asked, retry, queue, writer, observer)?,
        };
        let written = &answered.written;
        working.talk.answered(clipped(&written.text).to_string());
        let edited = match (&known, answered.changes.clone()) {
            (_, Some(changes)) => self.make(changes, &mut working.tree),
            (Some(known), None) if self.config.scaffold == ScaffoldKind::Shell => {
                self.again(known, &mut working.tree)
            }
            (_, None) => self.edit(written, anchor, &mut working.tree),
        };
        let patch = working.tree.patch().unwrap_or_default();
        let key = match &edited {
            Ok(_) => blake3::hash(patch.text().as_bytes()),
            Err(_) => blake3::hash(written.text.as_bytes()),
        };
        let repeated = !working.seen.insert(*key.as_bytes());
        if let Some(mut known) = known {
            if known.patch != patch {
                let reason = "its edits lead to another patch".to_string();
                return Err(AgentError::Replay { retry, reason });
            }
            working.failed_installs = known.failed_installs;
            working.latest = Some(Told::again(&known));
            working.talk_on(self.config.tell_failures && self.scaffold().converses());
            known.repeated = repeated;
            return Ok(known);
        }
        let tests_began = Instant::now();
        let (checked, guarded) = self.judged(&edited, &patch, best, working)?;
        let tests = tests_began.elapsed();
        let told = told(&checked, edited.as_ref().err(), &guarded, self);
        let one = Try {
            retry,
            queue,
            from,
            asked,
            steps: answered.steps,
            commands: answered.commands,
            stuck: answered.stuck,
            answer: answered.written.text,
            stop: answered.written.stop,
            tokens: answered.written.tokens,
            guarded,
            status: checked.status,
            passing: checked.passing,
            broken: checked.broken,
            test: checked
                .failure
                .as_ref()
                .map_or_else(|| self.target(), |failure| failure.test.clone()),
            trace_bytes: checked
                .failure
                .as_ref()
                .map_or(0, |failure| failure.trace.len()),
            told: told.text.clone(),
            said: told.said.clone(),
            near: told.near.clone(),
            repeated,
            progress: false,
            rules: helps,
            failed_installs: working.failed_installs,
            suspicion: checked.suspicion,
            tests_ms: tests.as_millis() as u64,
            model_ms: answered.model.as_millis() as u64,
            ready_ms: checked
                .failed_at
                .map(|at| at.elapsed().as_secs_f64() * 1000.0),
            patch,
        };
        working.latest = Some(told);
        working.talk_on(self.config.tell_failures && self.scaffold().converses());
        Ok(one)
    }

    fn target(&self) -> String {
        self.task.fail_to_pass.first().cloned().unwrap_or_default()
    }

    /// What rules have to say to the try before; only in the last queue.
    fn helps(&self, queue: Queue, working: &Working) -> Vec<Help> {
        let Some(latest) = working.latest.as_ref().filter(|_| queue == Queue::Rescue) else {
            return Vec::new();
        };
        let form = self.scaffold().reminder();
        let case = Case {
            status: latest.status,
            said: &latest.said,
            near: latest.near.as_deref(),
            form: &form,
            tree: &working.tree,
            index: self.index,
            installs: self.install.is_some(),
        };
        self.rules.help(&case, &working.used)
    }

    /// Does what rules do, and counts it. What an earlier process installed is there.
    fn help(&self, helps: &[Help], replayed: bool, working: &mut Working) -> (Anchor, Vec<String>) {
        let (mut anchor, mut wanted) = (Anchor::Exact, Vec::new());
        for help in helps {
            *working.used.entry(help.rule.clone()).or_default() += 1;
            match help.action {
                Action::Say => {}
                Action::Show => wanted.extend(help.path.clone()),
                Action::Apart => working.apart = true,
                Action::Loose => anchor = Anchor::Loose,
                Action::RollBack => {
                    working.tree.roll_back(&working.passing);
                    working.talk.clear();
                }
                Action::Install => {
                    let (Some(install), Some(requirement)) = (self.install, &help.requirement)
                    else {
                        continue;
                    };
                    working.failed_installs +=
                        u32::from(!replayed && install(requirement).is_err());
                }
            }
        }
        // A file that has to be shown is shown at the beginning.
        if !wanted.is_empty() {
            working.talk.clear();
        }
        (anchor, wanted)
    }

    /// The next turn, in the conversation as it is or in a new one where it would not fit.
    fn ask(
        &self,
        helps: &[Help],
        wanted: &[String],
        queue: Queue,
        working: &mut Working,
    ) -> Result<(), AgentError> {
        let budget = self.prompt_budget(queue);
        let mut notes: Vec<String> = helps.iter().map(|help| help.note.clone()).collect();
        if !working.talk.is_empty() {
            let mut longer = working.talk.clone();
            let last = longer
                .messages()
                .last()
                .map(|message| message.content.clone())
                .unwrap_or_default();
            let more = if notes.is_empty() {
                last
            } else {
                format!("{last}\n\n{}", notes.join("\n\n"))
            };
            longer.replace_last(more);
            if (self.words.prompt)(longer.messages())? <= budget {
                working.talk = longer;
                return Ok(());
            }
        }
        working.talk.clear();
        if let Some(latest) = working
            .latest
            .as_ref()
            .filter(|_| self.config.tell_failures)
        {
            notes.insert(0, latest.text.clone());
        }
        let turn = self.open(&notes, wanted, budget, working)?;
        working.talk.ask(turn);
        Ok(())
    }

    fn open(
        &self,
        notes: &[String],
        wanted: &[String],
        budget: usize,
        working: &Working,
    ) -> Result<String, AgentError> {
        let query = Query {
            issue: &self.task.statement,
            tests: &self.task.fail_to_pass,
        };
        let related = self.index.related(&query, self.config.related);
        // The marks of the template take their part.
        let marks = (self.words.prompt)(&[Message::new(data::Role::User, "")])?;
        let view = View {
            task: self.task,
            tree: &working.tree,
            index: self.index,
            related: &related,
            wanted,
            notes,
            budget: budget.saturating_sub(marks + MARGIN),
            tokens: self.words.tokens,
        };
        self.scaffold().open(&view).map_err(AgentError::Prompt)
    }

    fn prompt_budget(&self, queue: Queue) -> usize {
        let left = self
            .words
            .context
            .saturating_sub(self.sampling(queue).max_new_tokens + MARGIN);
        if self.config.prompt_tokens > 0 {
            left.min(self.config.prompt_tokens)
        } else {
            left
        }
    }

    fn sampling(&self, queue: Queue) -> &Sampling {
        let own = match queue {
            Queue::Fast => None,
            Queue::Deep => self.config.deep_sampling.as_ref(),
            Queue::Rescue => self.config.rescue_sampling.as_ref(),
        };
        own.unwrap_or(&self.config.sampling)
    }

    fn scaffold(&self) -> &'static dyn Scaffold {
        self.config.scaffold.scaffold()
    }

    fn write(
        &self,
        asked: &[Message],
        retry: u32,
        queue: Queue,
        writer: &mut dyn Writer,
        observer: &mut dyn Observer,
    ) -> Result<Answered, AgentError> {
        let seed = draw::key(self.seed, &[TRIES, u64::from(retry)]);
        let request = Request {
            messages: asked.to_vec(),
            attempts: 1,
            seed,
        };
        let began = Instant::now();
        let written = writer.write(&request, self.sampling(queue), &mut |text| {
            observer.writes(text)
        })?;
        Ok(Answered::new(written, began.elapsed()))
    }

    /// A failure in the model's own tokens.
    pub(super) fn summary(&self, failure: &Failure) -> String {
        summary(failure, self.words.tokens, self.config.summary_tokens)
    }
}

/// What the model did in a try.
struct Answered {
    written: Written,
    model: Duration,
    steps: Vec<Message>,
    commands: u32,
    stuck: u32,
    /// What a shell left; none where the answer itself holds the edits.
    changes: Option<Vec<FileChange>>,
}

impl Answered {
    fn new(written: Written, model: Duration) -> Answered {
        Answered {
            written,
            model,
            steps: Vec::new(),
            commands: 0,
            stuck: 0,
            changes: None,
        }
    }

    fn again(known: &Try) -> Answered {
        let written = Written {
            text: known.answer.clone(),
            stop: known.stop,
            tokens: known.tokens,
        };
        Answered::new(written, Duration::from_millis(known.model_ms))
    }

    fn in_shell(session: Session) -> Answered {
        Answered {
            written: session.written,
            model: session.model,
            steps: session.steps,
            commands: session.commands,
            stuck: session.stuck,
            changes: Some(session.changes),
        }
    }
}

impl Working {
    /// What the tests said is the next turn.
    fn talk_on(&mut self, tell: bool) {
        match (&self.latest, tell) {
            (Some(latest), true) => self.talk.ask(latest.turn()),
            _ => self.talk.clear(),
        }
    }
}

fn clipped(text: &str) -> &str {
    let mut end = text.len().min(ANSWER_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
