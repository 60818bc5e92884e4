//! Text in, samples out: tasks, patches, prompts, tokens and their masks.
//!
//! No tensors, no async, and no network but what the `git` program reaches. What needs a sandbox (is this patch good?) is passed in as a function.

#![forbid(unsafe_code)]

pub mod calls;
pub mod child;
pub mod clean;
pub mod draw;
pub mod edit;
pub mod file;
pub mod hint;
pub mod impossible;
pub mod kind;
pub mod log;
pub mod message;
pub mod minimize;
pub mod mixture;
pub mod near;
pub mod ngram;
pub mod noise;
pub mod pack;
pub mod patch;
pub mod perturb;
pub mod retrieve;
pub mod sample;
pub mod sampling;
pub mod skill;
pub mod source;
pub mod store;
pub mod task;
pub mod template;
pub mod tokenizer;
pub mod triplet;
pub mod trust;

pub use edit::LineEdit;
pub use hint::{Aside, Hint};
pub use message::{Message, Role};
pub use patch::{FileChange, Patch};
pub use sample::Sample;
pub use task::{Focus, Task};
pub use tokenizer::Tokenizer;
