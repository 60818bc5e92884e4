//! Which task comes next, and which group may train.
//!
//! In: graded attempts. Out: the next task to draw, and the groups of a step.
//! Example: with rewards `[1, 1, 1, 1]` the group is dropped as `all_resolved`, because equal rewards teach nothing,
//! and another task is drawn in its place; a third informative group where two are wanted waits for the next step.
//!
//! All of it is one value that is saved with the model: a resumed run goes on with the same tasks, seeds and groups.

use std::collections::{BTreeMap, VecDeque};

use data::draw;
use data::mixture::Order;
use serde::{Deserialize, Serialize};

use crate::advantage::Estimator;
use crate::group::{Group, GroupError};
use crate::trajectory::{Overlong, Trajectory};

mod ledger;
mod stages;

pub use ledger::{DropReason, Ledger, LedgerError};
pub use stages::{DroppedTask, Stages, Tally};

/// The format number written with every curriculum; a reader refuses another.
pub const CURRICULUM_FORMAT: u32 = 1;

/// How groups are drawn and compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CurriculumConfig {
    /// Informative groups of one step.
    pub groups_per_step: usize,
    /// Groups drawn for one step at most; then the step trains what there is.
    pub max_draws_per_step: usize,
    /// What a reward becomes.
    pub advantage: Estimator,
    /// What happens to attempts that were cut off.
    pub overlong: Overlong,
    /// Two stages: easy tasks leave after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stages: Option<Stages>,
}

impl Default for CurriculumConfig {
    fn default() -> Self {
        CurriculumConfig {
            groups_per_step: 8,
            max_draws_per_step: 32,
            advantage: Estimator::default(),
            overlong: Overlong::default(),
            stages: None,
        }
    }
}

/// A group to be made: this task, with all randomness from this seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draw {
    /// Number of the group, counted over the whole run.
    pub group: u64,
    /// Index of the task.
    pub task: usize,
    /// For [`crate::policy::Request::seed`].
    pub seed: u64,
}

/// What became of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It waits for its step.
    Ready,
    /// It will not be trained.
    Dropped(DropReason),
}

/// Why a curriculum cannot go on.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CurriculumError {
    /// A setting makes no sense.
    #[error("`{setting}` must be {range}")]
    Range {
        /// Name of the setting.
        setting: &'static str,
        /// What is allowed.
        range: &'static str,
    },
    /// There is nothing to draw from.
    #[error("there is no task to train on")]
    NoTasks,
    /// The saved state belongs to other tasks, another seed or another configuration.
    #[error("the saved curriculum has another {0}, so it cannot be resumed")]
    Other(&'static str),
    /// The groups' count is wrong.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Attempts that are no group.
    #[error(transparent)]
    Group(#[from] GroupError),
}

/// The next tasks, the waiting groups and the books over both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curriculum {
    #[serde(deserialize_with = "crate::format::only::<_, CURRICULUM_FORMAT>")]
    format: u32,
    config: CurriculumConfig,
    seed: u64,
    /// Ids of all tasks; a [`Draw`] names a task by its place here.
    task_ids: Vec<String>,
    /// Places of the tasks that are drawn in this stage.
    active: Vec<usize>,
    /// 1 or 2.
    stage: u32,
    /// Draws in this stage so far.
    position: u64,
    /// Steps ended so far.
    step: u64,
    /// Draws for the step that comes next.
    draws_in_step: usize,
    /// Drawn, but not graded yet.
    open: BTreeMap<u64, Draw>,
    /// Informative, but not trained yet; oldest first.
    ready: VecDeque<Group>,
    ledger: Ledger,
    tallies: BTreeMap<String, Tally>,
    dropped_tasks: Vec<DroppedTask>,
}

/// The task at `position` of an endless order over `active`: each epoch holds every task once, in its own order.
pub fn task_at(seed: u64, stage: u32, active: &[usize], position: u64) -> usize {
    active[Order::new(active.len(), draw::key(seed, &[1, stage.into()])).index(position)]
}

impl Curriculum {
    /// The beginning of a run.
    ///
    /// # Errors
    ///
    /// When there is no task, or a setting is out of its range.
    pub fn new(
        config: CurriculumConfig,
        seed: u64,
        task_ids: Vec<String>,
    ) -> Result<Self, CurriculumError> {
        if config.groups_per_step == 0 {
            return Err(CurriculumError::Range {
                setting: "groups_per_step",
                range: "1 or more",
            });
        }
        if config.max_draws_per_step < config.groups_per_step {
            return Err(CurriculumError::Range {
                setting: "max_draws_per_step",
                range: "`groups_per_step` or more",
            });
        }
        config.stages.as_ref().map_or(Ok(()), Stages::check)?;
        if task_ids.is_empty() {
            return Err(CurriculumError::NoTasks);
        }
        Ok(Curriculum {
            format: CURRICULUM_FORMAT,
            config,
            seed,
            active: (0..task_ids.len()).collect(),
            task_ids,
            stage: 1,
            position: 0,
            step: 0,
            draws_in_step: 0,
            open: BTreeMap::new(),
            ready: VecDeque::new(),
            ledger: Ledger::default(),
            tallies: BTreeMap::new(),
            dropped_tasks: Vec::new(),
        })
    }

    /// Goes on from a saved curriculum, if it belongs to this run.
    ///
    /// # Errors
    ///
    /// When the saved one has other tasks, another seed or configuration, or its books do not balance.
    pub fn resume(self, saved: Curriculum) -> Result<Self, CurriculumError> {
        let differences = [
            ("configuration", self.config != saved.config),
            ("seed", self.seed != saved.seed),
            ("set of tasks", self.task_ids != saved.task_ids),
        ];
        if let Some((name, _)) = differences.iter().find(|(_, differs)| *differs) {
            return Err(CurriculumError::Other(name));
        }
        saved.check()?;
        Ok(saved)
    }

    /// How many groups to draw now: what the step still misses, as far as its budget reaches.
    ///
    /// 0 when the step is full, its budget is spent, or no task is left. Groups that are drawn but not graded count.
    pub fn wanted(&self) -> usize {
        if self.active.is_empty() {
            return 0;
        }
        let missing = self
            .config
            .groups_per_step
            .saturating_sub(self.ready.len() + self.open.len());
        missing.min(
            self.config
                .max_draws_per_step
                .saturating_sub(self.draws_in_step),
        )
    }

    /// Draws the next [`Curriculum::wanted`] groups.
    ///
    /// # Errors
    ///
    /// When a group was drawn twice, which is a bug.
    pub fn draw(&mut self) -> Result<Vec<Draw>, CurriculumError> {
        let wanted = self.wanted();
        let draw = |_| {
            let group = self.ledger.yielded_total();
            let task = task_at(self.seed, self.stage, &self.active, self.position);
            let draw = Draw {
                group,
                task,
                seed: draw::key(self.seed, &[2, group]),
            };
            self.ledger.yielded(group)?;
            self.open.insert(group, draw);
            self.position += 1;
            self.draws_in_step += 1;
            Ok(draw)
        };
        (0..wanted).map(draw).collect()
    }

    /// Groups that were drawn and not given back; after a resume they are attempted again.
    pub fn open(&self) -> impl Iterator<Item = Draw> + '_ {
        self.open.values().copied()
    }

    /// Gives the graded attempts of a drawn group back; `lost` of its attempts have no verdict.
    ///
    /// # Errors
    ///
    /// When the group is not open, its attempts are at another task, or a reward is not finite.
    pub fn give(
        &mut self,
        group: u64,
        trajectories: Vec<Trajectory>,
        lost: usize,
    ) -> Result<Admission, CurriculumError> {
        let draw = *self
            .open
            .get(&group)
            .ok_or(LedgerError::NotInFlight(group))?;
        let task = &self.task_ids[draw.task];
        if let Some(other) = trajectories
            .iter()
            .find(|trajectory| trajectory.task_id != *task)
        {
            let other = other.task_id.clone();
            return Err(GroupError::Mixed {
                id: group,
                task: task.clone(),
                other,
            }
            .into());
        }
        let tally = Tally::from_trajectories(&trajectories);
        let compared = match Group::new(
            group,
            trajectories,
            &self.config.advantage,
            self.config.overlong,
        ) {
            Ok(compared) => Some(compared),
            Err(GroupError::TooFew { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        self.open.remove(&group);
        self.tallies.entry(task.clone()).or_default().add(tally);
        self.ledger.lost(lost as u64);
        let admission = admission(compared.as_ref());
        match (admission, compared) {
            (Admission::Ready, Some(compared)) => self.ready.push_back(compared),
            (Admission::Dropped(reason), _) => self.ledger.dropped(group, reason)?,
            (Admission::Ready, None) => unreachable!("only a compared group is ready"),
        }
        Ok(admission)
    }

    /// The groups of the step that comes next, oldest first; fewer than wanted where the budget is spent.
    pub fn batch(&self) -> impl ExactSizeIterator<Item = &Group> {
        self.ready.iter().take(self.config.groups_per_step)
    }

    /// True where the step would train fewer groups than wanted: it goes on, but has to say so.
    pub fn is_short(&self) -> bool {
        self.ready.len() < self.config.groups_per_step
    }

    /// Groups that wait for a later step than the next.
    pub fn surplus(&self) -> usize {
        self.ready.len().saturating_sub(self.config.groups_per_step)
    }

    /// Ends a step: the batch was trained (or was empty), the books are checked, the stage may change.
    /// Gives the tasks that leave with the first stage.
    ///
    /// # Errors
    ///
    /// When the books do not balance.
    pub fn end_step(&mut self) -> Result<&[DroppedTask], CurriculumError> {
        let trained = self.batch().len();
        for group in self.ready.drain(..trained) {
            self.ledger.trained(group.id())?;
        }
        self.step += 1;
        self.draws_in_step = 0;
        self.check()?;
        let ends = self
            .config
            .stages
            .as_ref()
            .filter(|stages| self.stage == 1 && self.step == stages.first_steps);
        let Some(stages) = ends else { return Ok(&[]) };
        let easy = |place: &usize| stages.drops(self.tallies.get(&self.task_ids[*place]));
        let (easy, active): (Vec<usize>, Vec<usize>) = self.active.iter().copied().partition(easy);
        self.dropped_tasks = Vec::from_iter(easy.iter().map(|place| {
            let task_id = self.task_ids[*place].clone();
            let Tally {
                attempts,
                successes,
            } = self.tallies[&task_id];
            DroppedTask {
                task_id,
                attempts,
                successes,
            }
        }));
        (self.stage, self.active, self.position) = (2, active, 0);
        Ok(&self.dropped_tasks)
    }

    /// Checks the books: the ledger's sum, and that what is in flight is open or ready, each once.
    ///
    /// # Errors
    ///
    /// When a group is missing or counted twice.
    pub fn check(&self) -> Result<(), LedgerError> {
        self.ledger.check()?;
        let mut here: Vec<u64> = self
            .open
            .keys()
            .copied()
            .chain(self.ready.iter().map(Group::id))
            .collect();
        here.sort_unstable();
        let flying: Vec<u64> = self.ledger.in_flight().collect();
        let stranger = here
            .iter()
            .chain(&flying)
            .find(|id| !(here.contains(id) && flying.contains(id)));
        let twice = here
            .windows(2)
            .find(|pair| pair[0] == pair[1])
            .map(|pair| pair[0]);
        match (stranger, twice) {
            (Some(id), _) => Err(LedgerError::NotInFlight(*id)),
            (None, Some(id)) => Err(LedgerError::Twice(id)),
            (None, None) => Ok(()),
        }
    }

    /// What became of every group.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// 1, or 2 after the easy tasks have left.
    pub fn stage(&self) -> u32 {
        self.stage
    }

    /// Steps ended so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Tasks that are drawn in this stage.
    pub fn active_tasks(&self) -> usize {
        self.active.len()
    }

    /// Attempts and successes of every task seen.
    pub fn tallies(&self) -> &BTreeMap<String, Tally> {
        &self.tallies
    }

    /// The tasks that left with the first stage.
    pub fn dropped_tasks(&self) -> &[DroppedTask] {
        &self.dropped_tasks
    }
}

/// Which group may train: one with successes and failures.
fn admission(group: Option<&Group>) -> Admission {
    match group {
        None => Admission::Dropped(DropReason::TooFewAttempts),
        Some(group) if group.successes() == 0 => Admission::Dropped(DropReason::AllFailed),
        Some(group) if group.successes() == group.attempts() => {
            Admission::Dropped(DropReason::AllResolved)
        }
        Some(group) if !group.is_informative() => Admission::Dropped(DropReason::Masked),
        Some(_) => Admission::Ready,
    }
}

#[cfg(test)]
mod tests;
