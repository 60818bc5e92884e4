//! When a job is late: by the CPU time that it used, and by the clock.
//!
//! In: its limit, the time that passed, and what its processes used of the CPU. Out: when to look again, or that it is
//! late. A machine that is busy gives a job less CPU in the same time, so the clock alone says little: a job that competes
//! for the CPU goes on until it has used its limit. One that mostly sleeps is late by the clock.
//! Example: a limit of 8 s, and 3 s of CPU used in 8 s: the next look is at 13 s, and none comes after 32 s.

use std::time::Duration;

/// So many times its limit may pass by the clock, however little of the CPU it was given.
pub(super) const MOST: u32 = 4;
/// Who uses less than this part of the time that passes sleeps, or waits for what never comes.
const IDLE_PART: u32 = 8;
/// Between two looks at the least.
const LOOK: Duration = Duration::from_millis(100);

/// When to look at a job again, counted from its begin; none where it is late.
pub(super) fn next_look(
    limit: Duration,
    passed: Duration,
    cpu: Option<Duration>,
) -> Option<Duration> {
    if passed < limit {
        return Some(limit);
    }
    // What nobody can measure ends by the clock.
    let cpu = cpu?;
    let most = limit * MOST;
    if cpu >= limit || cpu * IDLE_PART < passed || passed >= most {
        return None;
    }
    Some((passed + (limit - cpu).max(LOOK)).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(passed_s: u64, cpu_s: Option<u64>) -> Option<u64> {
        let s = Duration::from_secs;
        next_look(s(8), s(passed_s), cpu_s.map(s)).map(|at| at.as_secs())
    }

    #[test]
    fn a_job_ends_by_its_cpu_time_and_a_sleeping_one_by_the_clock() {
        assert_eq!(look(3, Some(3)), Some(8), "it has time left");
        assert_eq!(look(8, Some(8)), None, "it used what it may");
        assert_eq!(look(8, Some(30)), None, "on more than one core");
        assert_eq!(look(8, Some(0)), None, "it sleeps");
        assert_eq!(look(8, None), None, "nobody knows");
    }

    #[test]
    fn a_job_that_waits_for_the_cpu_goes_on_for_so_long_and_no_longer() {
        assert_eq!(look(8, Some(3)), Some(13));
        assert_eq!(look(13, Some(5)), Some(16));
        assert_eq!(look(30, Some(4)), Some(32));
        assert_eq!(look(32, Some(7)), None);
        assert_eq!(
            next_look(
                Duration::from_secs(1),
                Duration::from_secs(1),
                Some(Duration::from_millis(999))
            ),
            Some(Duration::from_millis(1100)),
            "not at once"
        );
    }
}
