//! Prints the OpenAPI document without starting a server; the page's types are made from it:
//! `cargo run -p query --example openapi > web/src/api/openapi.json`

use std::io::Write;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(query::openapi_document().as_bytes())
}
