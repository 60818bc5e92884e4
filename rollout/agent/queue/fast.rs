//! The first tries: each goes on where the one before left the tree. No roll-back.

use super::{QueueConfig, Standing, Step, go_on, is_over, move_to};
use crate::record::Queue;

/// What follows a try of this queue that did not end the task.
pub(super) fn next(standing: Standing, config: &QueueConfig) -> (Standing, Step) {
    if is_over(&standing, config) {
        move_to(Queue::Deep, standing, config)
    } else {
        go_on(standing)
    }
}
