//! Samples and groups in, weights out; the only place that knows Burn.
pub mod batch;
pub mod loss;
pub mod model;
pub mod optim;
