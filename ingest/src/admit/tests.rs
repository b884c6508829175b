use super::*;

const NOW: Timestamp = 1_800_000_000_000;
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Judges a JSON report and shows what came of it: the kept rows, then the faults.
fn show(json: &str) -> String {
    let (report, faults) = wire::json::parse(json.as_bytes()).unwrap();
    show_admitted(&admit(report, faults, NOW, &Policy::default()))
}

fn show_admitted(admitted: &Admitted) -> String {
    let mut out = format!("{} kept, {} left out\n", admitted.accepted, admitted.rejected);
    for (row, t_ms) in admitted.rows.t_ms.iter().enumerate() {
        out += &format!("{:+}:", t_ms - NOW);
        for column in admitted.rows.columns.iter().filter(|column| column.present.has(row)) {
            out += &format!(" {}={}", column.metric, column.values[row]);
        }
        out += "\n";
    }
    for fault in &admitted.faults {
        let row = fault.row.map_or("-".to_string(), |row| row.to_string());
        out += &format!("fault {row} {} {}\n", fault.field.as_deref().unwrap_or("-"), fault.code);
    }
    out
}

#[track_caller]
fn check(rows: &str, expected: &str) {
    let expected: String = expected.lines().map(|line| format!("{}\n", line.trim())).collect();
    assert_eq!(show(&format!(r#"{{"rows": [{rows}]}}"#)), expected);
}

fn row(t_ms: i64, values: &str) -> String {
    format!(r#"{{"t_ms": {t_ms}, "v": {{{values}}}}}"#)
}

#[test]
fn good_rows_are_kept_as_they_are() {
    check(
        &[row(NOW, r#""a": 1.5, "b": -2"#), row(NOW - 1, r#""a": 3"#)].join(","),
        "2 kept, 0 left out
         +0: a=1.5 b=-2
         -1: a=3",
    );
}

#[test]
fn times_are_accepted_up_to_their_limits() {
    let rows = [
        row(NOW + 10 * MINUTE, r#""a": 1"#),
        row(NOW + 10 * MINUTE + 1, r#""a": 2"#),
        row(NOW - 30 * DAY, r#""a": 3"#),
        row(NOW - 30 * DAY - 1, r#""a": 4"#),
        row(i64::MIN, r#""a": 5"#),
        row(i64::MAX, r#""a": 6"#),
    ];
    check(
        &rows.join(","),
        "2 kept, 4 left out
         +600000: a=1
         -2592000000: a=3
         fault 1 t_ms invalid_time
         fault 3 t_ms invalid_time
         fault 4 t_ms invalid_time
         fault 5 t_ms invalid_time",
    );
}

#[test]
fn a_row_with_one_bad_value_or_name_is_left_out_and_its_neighbours_are_kept() {
    let rows = [
        row(NOW, r#""a": 1"#),
        row(NOW + 1, r#""a": NaN"#),
        row(NOW + 2, r#""a": 3, "Bad": 1"#),
        row(NOW + 3, r#""a": "x""#),
        row(NOW + 4, ""),
        row(NOW + 5, r#""a": 6, "b": 7"#),
        row(NOW + 6, r#""a": 1e999"#),
    ];
    check(
        &rows.join(","),
        "2 kept, 5 left out
         +0: a=1
         +5: a=6 b=7
         fault 1 a invalid_value
         fault 2 Bad invalid_name
         fault 3 a invalid_value
         fault 4 - empty
         fault 6 a invalid_value",
    );
}

#[test]
fn a_frame_may_hold_values_that_are_not_finite() {
    let mut builder = wire::RowsBuilder::default();
    builder.push(NOW, [("a", wire::Kind::Gauge, f64::NAN)]);
    builder.push(NOW + 1, [("a", wire::Kind::Gauge, 1.0), ("b", wire::Kind::Counter, f64::NEG_INFINITY)]);
    builder.push(NOW + 2, [("b", wire::Kind::Counter, 5.0)]);
    let report = Report { rows: builder.finish(), ..Report::default() };
    let admitted = admit(report, Vec::new(), NOW, &Policy::default());
    assert_eq!(
        show_admitted(&admitted),
        "1 kept, 2 left out\n+2: b=5\nfault 0 a invalid_value\nfault 1 b invalid_value\n"
    );
    assert_eq!(admitted.rows.columns.len(), 1, "a column nothing is left of is gone");
    assert_eq!(admitted.rows.columns[0].kind, store::Kind::Counter);
}

#[test]
fn values_that_are_not_present_are_not_judged() {
    let rows = wire::Rows {
        t_ms: vec![NOW, NOW + 1],
        columns: vec![wire::Column {
            name: "a".into(),
            kind: wire::Kind::Gauge,
            values: vec![f64::NAN, 1.0],
            present: wire::Presence::Bits(vec![0b10]),
        }],
    };
    let report = Report { rows, ..Report::default() };
    let admitted = admit(report, Vec::new(), NOW, &Policy::default());
    assert_eq!(show_admitted(&admitted), "1 kept, 1 left out\n+1: a=1\nfault 0 - empty\n");
}

#[test]
fn two_spellings_of_one_metric_are_one_column() {
    let rows = [
        row(NOW, r#""a{x=\"1\",y=\"2\"}": 1"#),
        row(NOW + 1, r#""a{y=\"2\",x=\"1\"}": 2"#),
        row(NOW + 2, r#""b": 0, "a{x=\"1\",y=\"2\"}": 3, "a{y=\"2\",x=\"1\"}": 4"#),
    ];
    check(
        &rows.join(","),
        r#"3 kept, 0 left out
           +0: a{x="1",y="2"}=1
           +1: a{x="1",y="2"}=2
           +2: a{x="1",y="2"}=4 b=0"#,
    );
}

#[test]
fn only_the_first_faults_are_listed_and_all_are_counted() {
    let rows: Vec<String> = (0..50).map(|i| row(NOW + DAY + i, r#""a": 1"#)).collect();
    let shown = show(&format!(r#"{{"rows": [{}]}}"#, rows.join(",")));
    assert!(shown.starts_with("0 kept, 50 left out\nfault 0 "), "{shown}");
    assert_eq!(shown.matches("fault").count(), FAULTS_MAX);
}

#[track_caller]
fn check_log(json: &str, expected: Result<(i64, Level, &str, &str), &str>) {
    let text = format!(r#"{{"logs": [{json}]}}"#);
    let (report, faults) = wire::json::parse(text.as_bytes()).unwrap();
    let admitted = admit(report, faults, NOW, &Policy::default());
    let got = admitted.logs.first().map(|l| (l.t_ms - NOW, l.level, l.source.as_str(), l.message.as_str()));
    match expected {
        Ok(line) => assert_eq!(got, Some(line)),
        Err(field) => {
            assert_eq!(got, None);
            assert_eq!(admitted.faults[0].field.as_deref(), Some(field));
        }
    }
}

#[test]
fn log_lines_are_bounded_and_their_times_believed_within_limits() {
    let line = |t_ms: i64, level: &str, message: &str| {
        format!(r#"{{"t_ms": {t_ms}, "level": "{level}", "source": "gateway", "message": "{message}"}}"#)
    };
    check_log(&line(NOW - 5, "WARNING", "x"), Ok((-5, Level::Warn, "gateway", "x")));
    check_log(&line(NOW, "mystery", "x"), Ok((0, Level::Info, "gateway", "x")));
    check_log(&line(NOW + DAY, "error", "x"), Ok((0, Level::Error, "gateway", "x")));
    check_log(&line(NOW - 31 * DAY, "error", "x"), Err("logs[0].t_ms"));
    check_log(&line(NOW, "info", r"a\u001b[31m\u0000b\n\tc"), Ok((0, Level::Info, "gateway", "a[31mb\n\tc")));
}

#[test]
fn usage_counts_only_when_it_can_be_counted_once_and_added_up() {
    let cases = [
        (r#"{"event_id": "e", "t_ms": 1, "input": 5, "cost_usd": 0.5, "cost_basis": "reported"}"#, None),
        (r#"{"event_id": "e", "t_ms": 1, "input": 5}"#, None),
        (r#"{"event_id": "", "t_ms": 1, "input": 5}"#, Some("usage[0].event_id")),
        (r#"{"event_id": "e", "t_ms": -1, "input": 5}"#, Some("usage[0].t_ms")),
        (r#"{"event_id": "e", "t_ms": 1, "input": 10000000000}"#, None),
        (r#"{"event_id": "e", "t_ms": 1, "input": 10000000001}"#, Some("usage[0].input")),
        (r#"{"event_id": "e", "t_ms": 1, "cost_usd": -0.5}"#, Some("usage[0].cost_usd")),
        (r#"{"event_id": "e", "t_ms": 1, "cost_usd": 1e300}"#, Some("usage[0].cost_usd")),
    ];
    for (json, field) in cases {
        let text = format!(r#"{{"usage": [{json}]}}"#);
        let (report, faults) = wire::json::parse(text.as_bytes()).unwrap();
        let admitted = admit(report, faults, NOW, &Policy::default());
        assert_eq!(admitted.faults.first().and_then(|fault| fault.field.as_deref()), field, "{json}");
        assert_eq!(admitted.usage.len(), usize::from(field.is_none()), "{json}");
    }
    let event = wire::Usage { event_id: "e".into(), t_ms: NOW + DAY, ..wire::Usage::default() };
    let report = Report { usage: vec![event], ..Report::default() };
    assert_eq!(admit(report, Vec::new(), NOW, &Policy::default()).usage[0].t_ms, NOW);
}

#[test]
fn states_are_words_and_facts_are_short_text() {
    let text = r#"{"states": {"gateway": "running", "Odd": "x", "mood": "very <b>good</b>"},
                   "facts": {"hostname": " nas\u0007 ", "os": "", "cores": 8}}"#;
    let (report, faults) = wire::json::parse(text.as_bytes()).unwrap();
    let admitted = admit(report, faults, NOW, &Policy::default());
    assert_eq!(admitted.states, [("gateway".to_string(), "running".to_string())]);
    assert_eq!(admitted.faults.len(), 2);
    let facts: Vec<_> = admitted.facts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(facts, [("hostname", "nas"), ("cores", "8")]);
}

#[test]
fn text_is_cut_between_characters() {
    assert_eq!(clean("aäb", 2), "a");
    assert_eq!(clean("aäb", 3), "aä");
    assert_eq!(clean("aäb", 100), "aäb");
}
