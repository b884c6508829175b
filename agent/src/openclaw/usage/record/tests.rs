use super::*;

/// A record as OpenClaw writes it, around this usage.
fn record(usage: &str) -> String {
    format!(
        r#"{{"type":"message","id":"a1b2c3d4","parentId":"9c","timestamp":"2026-11-22T10:40:13.021Z","message":{{"role":"assistant","content":[{{"type":"text","text":"secret"}}],"provider":"acme","model":"acme-large","usage":{usage},"stopReason":"stop","timestamp":1795344012841,"responseId":"c8"}}}}"#
    )
}

/// Both ways of reading have to agree.
#[track_caller]
fn found(text: &str) -> Found {
    let found = parse_slice(text.as_bytes());
    assert_eq!(found, parse_reader(text.as_bytes()), "{text}");
    found
}

#[track_caller]
fn check(usage: &str, expected: &str) {
    let shown = match found(&record(usage)) {
        Found::Nothing => "nothing".to_string(),
        Found::Faulty => "faulty".to_string(),
        Found::Usage(spent, bad) => format!(
            "{} {} {} {} {:?}{}",
            spent.input,
            spent.output,
            spent.cache_read,
            spent.cache_write,
            spent.cost_usd,
            if bad { " bad" } else { "" }
        ),
    };
    assert_eq!(shown, expected, "{usage}");
}

#[test]
fn usage_is_read_in_every_shape_it_was_written_in() {
    check(
        r#"{"input":1200,"output":340,"cacheRead":9000,"cacheWrite":5,"totalTokens":10545,"cost":{"input":0.1,"total":0.0114}}"#,
        "1200 340 9000 5 Some(0.0114)",
    );
    check(
        r#"{"input_tokens":1,"output_tokens":2,"cache_read_input_tokens":3,"cache_creation_input_tokens":4}"#,
        "1 2 3 4 None",
    );
    check(r#"{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#, "1 2 0 0 None");
    check(r#"{"input":1,"input_tokens":100,"output":2}"#, "1 2 0 0 None");
    check(r#"{"input":7}"#, "7 0 0 0 None");
    check(r#"{"input":1.0,"output":2e1}"#, "1 20 0 0 None");
    check("null", "nothing");
    let beside = r#"{"id":"x","timestamp":"2026-11-22T10:40:13.021Z","message":{"role":"assistant"},"usage":{"input":3}}"#;
    assert!(matches!(found(beside), Found::Usage(Spent { input: 3, t_ms: Some(1795344013021), .. }, false)));
}

#[test]
fn what_makes_no_sense_counts_as_nothing_and_is_noted() {
    check(r#"{"input":"1200","output":340}"#, "0 340 0 0 None bad");
    check(r#"{"input":-5,"output":340,"cacheRead":[1],"cacheWrite":{}}"#, "0 340 0 0 None bad");
    check(r#"{"input":1e300,"output":1}"#, "0 1 0 0 None bad");
    check(r#"{"input":"1","output":"2"}"#, "faulty");
    check(r#"{"totalTokens":17}"#, "faulty");
    check("{}", "faulty");
    check("[]", "faulty");
    check("\"17\"", "faulty");
    check("17", "faulty");
    check(r#"{"input":1,"cost":{"total":-1}}"#, "1 0 0 0 None bad");
    check(r#"{"input":1,"cost":{"total":"1"}}"#, "1 0 0 0 None bad");
    check(r#"{"input":1,"cost":"free"}"#, "1 0 0 0 None bad");
}

#[test]
fn a_cost_of_nothing_is_one_only_if_the_provider_said_so() {
    check(r#"{"input":1,"cost":{"input":0,"total":0}}"#, "1 0 0 0 None");
    check(r#"{"input":1,"cost":{"total":0,"totalOrigin":"provider-billed"}}"#, "1 0 0 0 Some(0.0)");
    check(r#"{"input":1,"cost":0.5}"#, "1 0 0 0 Some(0.5)");
    check(r#"{"input":1,"cost":{}}"#, "1 0 0 0 None");
}

#[test]
fn a_record_that_is_no_record_is_a_fault_and_one_without_usage_is_nothing() {
    for text in ["", "{", "{}x", "17", "\"usage\"", "{\"message\":{\"usage\":{\"input\":1}"] {
        assert_eq!(found(text), Found::Faulty, "{text}");
    }
    for text in ["{}", r#"{"message":"usage"}"#, r#"{"message":{"content":"\"usage\""}}"#] {
        assert_eq!(found(text), Found::Nothing, "{text}");
    }
    let deep = format!(
        r#"{{"message":{{"content":{}{},"usage":{{"input":1}}}}}}"#,
        "[".repeat(9_999),
        "]".repeat(9_999)
    );
    assert!(
        matches!(found(&deep), Found::Usage(..)),
        "what is passed over may be nested as deep as it likes"
    );
    let broken = b"{\"id\":\"x\",\"message\":{\"content\":\"\xff\xfe\",\"usage\":{\"input\":1}}}";
    assert!(matches!(parse_slice(broken), Found::Usage(..)), "so may it be no text");
}

fn id(text: &str) -> EventId {
    match found(text) {
        Found::Usage(spent, _) => spent.id,
        other => panic!("{other:?}: {text}"),
    }
}

#[test]
fn a_message_is_known_by_its_id_and_time() {
    let whole = id(&record(r#"{"input":1}"#));
    assert_eq!(id(&record(r#"{"input":1,"output":0,"more":[]}"#)), whole);
    assert_eq!(id(r#"{"id":"a1b2c3d4","message":{"timestamp":1795344012841,"usage":{"input":1}}}"#), whole);
    let other_file = r#"{"id":"a1b2c3d4","message":{"timestamp":1795344012842,"usage":{"input":1}}}"#;
    assert_ne!(id(other_file), whole, "the same short id in another file is another message");
    assert_ne!(id(r#"{"id":"a1b2c3d5","message":{"timestamp":1795344012841,"usage":{"input":1}}}"#), whole);
    let without = |input, response: &str| {
        id(&format!(
            r#"{{"message":{{"timestamp":5,"responseId":"{response}","usage":{{"input":{input}}}}}}}"#
        ))
    };
    assert_eq!(without(1, "a"), without(1, "a"));
    assert_ne!(without(1, "a"), without(2, "a"));
    assert_ne!(without(1, "a"), without(1, "b"));
    // The server keeps ids for good: a change here would count everything again.
    assert_eq!(whole.to_string(), "0799cee03032232932b3d22bade6e34e");
}

#[test]
fn long_names_are_cut_between_characters() {
    let text = record(r#"{"input":1}"#).replace("acme-large", &"é".repeat(200));
    let Found::Usage(spent, false) = found(&text) else { panic!("it is usage") };
    assert_eq!(spent.model, "é".repeat(128));
}
