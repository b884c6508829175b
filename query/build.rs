//! Says whether the page has been built, and has it embedded anew whenever it is built again.

use std::path::Path;

fn main() {
    // Asked at run time: compiled in, it would be the folder of whichever copy of the sources was built first.
    let dist = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let dist = Path::new(&dist).join("../web/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    println!("cargo::rustc-check-cfg=cfg(page_missing)");
    if !dist.join("index.html").is_file() {
        println!("cargo::rustc-cfg=page_missing");
        println!(
            "cargo::warning=web/dist is missing: the server will show how to build the page (`make run`)"
        );
    }
}
