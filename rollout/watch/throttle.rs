//! Fewer tests at once while they keep the machine too busy, and more again when they do not.
//!
//! In: the share of all cores that test processes use, with its time. Out: what is [`Allowed`], where that changed.
//! Down by halves, up by steps, as TCP does it: one run less at once and half the quota; then one more, and a quarter
//! of the quota. Example: four at once above 80 % for 2 min are three at once, each resting as long as it ran.
//! A flow that is not to be slowed down gets the same answer without a change, once for each time that it is busy.

use std::time::Duration;

use super::CpuConfig;

/// What the quota gains at once.
const QUOTA_STEP: f64 = 0.25;

/// What tests may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowed {
    /// Runs at once.
    pub workers: usize,
    /// The share of its time that a place for a run is in use.
    pub quota: f64,
}

impl Allowed {
    /// A time limit for tests on a machine that had to be slowed down: they are slower, and no run fails for that.
    pub fn deadline_s(&self, timeout_s: u64) -> u64 {
        (timeout_s as f64 / self.quota).ceil() as u64
    }

    /// How long a place rests after a run of this length.
    pub fn rest(&self, wall: Duration) -> Duration {
        wall.mul_f64(1.0 / self.quota - 1.0)
    }
}

/// Decides what is allowed.
#[derive(Clone, Debug)]
pub struct Throttle {
    config: CpuConfig,
    most: usize,
    allowed: Allowed,
    slows: bool,
    /// It was told that tests keep the machine busy, and they still do.
    told: bool,
    above_since: Option<Duration>,
    fine_since: Option<Duration>,
}

impl Throttle {
    /// Begins with all of `workers` and the whole quota; that never changes where it `slows` nothing down.
    pub fn new(config: CpuConfig, workers: usize, slows: bool) -> Self {
        let most = workers.max(1);
        let allowed = Allowed {
            workers: most,
            quota: 1.0,
        };
        Throttle {
            config,
            most,
            allowed,
            slows,
            told: false,
            above_since: None,
            fine_since: None,
        }
    }

    /// What is allowed now.
    pub fn allowed(&self) -> Allowed {
        self.allowed
    }

    /// Takes the share at a time; what is allowed from now on, where that changed or somebody should know. What is no
    /// number changes nothing and interrupts what was held.
    pub fn sample(&mut self, at: Duration, share: f64) -> Option<Allowed> {
        let before = self.allowed;
        let above = share > self.config.above;
        let fine = share <= self.config.above;
        let held = |since: &mut Option<Duration>, holds: bool, seconds: u64| {
            if !holds {
                *since = None;
                return false;
            }
            let long = at.saturating_sub(*since.get_or_insert(at)) >= Duration::from_secs(seconds);
            if long {
                // The next change takes as long again.
                *since = Some(at);
            }
            long
        };
        self.told &= above;
        let busy = held(&mut self.above_since, above, self.config.for_s);
        if !self.slows {
            let tells = busy && !self.told;
            self.told |= tells;
            return tells.then_some(self.allowed);
        }
        if busy {
            self.allowed.workers = (self.allowed.workers - 1).max(1);
            self.allowed.quota = (self.allowed.quota / 2.0).max(self.config.least_quota);
        }
        if held(&mut self.fine_since, fine, self.config.recover_s) {
            self.allowed.workers = (self.allowed.workers + 1).min(self.most);
            self.allowed.quota = (self.allowed.quota + QUOTA_STEP).min(1.0);
        }
        (self.allowed != before).then_some(self.allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What became allowed, and at which second.
    fn changes(
        throttle: &mut Throttle,
        samples: impl IntoIterator<Item = (u64, f64)>,
    ) -> Vec<(u64, usize, f64)> {
        let told = |(at, share)| {
            let Allowed { workers, quota } = throttle.sample(Duration::from_secs(at), share)?;
            Some((at, workers, quota))
        };
        samples.into_iter().filter_map(told).collect()
    }

    fn four() -> Throttle {
        Throttle::new(CpuConfig::default(), 4, true)
    }

    #[test]
    fn busy_for_two_minutes_is_slowed_down_and_a_second_less_is_not() {
        assert_eq!(changes(&mut four(), [(0, 0.81), (119, 0.81)]), []);
        assert_eq!(
            changes(&mut four(), [(0, 0.81), (120, 0.81)]),
            [(120, 3, 0.5)]
        );
        assert_eq!(
            changes(&mut four(), (0..1000).map(|at| (at, 0.80))),
            [],
            "on the threshold is not above it"
        );
    }

    #[test]
    fn it_goes_down_by_halves_and_never_below_one_run() {
        let changes = changes(&mut four(), (0..=1000).step_by(5).map(|at| (at, 1.0)));
        assert_eq!(changes, [(120, 3, 0.5), (240, 2, 0.25), (360, 1, 0.25)]);
    }

    #[test]
    fn it_comes_back_step_by_step() {
        let mut throttle = four();
        changes(&mut throttle, (0..=240).step_by(5).map(|at| (at, 1.0)));
        let back = changes(&mut throttle, (245..=1000).step_by(5).map(|at| (at, 0.5)));
        assert_eq!(back, [(275, 3, 0.5), (305, 4, 0.75), (335, 4, 1.0)]);
        assert_eq!(
            throttle.allowed(),
            Allowed {
                workers: 4,
                quota: 1.0
            }
        );
    }

    #[test]
    fn a_share_that_is_not_known_changes_nothing() {
        let gap = (0..=235)
            .step_by(5)
            .map(|at| (at, if at == 115 { f64::NAN } else { 1.0 }));
        assert_eq!(changes(&mut four(), gap), []);
        let off = CpuConfig {
            above: 1.0,
            ..CpuConfig::default()
        };
        assert_eq!(
            changes(
                &mut Throttle::new(off, 4, true),
                (0..1000).map(|at| (at, 1.0))
            ),
            []
        );
    }

    #[test]
    fn who_is_not_slowed_down_hears_of_it_once_each_time() {
        let mut throttle = Throttle::new(CpuConfig::default(), 4, false);
        let busy = |from: u64| (from..=from + 600).step_by(5).map(|at| (at, 1.0));
        assert_eq!(changes(&mut throttle, busy(0)), [(120, 4, 1.0)]);
        assert_eq!(changes(&mut throttle, [(605, 0.5)]), []);
        assert_eq!(changes(&mut throttle, busy(610)), [(730, 4, 1.0)]);
    }

    #[test]
    fn grading_is_slowed_down_only_where_that_is_asked_for() {
        let slows = |slow_grade, flow| {
            CpuConfig {
                slow_grade,
                ..CpuConfig::default()
            }
            .slows(flow)
        };
        assert_eq!(
            (
                slows(false, "grade"),
                slows(true, "grade"),
                slows(false, "grpo")
            ),
            (false, true, true)
        );
    }

    #[test]
    fn a_slower_machine_gives_more_time() {
        let allowed = |quota| Allowed { workers: 1, quota };
        assert_eq!(
            [1.0, 0.75, 0.5].map(|quota| allowed(quota).deadline_s(60)),
            [60, 80, 120]
        );
        assert_eq!(
            allowed(0.25).rest(Duration::from_secs(2)),
            Duration::from_secs(6)
        );
        assert_eq!(allowed(1.0).rest(Duration::from_secs(2)), Duration::ZERO);
    }
}
