//! Which try comes next: three queues with budgets of their own, and roll-back (R5).
//!
//! In: what became of a try, and when. Out: the next try and where it starts from, or the end. Pure: no clock, no tree.
//! Example: with the usual settings the fourth try is the first of `Deep` and starts from the passing state; after three
//! tries in a row without progress the next one starts from there again; after twenty the task needs review.
//!
//! The **passing state** is the checkpoint with the most target tests passing and none broken; before any try it is the
//! base tree. A try makes **progress** where it leads to a better passing state.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::record::Queue;

mod deep;
mod fast;
mod rescue;

/// Budgets of the queues.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// Tries in all.
    pub max_retry: u32,
    /// Tries of the first queue; it never rolls back.
    pub fast: u32,
    /// Tries of the second queue. What `max_retry` allows beyond all three belongs to it.
    pub deep: u32,
    /// Tries of the third queue, which rules help.
    pub rescue: u32,
    /// So many tries in a row without progress return to the passing state.
    pub rollback_threshold: u32,
    /// Share of a queue's tries that wrote a patch that was written before, from which the next queue takes over early;
    /// 0 for never. It counts from the second try of a queue on.
    pub agreement: f64,
    /// Failed installations after which a person is asked.
    pub max_failed_installs: u32,
    /// Seconds after which no further try begins; 0 for no limit.
    pub time_limit_s: u64,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            max_retry: 20,
            fast: 3,
            deep: 10,
            rescue: 7,
            rollback_threshold: 3,
            agreement: 0.0,
            max_failed_installs: 3,
            time_limit_s: 0,
        }
    }
}

impl QueueConfig {
    /// What is out of its range, in words.
    pub fn problem(&self) -> Option<String> {
        if self.max_retry == 0 {
            return Some("`max_retry` is 0, but must be at least 1".into());
        }
        if self.rollback_threshold == 0 {
            return Some("`rollback_threshold` is 0, but must be at least 1".into());
        }
        if !(0.0..=1.0).contains(&self.agreement) {
            return Some(format!(
                "`agreement` is {}, but must be between 0 and 1",
                self.agreement
            ));
        }
        None
    }

    fn budget(&self, queue: Queue) -> u32 {
        match queue {
            Queue::Fast => self.fast,
            Queue::Deep => self
                .deep
                .max(self.max_retry.saturating_sub(self.fast + self.rescue)),
            Queue::Rescue => self.rescue,
        }
    }
}

/// What became of a try.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Event {
    /// Since the start.
    pub at: Duration,
    /// Target tests that pass.
    pub passing: usize,
    /// Whether a test fails that passed before.
    pub broken: bool,
    /// Whether a fresh sandbox found every test as it has to be.
    pub resolved: bool,
    /// Whether the same patch was written before.
    pub repeated: bool,
    /// Installations that failed so far.
    pub failed_installs: u32,
}

/// Where a try starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// The tree as the try before left it.
    Here,
    /// The passing state.
    PassingState,
}

/// Why a person has to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Review {
    /// All tries are spent.
    Spent,
    /// The time is.
    OutOfTime,
    /// Installations failed too often.
    Installs,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another try.
    Try {
        /// Its number, from 1.
        retry: u32,
        /// Its budget.
        queue: Queue,
        /// Where it starts from.
        from: From,
    },
    /// It is repaired.
    Resolved,
    /// The label `needs_review`.
    NeedsReview(Review),
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The queue of the latest try.
    pub queue: Queue,
    /// Tries so far.
    pub tries: u32,
    /// Those of this queue.
    pub in_queue: u32,
    /// Target tests that pass in the passing state.
    pub best: usize,
    /// Tries in a row without progress.
    pub without_progress: u32,
    /// Tries of this queue that wrote a patch that was written before.
    pub repeated: u32,
}

/// A step, and what led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Where the task stands now.
    pub standing: Standing,
    /// What is done next.
    pub step: Step,
    /// Whether the try made progress: the tree that it left is the passing state.
    pub progress: bool,
}

/// The first try. `best` target tests pass before it.
pub fn start(config: &QueueConfig, best: usize) -> Next {
    let standing = Standing {
        queue: Queue::Fast,
        tries: 0,
        in_queue: 0,
        best,
        without_progress: 0,
        repeated: 0,
    };
    let standing = first_with_budget(standing, config);
    let step = match standing {
        Some(standing) => Step::Try {
            retry: 1,
            queue: standing.queue,
            from: From::PassingState,
        },
        None => Step::NeedsReview(Review::Spent),
    };
    Next {
        standing: standing.unwrap_or(Standing {
            queue: Queue::Rescue,
            ..BEFORE
        }),
        step,
        progress: false,
    }
}

const BEFORE: Standing = Standing {
    queue: Queue::Fast,
    tries: 0,
    in_queue: 0,
    best: 0,
    without_progress: 0,
    repeated: 0,
};

/// What follows a try.
pub fn next(standing: &Standing, event: &Event, config: &QueueConfig) -> Next {
    let progress = !event.broken && event.passing > standing.best;
    let now = Standing {
        tries: standing.tries + 1,
        in_queue: standing.in_queue + 1,
        best: if progress {
            event.passing
        } else {
            standing.best
        },
        without_progress: if progress {
            0
        } else {
            standing.without_progress + 1
        },
        repeated: standing.repeated + u32::from(event.repeated),
        ..*standing
    };
    let (standing, step) = if event.resolved {
        (now, Step::Resolved)
    } else if event.failed_installs >= config.max_failed_installs.max(1) {
        (now, Step::NeedsReview(Review::Installs))
    } else if now.tries >= config.max_retry {
        (now, Step::NeedsReview(Review::Spent))
    } else if config.time_limit_s > 0 && event.at >= Duration::from_secs(config.time_limit_s) {
        (now, Step::NeedsReview(Review::OutOfTime))
    } else {
        match now.queue {
            Queue::Fast => fast::next(now, config),
            Queue::Deep => deep::next(now, config),
            Queue::Rescue => rescue::next(now, config),
        }
    };
    Next {
        standing,
        step,
        progress,
    }
}

/// Another try of the same queue, from where the tree stands.
fn go_on(standing: Standing) -> (Standing, Step) {
    let step = Step::Try {
        retry: standing.tries + 1,
        queue: standing.queue,
        from: From::Here,
    };
    (standing, step)
}

/// Another try of the same queue, from the passing state where there was no progress for long.
fn go_on_or_roll_back(standing: Standing, config: &QueueConfig) -> (Standing, Step) {
    if standing.without_progress < config.rollback_threshold {
        return go_on(standing);
    }
    let step = Step::Try {
        retry: standing.tries + 1,
        queue: standing.queue,
        from: From::PassingState,
    };
    (
        Standing {
            without_progress: 0,
            ..standing
        },
        step,
    )
}

/// Whether a queue has no more tries, or its tries say the same again and again.
fn is_over(standing: &Standing, config: &QueueConfig) -> bool {
    let agree = f64::from(standing.repeated) / f64::from(standing.in_queue.max(1));
    let stuck = config.agreement > 0.0 && standing.in_queue >= 2 && agree >= config.agreement;
    standing.in_queue >= config.budget(standing.queue) || stuck
}

/// The first try of a later queue, from the passing state.
fn move_to(queue: Queue, standing: Standing, config: &QueueConfig) -> (Standing, Step) {
    let moved = Standing {
        queue,
        in_queue: 0,
        repeated: 0,
        without_progress: 0,
        ..standing
    };
    match first_with_budget(moved, config) {
        Some(moved) => {
            let step = Step::Try {
                retry: moved.tries + 1,
                queue: moved.queue,
                from: From::PassingState,
            };
            (moved, step)
        }
        None => (standing, Step::NeedsReview(Review::Spent)),
    }
}

/// The same in this queue, or in the first later one that has a budget.
fn first_with_budget(standing: Standing, config: &QueueConfig) -> Option<Standing> {
    let later = [Queue::Fast, Queue::Deep, Queue::Rescue]
        .into_iter()
        .filter(|queue| *queue >= standing.queue);
    let queue = later.into_iter().find(|queue| config.budget(*queue) > 0)?;
    Some(Standing { queue, ..standing })
}

#[cfg(test)]
mod tests;
