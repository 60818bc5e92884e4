//! What the program promises, kept by the program itself: one module per promise.

mod attacks;
mod bad_input;
mod configs;
mod grade;
mod resume;
mod smoke;
mod support;
