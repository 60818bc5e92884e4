//! Where nobody named a failing test, the model is asked for one first.

use anyhow::Result;
use data::FileChange;
use data::retrieve::{Index, Query};
use rollout::agent::reproduce::{self, Reproduction};
use rollout::agent::scaffold::View;
use rollout::agent::state::WorkTree;
use rollout::agent::writer::{Words, Writer};
use rollout::draw;
use rollout::policy::Request;
use sandbox::{Job, Runner, Select};

use super::start::Start;
use super::{NeedsReview, Repairing, TREE, Wanted};
use crate::run::journal::Journal;
use crate::terminal::plain;

/// The seed of a request is drawn from the run's for this.
const TESTS: u64 = 0x7e57;

impl Repairing<'_> {
    /// The same start with a test that shows the issue as its target.
    pub(super) fn reproduced(
        &self,
        wanted: &Wanted<'_>,
        start: Start,
        index: &Index,
        words: &Words<'_>,
        writer: &mut dyn Writer,
        journal: &mut Journal,
    ) -> Result<Start> {
        if let Some(start) = journal.find("reproduction")? {
            return Ok(start);
        }
        eprintln!("no failing test is named: the model is asked for one that shows the issue");
        let mut why = String::new();
        for number in 1..=reproduce::TRIES {
            self.interrupt.check(|| "no try was begun".to_string())?;
            match self.test_of(wanted, &start, index, words, writer, u64::from(number))? {
                Ok(Reproduction { file, failing }) => {
                    let told = format!(
                        "`{}` shows the issue, and judges the repair: the model wrote it",
                        file.path
                    );
                    eprintln!("{}", plain(&told));
                    let start = Start {
                        targets: failing,
                        reproduction: Some(file),
                        ..start
                    };
                    journal.add("reproduction", &start)?;
                    return Ok(start);
                }
                Err(said) => {
                    eprintln!(
                        "{}",
                        plain(&format!("test {number} of {}: {said}", reproduce::TRIES))
                    );
                    why = said;
                }
            }
        }
        let why =
            format!("no test shows the issue ({why}); name one that fails with `--failing-test`");
        Err(NeedsReview {
            why,
            out: self.out.display().to_string(),
        }
        .into())
    }

    /// Asks for a test and runs it on the code as it is.
    fn test_of(
        &self,
        wanted: &Wanted<'_>,
        start: &Start,
        index: &Index,
        words: &Words<'_>,
        writer: &mut dyn Writer,
        number: u64,
    ) -> Result<Result<Reproduction, String>> {
        let task = start.task(&self.instance, wanted, TREE);
        let tree = WorkTree::open(self.out, &task)?;
        let related = index.related(
            &Query {
                issue: &task.statement,
                tests: &[],
            },
            self.config.related,
        );
        let budget = words
            .context
            .saturating_sub(self.config.sampling.max_new_tokens + 64);
        let view = View {
            task: &task,
            tree: &tree,
            index,
            related: &related,
            wanted: &[],
            notes: &[],
            budget,
            tokens: words.tokens,
        };
        let messages = match reproduce::ask(&view) {
            Ok(messages) => messages,
            Err(why) => return Ok(Err(why)),
        };
        let request = Request {
            messages,
            attempts: 1,
            seed: draw::key(self.seed, &[TESTS, number]),
        };
        let written = writer.write(&request, &self.config.sampling, &mut |_| {})?;
        let file = match reproduce::file_of_answer(&written.text, &tree, &task) {
            Ok(file) => file,
            Err(why) => return Ok(Err(why)),
        };
        let run = self.sandbox.run(&self.job(&tree, start, wanted, &file))?;
        Ok(reproduce::shown(file, &run))
    }

    fn job(&self, tree: &WorkTree, start: &Start, wanted: &Wanted<'_>, file: &FileChange) -> Job {
        Job {
            tree: tree.root().to_path_buf(),
            changes: vec![file.clone()],
            runner: Runner::for_language(wanted.language),
            python_path: start.python_path.clone(),
            select: Select::Ids(vec![file.path.clone()]),
            stop_at_first_failure: false,
            compared: false,
            limits: self.limits.clone(),
        }
    }
}
