//! Which prompts are prefilled next, and which attempt is decoded in which row.
//!
//! A state machine without tensors and without a clock. In: requests (a prompt and how many attempts), rows that ended.
//! Out: prompts to compute, attempts to sequence in rows, rows to move.
//! Example: with four rows a request of six attempts is prefilled once, fills four rows, and its other two attempts take the
//! first rows that end. Rows in use always stand at the front, so that one step decodes exactly the rows in use.

use std::collections::VecDeque;

/// A prompt with its attempts.
pub type RequestId = u64;

/// An attempt that has a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Its request.
    pub request: RequestId,
    /// Its number among the attempts of the request.
    pub attempt: usize,
}

/// An attempt that was just given a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The row.
    pub row: usize,
    /// The attempt.
    pub sequence: Sequence,
    /// True for the last attempt of its request: the prefilled prompt is not needed any more.
    pub last: bool,
}

/// What happens to a row that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freed {
    /// An attempt whose prompt is prefilled takes it.
    Taken(Placed),
    /// The last row in use moves here.
    MovedFrom(usize),
    /// It was the last row in use.
    Last,
}

struct Waiting {
    request: RequestId,
    tokens: usize,
    attempts: usize,
}

struct Prefilled {
    request: RequestId,
    next: usize,
    attempts: usize,
}

/// Jobs that wait, prompts that are prefilled, rows in use.
pub struct Scheduler {
    max_rows: usize,
    waiting: VecDeque<Waiting>,
    prefilling: Vec<Waiting>,
    prefilled: VecDeque<Prefilled>,
    rows: Vec<Sequence>,
}

impl Scheduler {
    /// Nothing to do, and `max_rows` rows to do it in.
    pub fn new(max_rows: usize) -> Self {
        Scheduler {
            max_rows: max_rows.max(1),
            waiting: VecDeque::new(),
            prefilling: Vec::new(),
            prefilled: VecDeque::new(),
            rows: Vec::new(),
        }
    }

    /// Takes a request in; first come, first served.
    pub fn add(&mut self, request: RequestId, tokens: usize, attempts: usize) {
        if attempts > 0 {
            self.waiting.push_back(Waiting {
                request,
                tokens,
                attempts,
            });
        }
    }

    /// The requests whose prompts are prefilled next, together: those for which there are rows, of `budget` tokens in all,
    /// or one that is longer. Empty while others are being prefilled.
    pub fn compute(&mut self, budget: usize) -> Vec<RequestId> {
        if !self.prefilling.is_empty() {
            return Vec::new();
        }
        let promised: usize = self
            .prefilled
            .iter()
            .map(|request| request.attempts - request.next)
            .sum();
        let mut free = (self.max_rows - self.rows.len()).saturating_sub(promised);
        let mut tokens = 0;
        while let Some(next) = self.waiting.front() {
            if free == 0 || (!self.prefilling.is_empty() && tokens + next.tokens > budget) {
                break;
            }
            tokens += next.tokens;
            free = free.saturating_sub(next.attempts);
            self.prefilling.extend(self.waiting.pop_front());
        }
        self.prefilling
            .iter()
            .map(|request| request.request)
            .collect()
    }

    /// The prompts that were being prefilled are.
    pub fn prefilled(&mut self) {
        let done = self
            .prefilling
            .drain(..)
            .filter(|request| request.attempts > 0);
        self.prefilled.extend(done.map(|request| Prefilled {
            request: request.request,
            next: 0,
            attempts: request.attempts,
        }));
    }

    /// Gives the next attempt a free row.
    pub fn sequence(&mut self) -> Option<Placed> {
        if self.rows.len() == self.max_rows {
            return None;
        }
        let (sequence, last) = self.next_attempt()?;
        self.rows.push(sequence);
        Some(Placed {
            row: self.rows.len() - 1,
            sequence,
            last,
        })
    }

    /// A row has ended. Rows that end in the same step are told from the highest to the lowest.
    ///
    /// # Panics
    ///
    /// When nobody sits in `row`.
    pub fn free(&mut self, row: usize) -> Freed {
        if let Some((sequence, last)) = self.next_attempt() {
            self.rows[row] = sequence;
            return Freed::Taken(Placed {
                row,
                sequence,
                last,
            });
        }
        self.rows.swap_remove(row);
        if row == self.rows.len() {
            Freed::Last
        } else {
            Freed::MovedFrom(self.rows.len())
        }
    }

    /// Forgets what of a request has no row yet; returns the rows it has, the highest first. They are for [`Self::free`].
    pub fn cancel(&mut self, request: RequestId) -> Vec<usize> {
        self.waiting.retain(|waiting| waiting.request != request);
        self.prefilled
            .retain(|prefilled| prefilled.request != request);
        // Its prompt is being prefilled together with others: it is prefilled to the end and sequences nobody.
        self.prefilling
            .iter_mut()
            .filter(|waiting| waiting.request == request)
            .for_each(|waiting| waiting.attempts = 0);
        (0..self.rows.len())
            .rev()
            .filter(|&row| self.rows[row].request == request)
            .collect()
    }

    /// Who sits where.
    pub fn rows(&self) -> &[Sequence] {
        &self.rows
    }

    /// Jobs that were not begun.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// True when nothing waits and nothing is being done.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && self.prefilling.is_empty()
            && self.prefilled.is_empty()
            && self.rows.is_empty()
    }

    fn next_attempt(&mut self) -> Option<(Sequence, bool)> {
        let request = self.prefilled.front_mut()?;
        let sequence = Sequence {
            request: request.request,
            attempt: request.next,
        };
        request.next += 1;
        let last = request.next == request.attempts;
        if last {
            self.prefilled.pop_front();
        }
        Some((sequence, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequences(scheduler: &mut Scheduler) -> Vec<(usize, RequestId, usize, bool)> {
        std::iter::from_fn(|| scheduler.sequence())
            .map(|s| (s.row, s.sequence.request, s.sequence.attempt, s.last))
            .collect()
    }

    fn prefilled(scheduler: &mut Scheduler, budget: usize) -> Vec<RequestId> {
        let requests = scheduler.compute(budget);
        scheduler.prefilled();
        requests
    }

    #[test]
    fn a_prompt_is_computed_once_for_all_its_attempts() {
        let mut scheduler = Scheduler::new(4);
        scheduler.add(7, 100, 6);
        assert_eq!(prefilled(&mut scheduler, 512), [7]);
        assert_eq!(
            sequences(&mut scheduler),
            [
                (0, 7, 0, false),
                (1, 7, 1, false),
                (2, 7, 2, false),
                (3, 7, 3, false)
            ]
        );
        assert!(scheduler.compute(512).is_empty());
        let taken = |row, attempt, last| {
            Freed::Taken(Placed {
                row,
                sequence: Sequence {
                    request: 7,
                    attempt,
                },
                last,
            })
        };
        assert_eq!(scheduler.free(2), taken(2, 4, false));
        assert_eq!(scheduler.free(0), taken(0, 5, true));
        assert_eq!(scheduler.free(0), Freed::MovedFrom(3));
    }

    #[test]
    fn short_prompts_are_computed_together_and_a_long_one_alone() {
        let mut scheduler = Scheduler::new(8);
        for (request, tokens) in [(1, 200), (2, 300), (3, 900), (4, 10)] {
            scheduler.add(request, tokens, 1);
        }
        assert_eq!(scheduler.compute(512), [1, 2]);
        assert!(
            scheduler.compute(512).is_empty(),
            "one batch of prompts at a time"
        );
        scheduler.prefilled();
        assert_eq!(prefilled(&mut scheduler, 512), [3]);
        assert_eq!(prefilled(&mut scheduler, 512), [4]);
        assert_eq!(
            sequences(&mut scheduler)
                .iter()
                .map(|sequence| sequence.1)
                .collect::<Vec<_>>(),
            [1, 2, 3, 4]
        );
    }

    #[test]
    fn no_prompt_is_computed_before_there_is_a_row_for_it() {
        let mut scheduler = Scheduler::new(2);
        scheduler.add(1, 5, 2);
        scheduler.add(2, 5, 1);
        assert_eq!(prefilled(&mut scheduler, 512), [1]);
        assert!(scheduler.compute(512).is_empty(), "both rows are promised");
        sequences(&mut scheduler);
        assert!(scheduler.compute(512).is_empty());
        assert_eq!(scheduler.free(1), Freed::Last);
        assert_eq!(prefilled(&mut scheduler, 512), [2]);
        assert_eq!(sequences(&mut scheduler), [(1, 2, 0, true)]);
    }

    #[test]
    fn rows_in_use_stand_at_the_front() {
        let mut scheduler = Scheduler::new(4);
        scheduler.add(1, 5, 4);
        prefilled(&mut scheduler, 512);
        sequences(&mut scheduler);
        // Two rows end in one step, the higher is told first.
        assert_eq!(scheduler.free(3), Freed::Last);
        assert_eq!(scheduler.free(0), Freed::MovedFrom(2));
        let attempts: Vec<usize> = scheduler
            .rows()
            .iter()
            .map(|sequence| sequence.attempt)
            .collect();
        assert_eq!(attempts, [2, 1]);
    }

    #[test]
    fn a_cancelled_job_gives_its_rows_back_and_seats_nobody() {
        let mut scheduler = Scheduler::new(3);
        scheduler.add(1, 5, 2);
        scheduler.add(2, 5, 3);
        scheduler.add(3, 5, 1);
        assert_eq!(prefilled(&mut scheduler, 512), [1, 2]);
        sequences(&mut scheduler);
        assert!(scheduler.cancel(3).is_empty(), "it waited");
        assert_eq!(scheduler.cancel(2), [2]);
        assert_eq!(scheduler.free(2), Freed::Last);
        assert_eq!(scheduler.cancel(1), [1, 0]);
        assert_eq!(
            (scheduler.free(1), scheduler.free(0)),
            (Freed::Last, Freed::Last)
        );
        assert!(scheduler.is_idle());
    }

    #[test]
    fn a_job_cancelled_while_it_is_computed_seats_nobody() {
        let mut scheduler = Scheduler::new(2);
        scheduler.add(1, 5, 1);
        scheduler.add(2, 5, 1);
        scheduler.compute(512);
        assert!(scheduler.cancel(1).is_empty());
        scheduler.prefilled();
        assert_eq!(sequences(&mut scheduler), [(0, 2, 0, true)]);
        assert_eq!(scheduler.free(0), Freed::Last);
        assert!(scheduler.is_idle());
    }

    #[test]
    fn every_attempt_is_seated_once_whatever_ends_when() {
        for seed in 0..20 {
            let mut scheduler = Scheduler::new(1 + data::draw::below(seed, 0, 5));
            let mut wanted = 0;
            for request in 0..10 {
                let attempts = data::draw::below(seed, 10 + request, 5);
                wanted += attempts;
                scheduler.add(
                    request,
                    1 + data::draw::below(seed, 50 + request, 300),
                    attempts,
                );
            }
            let (mut seen, mut round) = (std::collections::BTreeSet::new(), 100);
            while !scheduler.is_idle() {
                prefilled(&mut scheduler, 512);
                let mut sequence = |placed: Placed| {
                    assert!(seen.insert((placed.sequence.request, placed.sequence.attempt)))
                };
                std::iter::from_fn(|| scheduler.sequence()).for_each(&mut sequence);
                for row in (0..scheduler.rows().len()).rev() {
                    round += 1;
                    if data::draw::below(seed, round, 3) == 0
                        && let Freed::Taken(placed) = scheduler.free(row)
                    {
                        sequence(placed);
                    }
                }
            }
            assert_eq!(seen.len(), wanted);
        }
    }
}
