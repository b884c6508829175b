use std::io::Write;

use super::*;

const HEAD: &str = "{\"type\":\"session\",\"id\":\"s1\"}\n";

fn usage(id: u32) -> String {
    format!(
        "{{\"id\":\"{id}\",\"message\":{{\"role\":\"assistant\",\"timestamp\":{id},\"usage\":{{\"input\":{id}}}}}}}\n"
    )
}

/// A file in a folder of its own.
struct Case {
    _folder: tempfile::TempDir,
    path: PathBuf,
    cursor: Option<(FileId, FileCursor)>,
}

impl Case {
    fn new(name: &str, text: &[u8]) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        Case { _folder: folder, path, cursor: None }
    }

    fn append(&self, text: &[u8]) {
        File::options().append(true).open(&self.path).unwrap().write_all(text).unwrap();
    }

    /// Tokens in of the lines that were not read yet, `-` for a fault.
    fn read(&mut self) -> Vec<String> {
        let known = self.cursor.clone();
        let lines = Lines::open(&self.path, |id| known.filter(|known| known.0 == *id).map(|known| known.1));
        let Some(mut lines) = lines.unwrap() else { return vec!["not yet".into()] };
        let mut shown = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            match line.found {
                Found::Usage(spent, _) => shown.push(spent.input.to_string()),
                Found::Faulty => shown.push("-".into()),
                Found::Nothing => {}
            }
        }
        self.cursor = Some((lines.id().clone(), lines.cursor()));
        shown
    }
}

#[test]
fn transcripts_are_known_by_their_names() {
    for (name, expected) in [
        ("5b0e.jsonl", true),
        ("5b0e.jsonl.reset.2026-11-22T11-08-51.310Z", true),
        ("5b0e.jsonl.deleted.2026-11-22T10-54-39.314Z", true),
        ("5b0e.jsonl.deleted.2026-11-22T10-54-39.314Z.f075.zst", true),
        ("key.5b0e.jsonl.imported-1795344012841", true),
        ("0f3a.jsonl.zst", true),
        ("5b0e.trajectory.jsonl", false),
        ("5b0e.trajectory-path.json", false),
        ("5b0e.checkpoint.1f3c.jsonl", false),
        ("5b0e.jsonl.bak", false),
        ("sessions.json", false),
        (".jsonl", false),
    ] {
        assert_eq!(is_transcript(name), expected, "{name}");
    }
}

#[test]
fn only_what_was_added_is_read_again() {
    let mut case = Case::new("a.jsonl", format!("{HEAD}{}", usage(1)).as_bytes());
    assert_eq!(case.read(), ["1"]);
    assert!(case.read().is_empty());
    case.append(usage(2).as_bytes());
    assert_eq!(case.read(), ["2"]);
}

#[test]
fn a_line_that_is_being_written_is_read_when_it_is_complete() {
    let mut case = Case::new("a.jsonl", b"{\"type\":\"sess");
    assert_eq!(case.read(), ["not yet"]);
    case.append(b"ion\"}\n");
    let line = usage(1);
    let (first, second) = line.split_at(30);
    case.append(first.as_bytes());
    assert!(case.read().is_empty());
    case.append(second.as_bytes());
    assert_eq!(case.read(), ["1"]);
}

#[test]
fn a_file_that_was_renamed_is_the_same_and_one_that_was_rewritten_is_not() {
    let mut case = Case::new("a.jsonl", format!("{HEAD}{}", usage(1)).as_bytes());
    assert_eq!(case.read(), ["1"]);
    let renamed = case.path.with_file_name("a.jsonl.deleted.2026");
    fs::rename(&case.path, &renamed).unwrap();
    case.path = renamed;
    case.append(usage(2).as_bytes());
    assert_eq!(case.read(), ["2"]);
    fs::write(&case.path, format!("{HEAD}{}", usage(3))).unwrap();
    assert_eq!(case.read(), ["3"], "shorter than before");
    fs::write(&case.path, format!("{HEAD}{}{}", usage(4), usage(5))).unwrap();
    assert_eq!(case.read(), ["4", "5"], "longer, with another beginning");
}

#[test]
fn a_packed_file_is_its_unpacked_one() {
    let text = format!("{HEAD}{}", usage(1));
    let mut case = Case::new("a.jsonl", text.as_bytes());
    assert_eq!(case.read(), ["1"]);
    let packed = zstd::encode_all(format!("{text}{}", usage(2)).as_bytes(), 3).unwrap();
    case.path = case.path.with_file_name("a.jsonl.deleted.2026.zst");
    fs::write(&case.path, &packed).unwrap();
    assert_eq!(case.read(), ["2"]);
    fs::write(&case.path, &packed[..packed.len() - 4]).unwrap();
    case.cursor = None;
    let lines = Lines::open(&case.path, |_| None);
    let broken = lines.and_then(|lines| {
        let mut lines = lines.expect("it has a head");
        while lines.next_line()?.is_some() {}
        Ok(())
    });
    assert!(broken.is_err(), "half a packed file is an error, not a short file");
}

#[test]
fn lines_of_any_length_and_content_leave_the_next_ones_readable() {
    let long = |content: &str, end: &str| {
        let size = 3 * LINE_HELD_BYTES_MAX;
        format!(
            "{{\"id\":\"x\",\"message\":{{\"content\":\"{}\",\"usage\":{{\"input\":7}}{end}\n",
            content.repeat(size / content.len())
        )
    };
    for (line, expected) in [
        (long("x", "}}").into_bytes(), vec!["7", "1"]),
        (long("\\\"usage\\\"", "}}").into_bytes(), vec!["7", "1"]),
        (long("x", "}").into_bytes(), vec!["-", "1"]),
        (vec![b'x'; 5 * LINE_HELD_BYTES_MAX + 1].into_iter().chain(*b"\n").collect(), vec!["-", "1"]),
        (b"\xff\xfe \"usage\"\n".to_vec(), vec!["-", "1"]),
        (b"\n\n{}\nnull\n".to_vec(), vec!["1"]),
    ] {
        let mut case = Case::new("a.jsonl", &[HEAD.as_bytes(), &line, usage(1).as_bytes()].concat());
        assert_eq!(case.read(), expected, "{} bytes", line.len());
        assert!(case.read().is_empty());
        case.append(usage(2).as_bytes());
        assert_eq!(case.read(), ["2"]);
        // Without its end the long line is not read at all.
        let mut case = Case::new("a.jsonl", &[HEAD.as_bytes(), &line[..line.len() - 1]].concat());
        case.read();
        case.append(b"\n");
        case.append(usage(3).as_bytes());
        assert_eq!(case.read().last().unwrap(), "3");
    }
}

#[test]
fn prompts_are_told_from_other_lines() {
    let text = format!("{HEAD}{{\"message\":{{\"role\":\"user\",\"content\":\"secret\"}}}}\n");
    let case = Case::new("a.jsonl", text.as_bytes());
    let mut lines = Lines::open(&case.path, |_| None).unwrap().unwrap();
    let prompts: Vec<bool> =
        std::iter::from_fn(|| lines.next_line().unwrap()).map(|line| line.prompt).collect();
    assert_eq!(prompts, [false, true]);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(Lines::open(&path, |_| None).unwrap().is_none());
}
