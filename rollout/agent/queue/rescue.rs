//! The last tries: hand rules help; when they are spent, the task needs review.

use super::{QueueConfig, Review, Standing, Step, go_on_or_roll_back, is_over};

/// What follows a try of this queue that did not end the task.
pub(super) fn next(standing: Standing, config: &QueueConfig) -> (Standing, Step) {
    if is_over(&standing, config) {
        (standing, Step::NeedsReview(Review::Spent))
    } else {
        go_on_or_roll_back(standing, config)
    }
}
