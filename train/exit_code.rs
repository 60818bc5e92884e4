//! What the program ends with: every exit code, and nowhere else.
//!
//! The table in `docs/operations.md` is checked against [`ALL`].

use crate::repair;
use crate::run::{interrupt, partial};
use crate::trainer::sentinel::Alarm;

/// All of it was done.
pub const SUCCESS: u8 = 0;
/// Something could not be done; the message says what, and what to do.
pub const FAILURE: u8 = 1;
/// The command line makes no sense (clap's own).
pub const USAGE: u8 = 2;
/// A rule of `[watch]` stopped the flow, and a person has to say that it may go on.
pub const STOPPED: u8 = 3;
/// Part of the work failed, and the rest is kept.
pub const PARTIAL: u8 = 4;
/// There was no memory left (told by the allocator).
pub const OUT_OF_MEMORY: u8 = 5;
/// `train repair` found no repair: a person has to look.
pub const NEEDS_REVIEW: u8 = 6;
/// Ctrl-C or TERM: what was done is kept, and `--resume` goes on. What a shell says of Ctrl-C.
pub const INTERRUPTED: u8 = 130;
/// Whoever read the output is gone, such as `head`. What a shell says of a broken pipe.
pub const BROKEN_PIPE: u8 = 141;

/// Every exit code with what it means, in rising order.
pub const ALL: [(u8, &str); 9] = [
    (SUCCESS, "done"),
    (FAILURE, "refused or failed, with `error:` and `hint:`"),
    (USAGE, "no such command or flag"),
    (STOPPED, "a rule of `[watch]` stopped it"),
    (PARTIAL, "part of the work failed, the rest is kept"),
    (OUT_OF_MEMORY, "out of memory"),
    (
        NEEDS_REVIEW,
        "`train repair`: not repaired, a person has to look",
    ),
    (INTERRUPTED, "stopped by a signal; what was done is saved"),
    (BROKEN_PIPE, "nobody reads the output any more"),
];

/// The exit code of an error.
pub fn of_error(error: &anyhow::Error) -> u8 {
    let is = |found: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(found);
    if is(|cause| cause.is::<interrupt::Interrupted>()) {
        INTERRUPTED
    } else if is(|cause| cause.is::<rollout::watch::Stopped>() || cause.is::<Alarm>()) {
        STOPPED
    } else if is(|cause| cause.is::<partial::Partial>()) {
        PARTIAL
    } else if is(|cause| cause.is::<repair::NeedsReview>()) {
        NEEDS_REVIEW
    } else if interrupt::came() {
        INTERRUPTED
    } else {
        FAILURE
    }
}
