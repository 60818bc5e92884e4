//! The skills a model is trained for: what is asked, what is answered, what makes an answer valid.

pub mod repair;
pub mod trim;
