//! The long tries: several files, from the passing state that `Fast` left, and back to it without progress.

use super::{QueueConfig, Standing, Step, go_on_or_roll_back, is_over, move_to};
use crate::record::Queue;

/// What follows a try of this queue that did not end the task.
pub(super) fn next(standing: Standing, config: &QueueConfig) -> (Standing, Step) {
    if is_over(&standing, config) {
        move_to(Queue::Rescue, standing, config)
    } else {
        go_on_or_roll_back(standing, config)
    }
}
