//! What the benches, the load generator and the comparison share: devices whose values look like those of real agents,
//! and a client for a server on this machine.

pub mod client;
pub mod cpu_only;
pub mod devices;
pub mod process;

pub use mix;
pub use mix::rng;

/// Does this bench measure? Else it runs once, as a smoke test, and should be done soon.
pub fn is_measuring() -> bool {
    std::env::args().any(|arg| arg == "--bench")
}
