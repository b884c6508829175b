//! `SECURITY.md` names a test behind each promise: all of them must be there.

use std::path::Path;

#[test]
fn every_promise_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let mut found = 0;
    for row in text.lines().filter(|line| line.starts_with("| ") && line.contains("`: `")) {
        let tests = row.trim_end_matches(" |").rsplit_once(" | ").unwrap().1;
        for file in tests.split("; ") {
            let (path, names) = file.split_once("`: `").unwrap_or_else(|| panic!("no test in {file}"));
            let path = root.join(path.trim_start_matches(['`', ' ']));
            let source = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            for name in names.split("`, `").map(|name| name.trim_end_matches(['`', ' ', '|'])) {
                assert!(source.contains(&format!("fn {name}(")), "{} has no test {name}", path.display());
                found += 1;
            }
        }
    }
    assert!(found > 30, "the table was not read: {found}");
}
