//! What the benches and the load generator share: devices whose values look like those of real agents.

pub mod mix;
pub mod rng;
