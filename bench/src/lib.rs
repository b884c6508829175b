//! What the benches, the load generator and the comparison share: devices whose values look like those of real agents,
//! and a client for a server on this machine.

pub mod client;
pub mod cpu_only;
pub mod devices;
pub mod mix;
pub mod process;
pub mod rng;
