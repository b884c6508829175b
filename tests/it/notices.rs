//! The third-party notices name what is in the programs.

use std::path::Path;

#[allow(dead_code, reason = "it is a program of its own")]
#[path = "../../deploy/notices.rs"]
mod program;

#[test]
fn the_notices_have_every_package_that_is_shipped_and_none_that_is_not() {
    let page = "# Licenses\n\n## vue - 3.5.0 (MIT)\n\nThe MIT License (MIT)\n";
    let text = program::notices(Path::new(env!("CARGO_MANIFEST_DIR")), page).unwrap();
    // Of the server, of the agent, of Windows alone, and C code that a package brings along.
    for name in ["- hyper ", "- ureq ", "- windows-service ", "- libsqlite3-sys ", "- ring "] {
        assert!(text.contains(name), "{name} is missing");
    }
    assert!(text.contains("Copyright (c) Meta Platforms"), "the licence of zstd itself");
    assert!(text.contains("### vue - 3.5.0 (MIT)"), "the page");
    for name in ["- criterion ", "- proptest ", "- rcgen ", "- cc ", "- openclaw-watch "] {
        assert!(!text.contains(name), "{name} is not shipped");
    }
}
