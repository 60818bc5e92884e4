//! Task in, graded groups out: policies, sandboxes, grading, advantages, curriculum.
//!
//! Tensors do not live here. What the code under test does is an [`outcome::Outcome`]; what our machinery does wrong is
//! an `Err`, and an `Err` never becomes a reward.

#![forbid(unsafe_code)]

pub mod advantage;
pub mod agent;
pub mod attempt;
pub mod counts;
pub mod curriculum;
pub mod endpoint;
pub mod evidence;
mod format;
pub mod grade;
pub mod group;
pub mod http;
pub mod lint;
pub mod outage;
pub mod outcome;
pub mod policy;
pub mod pool;
pub mod record;
pub mod report;
pub mod reward;
pub mod server;
pub mod summary;
pub mod task_validation;
pub mod trajectory;
pub mod watch;

pub use data::draw;
