use super::*;

fn answer(status: u16, body: &str) -> Outcome {
    Outcome::Answered { status, retry_after: None, body: body.into() }
}

fn ok() -> Outcome {
    answer(200, r#"{"accepted":1,"rejected":0}"#)
}

fn refused() -> Outcome {
    Outcome::Nobody("connection refused".into())
}

fn silent() -> Outcome {
    Outcome::Failed("timeout".into())
}

/// Of a device that reports every ten seconds.
fn uplink() -> Uplink {
    Uplink::new(Duration::from_secs(10))
}

/// Fate, wait in seconds and what is said after one outcome at a fresh uplink.
fn after(outcome: &Outcome) -> (Fate, u64, String) {
    let decision = uplink().on_outcome(outcome, u32::MAX);
    (decision.fate, decision.wait.as_secs(), decision.say.unwrap_or_default())
}

#[track_caller]
fn check(outcome: &Outcome, fate: Fate, wait: u64, say: &str) {
    let (found_fate, found_wait, found_say) = after(outcome);
    assert_eq!((found_fate, found_wait), (fate, wait), "{outcome:?}");
    assert!(found_say.contains(say), "{outcome:?}: {found_say}");
}

#[test]
fn each_answer_has_its_fate() {
    let error = |text: &str| format!(r#"{{"error":{{"code":"x","message":"{text}"}}}}"#);
    check(&ok(), Fate::Forget, 0, "takes the reports");
    check(&answer(200, "<html>Sign in to the hotel</html>"), Fate::Keep, 60, "is the address right?");
    check(&answer(200, r#"{"message":"Status received"}"#), Fate::Keep, 60, "is the address right?");
    check(&answer(400, &error("byte 4")), Fate::Drop, 0, "answers 400: byte 4; this report is dropped");
    check(&answer(422, "?"), Fate::Drop, 0, "answers 422; this report is dropped");
    check(&answer(413, ""), Fate::Split, 0, "");
    check(&answer(401, &error("unknown")), Fate::Keep, 60, "does not know this device key");
    check(&answer(404, ""), Fate::Keep, 60, "is the address an OpenClaw Watch server's?");
    check(&answer(415, ""), Fate::Keep, 60, "answers 415");
    check(&answer(302, ""), Fate::Keep, 60, "not followed");
    check(&answer(503, &error("queue full")), Fate::Keep, 1, "answers 503: queue full");
    check(&answer(429, ""), Fate::Keep, 1, "answers 429");
    check(&answer(502, "<html>"), Fate::Keep, 1, "answers 502");
    check(&refused(), Fate::Keep, 1, "cannot be reached: connection refused");
    check(&silent(), Fate::Keep, 1, "cannot be reached: timeout");
}

#[test]
fn the_wait_doubles_up_to_its_bound_and_starts_again() {
    let mut uplink = uplink();
    let mut wait = |outcome: &Outcome| uplink.on_outcome(outcome, u32::MAX).wait.as_secs();
    for outcome in [silent(), answer(503, ""), answer(504, "")] {
        let waits: Vec<_> = (0..8).map(|_| wait(&outcome)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60], "{outcome:?}");
        assert_eq!(wait(&ok()), 0);
    }
    assert_eq!(wait(&silent()), 1);
    assert_eq!(backoff(u32::MAX, BACKOFF_MAX, u32::MAX), BACKOFF_MAX);
    assert_eq!(backoff(u32::MAX, BACKOFF_MAX, 0), BACKOFF_MIN, "the whole span is used");
    assert_eq!(backoff(5, BACKOFF_MAX, u32::MAX / 2).as_secs(), 15);
}

#[test]
fn a_server_that_is_not_there_is_looked_for_as_often_as_it_would_get_reports() {
    // A proxy that answers for it says the same.
    for absent in [refused(), answer(502, "<html>")] {
        for (interval_s, expected) in [
            (1, [1, 2, 4, 5, 5, 5, 5, 5]),
            (10, [1, 2, 4, 8, 10, 10, 10, 10]),
            (3_600, [1, 2, 4, 8, 16, 32, 60, 60]),
        ] {
            let mut uplink = Uplink::new(Duration::from_secs(interval_s));
            let mut wait = |outcome: &Outcome, random| uplink.on_outcome(outcome, random).wait;
            let waits: Vec<_> = (0..8).map(|_| wait(&absent, u32::MAX).as_secs()).collect();
            assert_eq!(waits, expected, "{absent:?}");
            assert_eq!(wait(&absent, 0), BACKOFF_MIN, "the whole span is used");
            // How long nobody was there says nothing about how busy the server is now.
            assert_eq!(wait(&answer(503, ""), u32::MAX).as_secs(), 1);
            assert_eq!(wait(&absent, u32::MAX).as_secs(), 1);
        }
    }
}

#[test]
fn retry_after_is_honoured_within_its_bound() {
    let wait = |status: u16, seconds: u64| {
        let retry_after = Some(Duration::from_secs(seconds));
        after(&Outcome::Answered { status, retry_after, body: Vec::new() }).1
    };
    assert_eq!(wait(503, 7), 7);
    assert_eq!(wait(429, 120), 120);
    assert_eq!(wait(502, 120), 120);
    assert_eq!(wait(503, 86_400), 300);
    assert_eq!(wait(503, 0), 1);
}

#[test]
fn a_trouble_is_said_once_and_so_is_its_end() {
    let mut uplink = uplink();
    let mut says = |outcome: &Outcome| uplink.on_outcome(outcome, 0).say.is_some();
    assert!(says(&ok()));
    assert!(!says(&ok()));
    assert!(says(&refused()));
    assert!(!says(&refused()));
    assert!(says(&answer(401, "")), "another trouble");
    assert!(!says(&answer(401, "")));
    assert!(says(&refused()));
    assert!(says(&ok()), "its end");
    assert!(!says(&ok()));
    assert!(says(&answer(400, "")), "a dropped report is always said");
    assert!(says(&answer(400, "")));
}

#[test]
fn rows_that_are_not_taken_are_said_once_per_reason() {
    let mut uplink = uplink();
    let mut say = |rejected: u32, message: &str| {
        let body = format!(
            r#"{{"accepted":1,"rejected":{rejected},"faults":[{{"code":"time","message":"{message}"}}]}}"#
        );
        let decision = uplink.on_outcome(&answer(200, &body), 0);
        assert_eq!(decision.fate, Fate::Forget, "sending it again would not help");
        decision.say
    };
    let expected = "the server did not take 2 rows of a report: in the future";
    assert_eq!(say(2, "in the future").as_deref(), Some(expected));
    assert_eq!(say(2, "in the future"), None);
    assert!(say(2, "too old").is_some());
    assert_eq!(say(0, ""), None);
    assert!(say(2, "too old").is_some());
    assert!(say(1, &"x".repeat(5_000)).unwrap().len() < 300);
}

#[test]
fn live_holds_until_the_server_says_otherwise_or_is_gone() {
    let mut uplink = uplink();
    let mut live = |outcome: &Outcome| uplink.on_outcome(outcome, 0).live;
    assert!(!live(&ok()));
    assert!(live(&answer(200, r#"{"accepted":1,"rejected":0,"live":true,"exec":"rm -rf /"}"#)));
    assert!(!live(&ok()));
    assert!(live(&answer(200, r#"{"accepted":0,"rejected":0,"live":true}"#)));
    assert!(!live(&refused()));
}

#[test]
fn a_slow_server_is_asked_for_old_reports_less_often() {
    let rests = [0, 20, 300, 1_000, 30_000].map(|took| rest(Duration::from_millis(took)).as_millis());
    assert_eq!(rests, [20, 20, 300, 1_000, 1_000]);
}
