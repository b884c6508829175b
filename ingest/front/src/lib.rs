//! The hyper front end that both ports share: connections and their limits, request bodies, error answers.
//!
//! What stands on the public internet meets this first. Every wait has a time limit and every buffer a size
//! limit, all of them in [`Limits`]; nothing a client sends ends the process.

mod answer;
mod bind;
mod body;
mod caps;
mod probe;
mod proxy;
mod rate;
mod serve;
mod socket;
mod stream;
mod tls;

pub use answer::{ApiError, empty, json};
pub use bind::{BindError, bind};
pub use body::{media_type, read_body};
pub use caps::address_key;
pub use probe::probe;
pub use proxy::{NotANetwork, Proxies};
pub use rate::{Buckets, Rate};
pub use serve::{Peer, serve};
pub use tls::{Tls, TlsError};

use std::time::Duration;

use bytes::Bytes;

/// The body of an answer: answers are small or embedded in the binary, so they are always whole.
pub type Body = http_body_util::Full<Bytes>;
/// A request whose body has not been read yet; see [`read_body`].
pub type Request = http::Request<hyper::body::Incoming>;
/// An answer.
pub type Response = http::Response<Body>;

/// How clients get to a port.
#[derive(Debug, Clone, Default)]
pub struct Transport {
    /// With TLS, and nothing else.
    pub tls: Option<Tls>,
    /// Proxies that are believed when they say for whom they ask.
    pub proxies: Proxies,
}

/// What one port allows its clients. All times are upper bounds of a wait.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the acceptance of a connection to the end of its TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a request (on a new connection: from its acceptance) to the end of its headers.
    pub header_timeout: Duration,
    /// How long a connection may stay open between two requests. Longer than agents wait between two reports,
    /// so that they need not connect anew.
    pub idle_timeout: Duration,
    /// From the headers to the end of the body.
    pub body_timeout: Duration,
    /// How long a client may take to read [`Limits::write_bytes_min`] more bytes of an answer.
    pub write_timeout: Duration,
    /// See [`Limits::write_timeout`].
    pub write_bytes_min: usize,
    /// How long requests under way may take after a stop.
    pub drain_timeout: Duration,
    /// Request line and headers, bytes. Past it: 431.
    pub header_bytes_max: usize,
    /// A body as sent, bytes. Past it: 413.
    pub body_bytes_max: usize,
    /// A body after decompression, bytes. Past it: 413.
    pub decoded_bytes_max: usize,
    /// How many times larger than sent a body may get, once it is larger than [`Limits::RATIO_FREE_BYTES`].
    pub decoded_ratio_max: usize,
    /// Open connections; one more is closed at once.
    pub connections_max: usize,
    /// Open connections of one address (of one /64 network with IPv6); one more is closed at once. Generous,
    /// because a whole fleet may stand behind one router. Trusted proxies are not bounded by it.
    pub connections_per_address_max: usize,
}

impl Limits {
    /// A decompressed body of up to this size is never refused for its ratio: small repetitive reports are normal.
    pub const RATIO_FREE_BYTES: usize = 1 << 20;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            write_bytes_min: 4 << 10,
            drain_timeout: Duration::from_secs(10),
            header_bytes_max: 16 << 10,
            body_bytes_max: 1 << 20,
            decoded_bytes_max: 16 << 20,
            decoded_ratio_max: 256,
            connections_max: 16_384,
            connections_per_address_max: 1_024,
        }
    }
}
