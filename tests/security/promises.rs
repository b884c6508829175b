//! `SECURITY.md` names a test behind each promise and against each threat: all of them must be there.

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

#[test]
fn every_threat_has_a_number_and_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let cells = |line: &str| {
        line.split(" | ").map(|cell| cell.trim_matches(['|', ' ']).to_string()).collect::<Vec<_>>()
    };
    let rows = text.lines().map(cells).filter(|cells| cells[0].parse::<u32>().is_ok());
    let rows: Vec<Vec<String>> = rows.collect();
    let numbers: Vec<u32> = rows.iter().map(|cells| cells[0].parse().unwrap()).collect();
    assert_eq!(numbers, (1..=28).collect::<Vec<_>>());
    for cells in rows {
        assert!(cells.len() == 4 && cells[3].contains("`: `"), "{cells:?}");
    }
    // A test that says which threat it is about is the one that the list names.
    let here = std::fs::read_to_string(root.join("tests/security/threats.rs")).unwrap();
    for part in here.split("/// Threat ").skip(1) {
        let number = part.split(':').next().unwrap();
        let name = part.split_once("fn ").unwrap().1.split('(').next().unwrap();
        let row = text.lines().find(|line| line.starts_with(&format!("| {number} |"))).unwrap();
        assert!(row.contains(&format!("`{name}`")), "{number}: {name}");
    }
}
