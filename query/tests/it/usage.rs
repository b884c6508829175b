//! Token usage and what it costs, as people and scripts ask for it.

use serde_json::{Value, json};
use store::Timestamp;

use crate::http::send;
use crate::server::{Person, START_MS, Server};

const HOUR: i64 = 3_600_000;

/// That time of the day (UTC) at which the tests begin, 2026-11-22; below 0 on a day before.
fn at(time: &str) -> Timestamp {
    let (hour, minute) = time.split_once(':').unwrap();
    START_MS - START_MS.rem_euclid(24 * HOUR)
        + hour.parse::<i64>().unwrap() * HOUR
        + minute.parse::<i64>().unwrap() * 60_000
}

/// Waits until the ledger has this many messages.
async fn recorded(admin: &Person, messages: u64) {
    admin.until("/api/v1/usage", |usage| usage["total"]["messages"] == messages).await;
}

async fn spent() -> (Server, Person) {
    let (server, admin) = Server::signed_in().await;
    admin.add_device("nas").await;
    admin.add_device("=vps").await;
    server.spend(1, at("-30:00"), "m-large", 1_000_000, None).await;
    server.spend(1, at("00:30"), "m-large", 2_000_000, Some(7.5)).await;
    server.spend(1, at("01:30"), "m-small", 3_000_000, None).await;
    server.spend(2, at("09:00"), "m-small", 4_000_000, None).await;
    recorded(&admin, 4).await;
    (server, admin)
}

fn rows(answer: &Value, fields: &[&str]) -> Vec<String> {
    let text = |row: &Value| fields.iter().map(|f| row[*f].to_string()).collect::<Vec<_>>().join(" ");
    answer["rows"].as_array().unwrap().iter().map(text).collect()
}

#[tokio::test]
async fn usage_is_told_by_what_is_asked_for_in_that_order() {
    let (_server, admin) = spent().await;
    let all = admin.get("/api/v1/usage").await.expect(200);
    assert_eq!(
        (&all["from"], &all["to"], &all["tz"]),
        (&json!("2026-11-20"), &json!("2026-11-22"), &json!("UTC"))
    );
    assert_eq!(
        all["rows"],
        json!([{"messages": 4, "tokens": 10_000_000, "input": 10_000_000, "output": 0, "cache_read": 0,
            "cache_write": 0, "cost_usd": 15.5,
            "cost": {"reported_usd": 7.5, "price_table_usd": 0, "default_usd": 8, "unknown_tokens": 0}}])
    );
    assert_eq!(all["total"], all["rows"][0]);

    let by_model = admin.get("/api/v1/usage?by=model,device&from=2026-11-22").await.expect(200);
    assert_eq!(
        rows(&by_model, &["model", "device", "device_name", "tokens"]),
        [r#""m-large" 1 "nas" 2000000"#, r#""m-small" 1 "nas" 3000000"#, r#""m-small" 2 "=vps" 4000000"#]
    );
    assert_eq!(by_model["rows"][0].get("day"), None);
    let one =
        admin.get("/api/v1/usage?by=agent,provider&device=2&model=m-small&agent=main").await.expect(200);
    assert_eq!(rows(&one, &["agent", "provider", "tokens"]), [r#""main" "acme" 4000000"#]);
    let none = admin.get("/api/v1/usage?by=day&provider=other").await.expect(200);
    assert_eq!((&none["rows"], &none["total"]["tokens"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn steps_are_columns_with_zeros_where_nothing_was_used() {
    let (_server, admin) = spent().await;
    let query = format!("from_ms={}&to_ms={}&step_ms={HOUR}", at("00:10"), at("03:00"));
    let steps = admin.get(&format!("/api/v1/usage/steps?{query}")).await.expect(200);
    let cost =
        steps["cost_usd"].as_array().unwrap().iter().map(|usd| usd.as_f64().unwrap()).collect::<Vec<_>>();
    assert_eq!((&steps["from_ms"], &steps["step_ms"]), (&json!(at("00:00")), &json!(HOUR)));
    assert_eq!((&steps["input"], &steps["messages"]), (&json!([2_000_000, 3_000_000, 0]), &json!([1, 1, 0])));
    assert_eq!((cost, &steps["output"]), (vec![7.5, 3.0, 0.0], &json!([0, 0, 0])));
    let other = admin.get(&format!("/api/v1/usage/steps?{query}&device=2")).await.expect(200);
    assert_eq!(other["input"], json!([0, 0, 0]));
    let long = format!("/api/v1/usage/steps?from_ms=0&to_ms={START_MS}");
    assert_eq!(admin.get(&long).await.error(), (422, "invalid".into(), Some("step_ms".into())));
}

#[tokio::test]
async fn a_day_begins_at_midnight_of_the_asked_zone() {
    let (_server, admin) = spent().await;
    let days = async |tz: &str| {
        let answer = admin.get(&format!("/api/v1/usage?by=day&tz={tz}")).await.expect(200);
        rows(&answer, &["day", "tokens"]).join(", ")
    };
    assert_eq!(days("UTC").await, r#""2026-11-20" 1000000, "2026-11-22" 9000000"#);
    // UTC-5: the two of the first hours belong to the day before.
    assert_eq!(
        days("America/New_York").await,
        r#""2026-11-20" 1000000, "2026-11-21" 5000000, "2026-11-22" 4000000"#
    );
    // UTC+5:45.
    assert_eq!(days("Asia/Kathmandu").await, r#""2026-11-20" 1000000, "2026-11-22" 9000000"#);
    let device = admin.get("/api/v1/devices/1?tz=America/New_York").await.expect(200)["device"].clone();
    assert_eq!(device["usage"]["today"], json!({"tokens": 0, "cost_usd": 0, "basis": []}));
    assert_eq!(
        device["usage"]["yesterday"],
        json!({"tokens": 5_000_000, "cost_usd": 10.5, "basis": ["reported", "default"]})
    );
    assert_eq!(
        (&device["tokens_today"], &device["usage"]["total"]["tokens"]),
        (&json!(0), &json!(6_000_000))
    );
    let summary = admin.get("/api/v1/summary").await.expect(200);
    assert_eq!(
        summary["tokens"],
        json!({"today": 9_000_000, "yesterday": 0, "month": 10_000_000, "total": 10_000_000})
    );
    assert_eq!(summary["cost_basis"]["today"], json!(["reported", "default"]));
    let list = admin.get("/api/v1/devices").await.expect(200);
    assert_eq!(list["devices"][1]["usage"]["today"]["tokens"], 4_000_000);
}

#[tokio::test]
async fn new_prices_price_anew_from_their_day_on() {
    let (server, admin) = spent().await;
    let before = admin.get("/api/v1/prices").await.expect(200);
    let flat = json!({"input": 1, "output": 1, "cache_read": 1, "cache_write": 1});
    assert_eq!((&before["prices"], &before["default"]), (&json!([]), &flat));
    assert_eq!(before["models"][0]["model"], "m-small");
    assert_eq!(before["models"][1]["unreported_tokens"], 1_000_000);
    assert_eq!(before["models"][1]["basis"], "default");

    let entry = json!({"provider": "ACME", "model": "m-*", "from": "2026-11-22", "input": 2, "output": 0,
        "cache_read": 0, "cache_write": 0});
    let table = json!({"prices": [entry], "default": null});
    let after = admin.send("PUT", "/api/v1/prices", &table).await.expect(200);
    assert_eq!((&after["prices"], &after["default"]), (&table["prices"], &Value::Null));
    let cost = async |query: &str| {
        let answer = admin.get(&format!("/api/v1/usage?{query}")).await.expect(200);
        answer["total"]["cost"].clone()
    };
    let today = json!({"reported_usd": 7.5, "price_table_usd": 14, "default_usd": 0, "unknown_tokens": 0});
    assert_eq!(cost("from=2026-11-22").await, today);
    let first =
        json!({"reported_usd": 0, "price_table_usd": 0, "default_usd": 0, "unknown_tokens": 1_000_000});
    assert_eq!(cost("to=2026-11-21").await, first);
    let summary = admin.get("/api/v1/summary").await.expect(200);
    assert_eq!((&summary["cost_usd"]["today"], &summary["cost_usd"]["total"]), (&json!(21.5), &json!(21.5)));
    assert_eq!(summary["cost_basis"]["total"], json!(["reported", "price_table", "unknown"]));
    server.spend(2, at("10:00"), "m-small", 1_000_000, None).await;
    recorded(&admin, 5).await;
    let summary = admin.get("/api/v1/summary").await.expect(200);
    assert_eq!(summary["cost_usd"]["today"], json!(23.5));

    let wrong = json!({"prices": [{"provider": "a"}], "default": null});
    let answer = admin.send("PUT", "/api/v1/prices", &wrong).await.error();
    assert_eq!(answer, (422, "invalid".into(), Some("prices[0].from".into())));
    assert_eq!(admin.get("/api/v1/prices").await.expect(200)["prices"], table["prices"]);
}

#[tokio::test]
async fn usage_comes_as_csv_too() {
    let (server, admin) = spent().await;
    let expected = "day,device,device_name,messages,tokens,input,output,cache_read,cache_write,cost_usd,reported_usd,\
        price_table_usd,default_usd,unknown_tokens\r\n\
        2026-11-22,1,nas,2,5000000,5000000,0,0,0,10.5,7.5,0,3,0\r\n\
        2026-11-22,2,'=vps,1,4000000,4000000,0,0,0,4,0,0,4,0\r\n";
    let path = "/api/v1/usage?by=day,device&from=2026-11-22";
    let answer = admin.get(&format!("{path}&format=csv")).await;
    assert_eq!((answer.status, answer.text()), (200, expected));
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"usage.csv\""));
    let headers = [("cookie", admin.cookie.as_str()), ("accept", "text/csv")];
    assert_eq!(send(server.addr, "GET", path, &headers, b"").await.text(), expected);
}

#[tokio::test]
async fn a_wrong_question_is_told_what_is_wrong() {
    let (_server, admin) = Server::signed_in().await;
    for (query, field) in [
        ("from=2026-11-22&to=2026-11-21", "to"),
        ("by=day&from=1970-01-01", "from"),
        ("by=week", "by"),
        ("format=xml", "format"),
        ("tz=Mars", "tz"),
    ] {
        let error = admin.get(&format!("/api/v1/usage?{query}")).await.error();
        assert_eq!(error, (422, "invalid".into(), Some(field.into())), "{query}");
    }
    let empty = admin.get("/api/v1/usage?by=day").await.expect(200);
    assert_eq!((&empty["from"], &empty["to"]), (&json!("2026-11-22"), &json!("2026-11-22")));
}
