//! The web port as browsers and scripts meet it: real HTTP on 127.0.0.1, a real store in a temporary folder.

#![allow(clippy::unwrap_used, reason = "the helpers belong to tests: a panic is how they report")]

mod access;
mod accounts;
mod devices;
mod enroll;
mod history;
mod http;
mod live;
mod logs;
mod routes;
mod server;
mod settings;
mod usage;
