use proptest::prelude::*;

use super::*;
use crate::report::Presence;
use crate::testing::{bits, example, finite, reports};

#[track_caller]
fn parsed(text: &str) -> (Report, Vec<Fault>) {
    parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn refused(text: &str, message: &str) {
    assert_eq!(parse(text.as_bytes()).expect_err("must be refused").to_string(), message, "{text}");
}

/// The faults of a text as `row field code`.
fn faults(text: &str) -> Vec<String> {
    let show = |fault: &Fault| {
        let row = fault.row.map_or("-".into(), |row| row.to_string());
        format!("{row} {} {}", fault.field.as_deref().unwrap_or("-"), fault.code)
    };
    parsed(text).1.iter().map(show).collect()
}

#[test]
fn the_example_prints_as_the_contract_has_it() {
    let expected = concat!(
        r#"{"agent":{"version":"1.0.0","boot_id":"00010203-0405-0607-0809-0a0b0c0d0e0f","seq":42,"interval_s":10},"#,
        r#""facts":{"hostname":"box","cores":8},"#,
        r#""rows":[{"t_ms":1795343922420,"v":{"cpu_percent":12.5,"memory_used":4238622720,"net_tx_bytes_total":7}},"#,
        r#"{"t_ms":1795343923420,"v":{"cpu_percent":13.1,"disk_used{mount=\"/data\"}":1}}],"#,
        r#""counters":["net_tx_bytes_total"],"#,
        r#""states":{"gateway":"running"},"#,
        r#""usage":[{"event_id":"e1","t_ms":1795343922000,"agent":"main","provider":"acme","model":"acme-large","#,
        r#""input":1200,"output":340,"cache_read":9000,"cache_write":0,"cost_usd":0.0121,"cost_basis":"reported"}],"#,
        r#""logs":[{"t_ms":1795343922001,"level":"error","source":"gateway","message":"<script> \"é\"\n"}]}"#,
    );
    assert_eq!(to_json(&example()), expected);
    assert_eq!(parsed(expected), (example(), vec![]));
    assert_eq!(parsed(&to_json_pretty(&example())), (example(), vec![]));
}

#[test]
fn almost_everything_may_be_absent() {
    assert_eq!(parsed("{}"), (Report::default(), vec![]));
    assert_eq!(parsed(r#"{"agent":null,"rows":null,"logs":null,"new":[{}]}"#), (Report::default(), vec![]));
    let (report, faults) = parsed(r#" {"rows":[{"t_ms":5,"v":{"a":1},"more":0},{"t_ms":6}],"x":[[[]]]} "#);
    assert_eq!(faults, []);
    assert_eq!(report.agent.boot, None);
    assert_eq!(report.rows.t_ms, [5, 6]);
    assert_eq!(report.rows.columns[0].present, Presence::Bits(vec![1]));
}

#[test]
fn broken_json_says_where() {
    refused("", "broken JSON at line 1, column 0: EOF while parsing a value");
    refused("{\n\"rows\": [}", "broken JSON at line 2, column 10: expected value");
    refused("{} x", "broken JSON at line 1, column 4: trailing characters");
    refused("{\"agent\":{\"a\":01}}", "broken JSON at line 1, column 16: invalid number");
    let error = parse(b"{\n\"a\":\"\xff\"}").unwrap_err();
    assert_eq!(error.to_string(), "broken JSON at line 2, column 6: a byte that is not UTF-8");
    // Depth costs nothing: what nobody reads is not built.
    let deep = format!("{{\"x\":{}}}", "[".repeat(1 << 20));
    assert!(matches!(parse(deep.as_bytes()), Err(JsonError::Syntax { .. })));
}

#[test]
fn other_shapes_say_what() {
    refused("[]", "the report: invalid type: sequence, expected an object");
    refused("7", "the report: invalid type: integer `7`, expected an object");
    refused(r#"{"agent":[]}"#, "agent: invalid type: sequence, expected an object");
    refused(r#"{"agent":{"boot_id":"x","seq":1}}"#, &format!("agent.boot_id: {}", crate::BootIdFault));
    refused(r#"{"agent":{"seq":1}}"#, "agent.boot_id: boot_id and seq come together or not at all");
    refused(
        r#"{"agent":{"boot_id":"00010203-0405-0607-0809-0a0b0c0d0e0f"}}"#,
        "agent.seq: boot_id and seq come together or not at all",
    );
    refused(
        r#"{"agent":{"boot_id":"00010203-0405-0607-0809-0a0b0c0d0e0f","seq":-1}}"#,
        "agent.seq: invalid value: integer `-1`, expected u64",
    );
    refused(
        r#"{"agent":{"interval_s":"10"}}"#,
        "agent.interval_s: invalid type: string \"10\", expected u32",
    );
    refused(r#"{"facts":{"cores":1.5}}"#, "facts.cores: invalid type: floating point `1.5`, expected u32");
    refused(r#"{"facts":{"os":7}}"#, "facts.os: invalid type: integer `7`, expected a string");
    refused(r#"{"rows":{}}"#, "rows: invalid type: map, expected an array");
    refused(r#"{"counters":[1]}"#, "counters[0]: invalid type: integer `1`, expected a string");
    refused(
        r#"{"states":{"gateway":true}}"#,
        "states.gateway: invalid type: boolean `true`, expected a string",
    );
    refused(r#"{"logs":3}"#, "logs: invalid type: integer `3`, expected an array");
}

#[test]
fn a_bad_row_is_a_fault_beside_the_good_ones() {
    let text = r#"{"rows":[
        {"t_ms":1,"v":{"a":1,"b":"x"}},
        {"t_ms":2,"v":{"a":2}},
        {"v":{"a":3}},
        {"t_ms":"4","v":{"a":4}},
        5,
        {"t_ms":6,"v":{"a":null}},
        {"t_ms":7,"v":{"a":1e999}},
        {"t_ms":8,"v":[1]},
        {"t_ms":9,"v":{"a":9}}]}"#;
    let expected = [
        "0 b invalid_value",
        "2 t_ms invalid_time",
        "3 t_ms invalid_time",
        "4 - invalid",
        "5 a invalid_value",
        "6 a invalid_value",
        "7 v invalid",
    ];
    assert_eq!(faults(text), expected);
    let (report, faults) = parsed(text);
    assert_eq!(report.rows.t_ms, [2, 9]);
    assert_eq!(report.rows.columns.len(), 1, "a bad row adds no metric");
    assert_eq!(report.rows.columns[0].values, [2.0, 9.0]);
    assert_eq!([0, 1, 2].map(|row| original_row(row, &faults)), [1, 8, 9]);
}

#[test]
fn python_words_for_values_that_are_not_finite_are_faults_of_their_rows() {
    let text = r#"{"rows":[{"t_ms":1,"v":{"a":NaN}},{"t_ms":2,"v":{"a":-Infinity,"b":1}},
        {"t_ms":3,"v":{"NaN":1}},{"t_ms":4,"v":{"a":Infinity}},{"t_ms":NaN,"v":{}}],
        "logs":[{"t_ms":1,"message":"say \"NaN\" \\"}]}"#;
    assert_eq!(
        faults(text),
        ["0 a invalid_value", "1 a invalid_value", "3 a invalid_value", "4 t_ms invalid_time"]
    );
    let (report, _) = parsed(text);
    assert_eq!(report.rows.columns[0].name, "NaN");
    assert_eq!(report.logs[0].message, "say \"NaN\" \\");
    // What is broken otherwise stays broken, and the place is the one in the text that was sent.
    refused("{\"rows\":[NaN,}", "broken JSON at line 1, column 14: expected value");
    refused("{\"rows\":[nan]}", "broken JSON at line 1, column 11: expected ident");
}

#[test]
fn times_may_have_a_fraction() {
    let (report, faults) = parsed(
        r#"{"rows":[{"t_ms":1795343922420.9},{"t_ms":9223372036854775807},{"t_ms":-5},{"t_ms":1e15},{"t_ms":1e300}]}"#,
    );
    assert_eq!(report.rows.t_ms, [1795343922420, i64::MAX, -5, 1_000_000_000_000_000]);
    assert_eq!(faults.len(), 1);
}

#[test]
fn counters_are_the_metrics_named_so() {
    let (report, _) = parsed(r#"{"rows":[{"t_ms":1,"v":{"a":1,"b":2}}],"counters":["b","c"]}"#);
    let kinds: Vec<_> = report.rows.columns.iter().map(|column| column.kind).collect();
    assert_eq!(kinds, [Kind::Gauge, Kind::Counter]);
}

#[test]
fn bad_usage_and_logs_are_faults_beside_the_good_ones() {
    let long = "m".repeat(crate::bounds::LOG_BYTES_MAX + 1);
    let text = format!(
        r#"{{"usage":[{{"event_id":"a","t_ms":1}},{{"t_ms":1}},{{"event_id":"b","t_ms":2,"input":-1}}],
            "logs":[{{"t_ms":1,"message":"{long}"}},{{"t_ms":2,"message":"ok"}},{{"t_ms":3}},{{"t_ms":4,"message":"\ud800"}}]}}"#
    );
    assert_eq!(
        faults(&text),
        [
            "- usage[1] invalid",
            "- usage[2].input invalid",
            "- logs[0] invalid",
            "- logs[2] invalid",
            "- logs[3].message invalid"
        ]
    );
    let (report, _) = parsed(&text);
    assert_eq!((report.usage.len(), report.logs.len()), (1, 1));
    assert_eq!(report.usage[0].cost_usd, None);
}

#[test]
fn long_names_are_faults_and_are_not_repeated_in_full() {
    let text = format!(r#"{{"rows":[{{"t_ms":1,"v":{{"{}":1}}}}]}}"#, "é".repeat(200));
    let (_, faults) = parsed(&text);
    assert_eq!(faults[0].code, FAULT_NAME);
    assert_eq!(faults[0].field.as_deref().map(|field| field.chars().count()), Some(81));
}

#[test]
fn too_much_is_refused_as_such() {
    let too_large = |text: String| matches!(parse(text.as_bytes()), Err(JsonError::TooLarge { .. }));
    let rows = |n: usize| vec![r#"{"t_ms":1}"#; n].join(",");
    assert!(!too_large(format!(r#"{{"rows":[{}]}}"#, rows(ROWS_MAX))));
    assert!(too_large(format!(r#"{{"rows":[{}]}}"#, rows(ROWS_MAX + 1))));
    // 10,000 short rows that would unfold to 10,000 x 1,000 cells.
    let sparse: Vec<_> =
        (0..ROWS_MAX).map(|i| format!(r#"{{"t_ms":1,"v":{{"m{}":1}}}}"#, i % 1_000)).collect();
    assert!(too_large(format!(r#"{{"rows":[{}]}}"#, sparse.join(","))));
    let metrics: Vec<_> = (0..=COLUMNS_MAX).map(|i| format!(r#"{{"t_ms":1,"v":{{"m{i}":1}}}}"#)).collect();
    assert!(too_large(format!(r#"{{"rows":[{}]}}"#, metrics.join(","))));
    let states: Vec<_> = (0..=STATES_MAX).map(|i| format!(r#""s{i}":"x""#)).collect();
    assert!(too_large(format!(r#"{{"states":{{{}}}}}"#, states.join(","))));
    assert!(too_large(format!(r#"{{"logs":[{}]}}"#, vec!["0"; LOGS_MAX + 1].join(","))));
    assert!(too_large(format!(r#"{{"facts":{{"os":"{}"}}}}"#, "o".repeat(1_025))));
    assert!(too_large(" ".repeat(REPORT_BYTES_MAX + 1)));
}

proptest! {
    #[test]
    fn json_brings_back_every_finite_bit(report in reports(finite())) {
        let mut report = report;
        // A JSON object has each name once.
        report.states.sort();
        report.states.dedup_by(|a, b| a.0 == b.0);
        let (parsed, faults) = parse(to_json(&report).as_bytes()).unwrap();
        prop_assert_eq!(faults, vec![]);
        prop_assert_eq!(bits(&parsed), bits(&report));
    }

    #[test]
    fn a_row_read_in_one_go_is_the_row_read_part_by_part(
        fields in proptest::collection::vec(proptest::sample::select(vec![
            r#""t_ms":5"#, r#""t_ms":-6"#, r#""t_ms":5.5"#, r#""t_ms":null"#, r#""v":{}"#, r#""v":{"a":1,"b":-0.0}"#,
            r#""v":{"a":1,"a":2.5e300}"#, r#""v":null"#, r#""v":{"a":null}"#, r#""v":{"a":1e999}"#, r#""v":[1]"#,
            r#""x":[{"v":1}]"#, r#""\u0076":{"\u0062":18446744073709551616}"#,
        ]), 0..4),
    ) {
        let text = format!("{{{}}}", fields.join(", "));
        let raw: &RawValue = serde_json::from_str(&text).unwrap();
        if let Some((t_ms, values)) = raw::plain_row(raw, 1, 100) {
            prop_assert!(values.len() <= 1);
            prop_assert_eq!(parse_parts(raw), Ok((t_ms, values)));
        }
        if let Some((t_ms, values)) = raw::plain_row(raw, 9, 1) {
            let bits = |values: Vec<(Cow<'_, str>, f64)>| -> Vec<(String, u64)> {
                values.into_iter().map(|(name, v)| (name.into_owned(), v.to_bits())).collect()
            };
            let parts = parse_parts(raw).map(|(t_ms, values)| (t_ms, bits(values)));
            prop_assert_eq!(parts, Ok((t_ms, bits(values))));
        }
    }

    #[test]
    fn no_text_panics(text in r#"([\[\]{},:"\\ ]|NaN|-|"rows"|"t_ms"|"v"|"logs"|"agent"|null|1|1e9|x|é){0,40}"#) {
        let _ = parse(text.as_bytes());
    }

    #[test]
    fn changed_reports_never_panic(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut text = to_json(&example()).into_bytes();
        for (at, value) in changes {
            let at = at.index(text.len());
            text[at] = value;
        }
        let _ = parse(&text);
    }
}
