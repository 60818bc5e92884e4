//! Which prompts are computed next, and which attempt is decoded in which row.
//!
//! A state machine without tensors and without a clock. In: jobs (a prompt and how many attempts), rows that ended.
//! Out: prompts to compute, attempts to seat in rows, rows to move.
//! Example: with four rows a job of six attempts is computed once, fills four rows, and its other two attempts take the
//! first rows that end. Rows in use always stand at the front, so that one step decodes exactly the rows in use.

use std::collections::VecDeque;

/// A prompt with its attempts.
pub type Job = u64;

/// An attempt that has a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its job.
    pub job: Job,
    /// Its number among the attempts of the job.
    pub attempt: usize,
}

/// An attempt that was just given a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seated {
    /// The row.
    pub row: usize,
    /// The attempt.
    pub seat: Seat,
    /// True for the last attempt of its job: the computed prompt is not needed any more.
    pub last: bool,
}

/// What happens to a row that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vacated {
    /// An attempt whose prompt is computed takes it.
    Taken(Seated),
    /// The last row in use moves here.
    MovedFrom(usize),
    /// It was the last row in use.
    Last,
}

struct Waiting {
    job: Job,
    tokens: usize,
    attempts: usize,
}

struct Computed {
    job: Job,
    next: usize,
    attempts: usize,
}

/// Jobs that wait, prompts that are computed, rows in use.
pub struct Schedule {
    max_rows: usize,
    waiting: VecDeque<Waiting>,
    computing: Vec<Waiting>,
    computed: VecDeque<Computed>,
    rows: Vec<Seat>,
}

impl Schedule {
    /// Nothing to do, and `max_rows` rows to do it in.
    pub fn new(max_rows: usize) -> Self {
        Schedule {
            max_rows: max_rows.max(1),
            waiting: VecDeque::new(),
            computing: Vec::new(),
            computed: VecDeque::new(),
            rows: Vec::new(),
        }
    }

    /// Takes a job in; first come, first served.
    pub fn add(&mut self, job: Job, tokens: usize, attempts: usize) {
        if attempts > 0 {
            self.waiting.push_back(Waiting { job, tokens, attempts });
        }
    }

    /// The jobs whose prompts are computed next, together: those for which there are rows, of `budget` tokens in all,
    /// or one that is longer. Empty while others are being computed.
    pub fn compute(&mut self, budget: usize) -> Vec<Job> {
        if !self.computing.is_empty() {
            return Vec::new();
        }
        let promised: usize = self.computed.iter().map(|job| job.attempts - job.next).sum();
        let mut free = (self.max_rows - self.rows.len()).saturating_sub(promised);
        let mut tokens = 0;
        while let Some(next) = self.waiting.front() {
            if free == 0 || (!self.computing.is_empty() && tokens + next.tokens > budget) {
                break;
            }
            tokens += next.tokens;
            free = free.saturating_sub(next.attempts);
            self.computing.extend(self.waiting.pop_front());
        }
        self.computing.iter().map(|job| job.job).collect()
    }

    /// The prompts that were being computed are.
    pub fn computed(&mut self) {
        let done = self.computing.drain(..).filter(|job| job.attempts > 0);
        self.computed.extend(done.map(|job| Computed { job: job.job, next: 0, attempts: job.attempts }));
    }

    /// Gives the next attempt a free row.
    pub fn seat(&mut self) -> Option<Seated> {
        if self.rows.len() == self.max_rows {
            return None;
        }
        let (seat, last) = self.next_attempt()?;
        self.rows.push(seat);
        Some(Seated { row: self.rows.len() - 1, seat, last })
    }

    /// A row has ended. Rows that end in the same step are told from the highest to the lowest.
    ///
    /// # Panics
    ///
    /// When nobody sits in `row`.
    pub fn vacate(&mut self, row: usize) -> Vacated {
        if let Some((seat, last)) = self.next_attempt() {
            self.rows[row] = seat;
            return Vacated::Taken(Seated { row, seat, last });
        }
        self.rows.swap_remove(row);
        if row == self.rows.len() { Vacated::Last } else { Vacated::MovedFrom(self.rows.len()) }
    }

    /// Forgets what of a job has no row yet; returns the rows it has, the highest first. They are for [`Self::vacate`].
    pub fn cancel(&mut self, job: Job) -> Vec<usize> {
        self.waiting.retain(|waiting| waiting.job != job);
        self.computed.retain(|computed| computed.job != job);
        // Its prompt is being computed together with others: it is computed to the end and seats nobody.
        self.computing.iter_mut().filter(|waiting| waiting.job == job).for_each(|waiting| waiting.attempts = 0);
        (0..self.rows.len()).rev().filter(|&row| self.rows[row].job == job).collect()
    }

    /// Who sits where.
    pub fn rows(&self) -> &[Seat] {
        &self.rows
    }

    /// Jobs that were not begun.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// True when nothing waits and nothing is being done.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.computing.is_empty() && self.computed.is_empty() && self.rows.is_empty()
    }

    fn next_attempt(&mut self) -> Option<(Seat, bool)> {
        let job = self.computed.front_mut()?;
        let seat = Seat { job: job.job, attempt: job.next };
        job.next += 1;
        let last = job.next == job.attempts;
        if last {
            self.computed.pop_front();
        }
        Some((seat, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(schedule: &mut Schedule) -> Vec<(usize, Job, usize, bool)> {
        std::iter::from_fn(|| schedule.seat()).map(|s| (s.row, s.seat.job, s.seat.attempt, s.last)).collect()
    }

    fn computed(schedule: &mut Schedule, budget: usize) -> Vec<Job> {
        let jobs = schedule.compute(budget);
        schedule.computed();
        jobs
    }

    #[test]
    fn a_prompt_is_computed_once_for_all_its_attempts() {
        let mut schedule = Schedule::new(4);
        schedule.add(7, 100, 6);
        assert_eq!(computed(&mut schedule, 512), [7]);
        assert_eq!(seats(&mut schedule), [(0, 7, 0, false), (1, 7, 1, false), (2, 7, 2, false), (3, 7, 3, false)]);
        assert!(schedule.compute(512).is_empty());
        let taken = |row, attempt, last| Vacated::Taken(Seated { row, seat: Seat { job: 7, attempt }, last });
        assert_eq!(schedule.vacate(2), taken(2, 4, false));
        assert_eq!(schedule.vacate(0), taken(0, 5, true));
        assert_eq!(schedule.vacate(0), Vacated::MovedFrom(3));
    }

    #[test]
    fn short_prompts_are_computed_together_and_a_long_one_alone() {
        let mut schedule = Schedule::new(8);
        for (job, tokens) in [(1, 200), (2, 300), (3, 900), (4, 10)] {
            schedule.add(job, tokens, 1);
        }
        assert_eq!(schedule.compute(512), [1, 2]);
        assert!(schedule.compute(512).is_empty(), "one batch of prompts at a time");
        schedule.computed();
        assert_eq!(computed(&mut schedule, 512), [3]);
        assert_eq!(computed(&mut schedule, 512), [4]);
        assert_eq!(seats(&mut schedule).iter().map(|seat| seat.1).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }

    #[test]
    fn no_prompt_is_computed_before_there_is_a_row_for_it() {
        let mut schedule = Schedule::new(2);
        schedule.add(1, 5, 2);
        schedule.add(2, 5, 1);
        assert_eq!(computed(&mut schedule, 512), [1]);
        assert!(schedule.compute(512).is_empty(), "both rows are promised");
        seats(&mut schedule);
        assert!(schedule.compute(512).is_empty());
        assert_eq!(schedule.vacate(1), Vacated::Last);
        assert_eq!(computed(&mut schedule, 512), [2]);
        assert_eq!(seats(&mut schedule), [(1, 2, 0, true)]);
    }

    #[test]
    fn rows_in_use_stand_at_the_front() {
        let mut schedule = Schedule::new(4);
        schedule.add(1, 5, 4);
        computed(&mut schedule, 512);
        seats(&mut schedule);
        // Two rows end in one step, the higher is told first.
        assert_eq!(schedule.vacate(3), Vacated::Last);
        assert_eq!(schedule.vacate(0), Vacated::MovedFrom(2));
        let attempts: Vec<usize> = schedule.rows().iter().map(|seat| seat.attempt).collect();
        assert_eq!(attempts, [2, 1]);
    }

    #[test]
    fn a_cancelled_job_gives_its_rows_back_and_seats_nobody() {
        let mut schedule = Schedule::new(3);
        schedule.add(1, 5, 2);
        schedule.add(2, 5, 3);
        schedule.add(3, 5, 1);
        assert_eq!(computed(&mut schedule, 512), [1, 2]);
        seats(&mut schedule);
        assert!(schedule.cancel(3).is_empty(), "it waited");
        assert_eq!(schedule.cancel(2), [2]);
        assert_eq!(schedule.vacate(2), Vacated::Last);
        assert_eq!(schedule.cancel(1), [1, 0]);
        assert_eq!((schedule.vacate(1), schedule.vacate(0)), (Vacated::Last, Vacated::Last));
        assert!(schedule.is_idle());
    }

    #[test]
    fn a_job_cancelled_while_it_is_computed_seats_nobody() {
        let mut schedule = Schedule::new(2);
        schedule.add(1, 5, 1);
        schedule.add(2, 5, 1);
        schedule.compute(512);
        assert!(schedule.cancel(1).is_empty());
        schedule.computed();
        assert_eq!(seats(&mut schedule), [(0, 2, 0, true)]);
        assert_eq!(schedule.vacate(0), Vacated::Last);
        assert!(schedule.is_idle());
    }

    #[test]
    fn every_attempt_is_seated_once_whatever_ends_when() {
        for seed in 0..20 {
            let mut schedule = Schedule::new(1 + data::draw::below(seed, 0, 5));
            let mut wanted = 0;
            for job in 0..10 {
                let attempts = data::draw::below(seed, 10 + job, 5);
                wanted += attempts;
                schedule.add(job, 1 + data::draw::below(seed, 50 + job, 300), attempts);
            }
            let (mut seen, mut round) = (std::collections::BTreeSet::new(), 100);
            while !schedule.is_idle() {
                computed(&mut schedule, 512);
                let mut seat = |seated: Seated| assert!(seen.insert((seated.seat.job, seated.seat.attempt)));
                std::iter::from_fn(|| schedule.seat()).for_each(&mut seat);
                for row in (0..schedule.rows().len()).rev() {
                    round += 1;
                    if data::draw::below(seed, round, 3) == 0
                        && let Vacated::Taken(seated) = schedule.vacate(row)
                    {
                        seat(seated);
                    }
                }
            }
            assert_eq!(seen.len(), wanted);
        }
    }
}
