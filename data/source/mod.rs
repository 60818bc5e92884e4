//! Where tasks and text come from.

pub(crate) mod cases;
pub mod chats;
pub mod commits;
pub mod functions;
pub mod history;
pub mod jsonl;
pub mod license;
pub mod plant;
pub mod prediction;
pub mod public;
pub mod rows;
pub mod self_contained;
pub mod suspect;
