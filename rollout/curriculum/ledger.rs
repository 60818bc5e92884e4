//! Every drawn group is trained, dropped with a reason, or in flight.
//!
//! In: what happened to a group. Out: counts whose sum is checked, now and after a resume.
//! Example: 10 yielded = 6 trained + 3 dropped (all failed) + 1 in flight.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Why a group is not trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// No attempt resolved the task: equal rewards teach nothing.
    AllFailed,
    /// Every attempt did.
    AllResolved,
    /// Fewer than two attempts have a verdict; the machinery lost the others.
    TooFewAttempts,
    /// The attempts differ, and `overlong` masks every one of them.
    Masked,
}

/// What became of every group.
///
/// Invariant: `yielded` = `trained` + all of `dropped` + number of groups in flight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    yielded: u64,
    trained: u64,
    dropped: BTreeMap<DropReason, u64>,
    in_flight: BTreeSet<u64>,
    lost_attempts: u64,
}

/// A group was counted twice, or never.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LedgerError {
    /// A number that was drawn before.
    #[error("group {0} was drawn twice")]
    Twice(u64),
    /// A group that ended without being in flight.
    #[error("group {0} is not in flight: it was never drawn, or has ended already")]
    NotInFlight(u64),
    /// The sum is wrong.
    #[error(
        "{yielded} groups were drawn, but {trained} trained + {dropped} dropped + {in_flight} in flight"
    )]
    Unbalanced {
        /// Groups drawn.
        yielded: u64,
        /// Groups trained.
        trained: u64,
        /// Groups dropped.
        dropped: u64,
        /// Groups in flight.
        in_flight: u64,
    },
}

impl Ledger {
    /// Group `id` was drawn.
    pub(super) fn yielded(&mut self, id: u64) -> Result<(), LedgerError> {
        if !self.in_flight.insert(id) {
            return Err(LedgerError::Twice(id));
        }
        self.yielded += 1;
        Ok(())
    }

    /// Group `id` was in a step of the optimizer.
    pub(super) fn trained(&mut self, id: u64) -> Result<(), LedgerError> {
        self.land(id)?;
        self.trained += 1;
        Ok(())
    }

    /// Group `id` will not be trained.
    pub(super) fn dropped(&mut self, id: u64, reason: DropReason) -> Result<(), LedgerError> {
        self.land(id)?;
        *self.dropped.entry(reason).or_default() += 1;
        Ok(())
    }

    /// Attempts of a group ended without a verdict.
    pub(super) fn lost(&mut self, attempts: u64) {
        self.lost_attempts += attempts;
    }

    fn land(&mut self, id: u64) -> Result<(), LedgerError> {
        if self.in_flight.remove(&id) {
            Ok(())
        } else {
            Err(LedgerError::NotInFlight(id))
        }
    }

    /// Checks the sum.
    ///
    /// # Errors
    ///
    /// When a group is missing or counted twice: a bug, or a checkpoint that somebody changed.
    pub fn check(&self) -> Result<(), LedgerError> {
        let (dropped, in_flight) = (self.dropped_total(), self.in_flight.len() as u64);
        let Ledger {
            yielded, trained, ..
        } = *self;
        if yielded == trained + dropped + in_flight {
            return Ok(());
        }
        Err(LedgerError::Unbalanced {
            yielded,
            trained,
            dropped,
            in_flight,
        })
    }

    /// Groups drawn so far.
    pub fn yielded_total(&self) -> u64 {
        self.yielded
    }

    /// Groups trained so far.
    pub fn trained_total(&self) -> u64 {
        self.trained
    }

    /// Groups dropped so far, for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Groups dropped so far for `reason`.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped.get(&reason).copied().unwrap_or(0)
    }

    /// Groups that have not ended, in the order of their numbers.
    pub fn in_flight(&self) -> impl Iterator<Item = u64> + '_ {
        self.in_flight.iter().copied()
    }

    /// Attempts that ended without a verdict.
    pub fn lost_total(&self) -> u64 {
        self.lost_attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_ends_once() {
        let mut ledger = Ledger::default();
        ledger.yielded(1).expect("drawn");
        assert_eq!(ledger.yielded(1), Err(LedgerError::Twice(1)));
        ledger.trained(1).expect("trained");
        assert_eq!(ledger.trained(1), Err(LedgerError::NotInFlight(1)));
        assert_eq!(
            ledger.dropped(1, DropReason::AllFailed),
            Err(LedgerError::NotInFlight(1))
        );
        assert_eq!(ledger.check(), Ok(()));
    }

    #[test]
    fn a_sum_that_was_changed_is_seen() {
        let mut ledger = Ledger::default();
        (0..4).for_each(|id| ledger.yielded(id).expect("drawn"));
        ledger.trained(0).expect("trained");
        ledger.dropped(1, DropReason::AllFailed).expect("dropped");
        let text = serde_json::to_string(&ledger).expect("prints");
        assert_eq!(
            text,
            r#"{"yielded":4,"trained":1,"dropped":{"all_failed":1},"in_flight":[2,3],"lost_attempts":0}"#
        );
        let changed: Ledger = serde_json::from_str(&text.replace("[2,3]", "[3]")).expect("reads");
        let message = "4 groups were drawn, but 1 trained + 1 dropped + 1 in flight";
        assert_eq!(
            changed.check().expect_err("one is missing").to_string(),
            message
        );
    }
}
