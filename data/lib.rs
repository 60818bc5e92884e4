//! Text in, samples out: tasks, patches, prompts, tokens and their masks.
//!
//! No tensors, no network, no async. What needs a sandbox (is this patch good?) is passed in as a function.

pub mod clean;
pub mod draw;
pub mod edit;
pub mod file;
pub mod message;
pub mod mixture;
pub mod patch;
pub mod sample;
pub mod skill;
pub mod source;
pub mod store;
pub mod task;
pub mod template;
pub mod tokenizer;

pub use edit::LineEdit;
pub use message::{Message, Role};
pub use patch::{FileChange, Patch};
pub use sample::Sample;
pub use task::{Focus, Task};
pub use tokenizer::Tokenizer;
