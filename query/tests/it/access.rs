//! Roles, API tokens and the sessions that can be listed and ended.

use serde_json::{Value, json};

use crate::http::send;
use crate::server::{PASSWORD, Server};

#[tokio::test]
async fn a_reader_sees_everything_and_changes_nothing() {
    let (server, admin) = Server::signed_in().await;
    admin.add_device("nas").await;
    let reader = admin.with_account(&server, "reader", "reader").await;
    assert_eq!(reader.get("/api/v1/session").await.expect(200)["user"]["role"], "reader");
    assert_eq!(reader.get("/api/v1/devices").await.expect(200)["devices"][0]["name"], "nas");
    let refused = reader.send("POST", "/api/v1/devices", &json!({"name": "x"})).await;
    assert_eq!(refused.error(), (403, "forbidden".into(), None));
    assert_eq!(reader.get("/api/v1/users").await.status, 403);

    // A role given or taken holds from the next request on.
    admin.send("PATCH", "/api/v1/users/2", &json!({"role": "admin"})).await.expect(200);
    reader.send("POST", "/api/v1/devices", &json!({"name": "x"})).await.expect(201);
    admin.send("PATCH", "/api/v1/users/2", &json!({"role": "reader"})).await.expect(200);
    assert_eq!(reader.send("DELETE", "/api/v1/devices/2", &Value::Null).await.status, 403);
}

#[tokio::test]
async fn accounts_are_listed_added_changed_and_deleted() {
    let (server, admin) = Server::signed_in().await;
    admin.with_account(&server, "bob", "reader").await;
    let users = admin.get("/api/v1/users").await.expect(200);
    let names: Vec<&Value> =
        users["users"].as_array().unwrap().iter().map(|user| &user["username"]).collect();
    assert_eq!(names, ["admin", "bob"]);
    assert!(!users.to_string().contains("argon2"), "{users}");

    let add = |username: &str, password: &str, role: &str| {
        let body = json!({"username": username, "password": password, "role": role});
        let admin = admin.clone();
        async move { admin.send("POST", "/api/v1/users", &body).await.error() }
    };
    assert_eq!(add("bob", PASSWORD, "reader").await, (409, "conflict".into(), None));
    assert_eq!(add("eve", "short", "reader").await, (422, "invalid".into(), Some("password".into())));
    assert_eq!(add(" eve", PASSWORD, "reader").await.2, Some("username".into()));
    assert_eq!(add("eve", PASSWORD, "owner").await.2, Some("role".into()));

    let edit = async |id: u32, body: Value| admin.send("PATCH", &format!("/api/v1/users/{id}"), &body).await;
    assert_eq!(edit(1, json!({"role": "reader"})).await.error(), (409, "conflict".into(), None));
    assert_eq!(edit(1, json!({"password": "0123456789"})).await.error().2, Some("password".into()));
    assert_eq!(edit(9, json!({"role": "reader"})).await.error().0, 404);
    edit(2, json!({"password": "0123456789"})).await.expect(200);
    let body = json!({"username": "bob", "password": PASSWORD});
    assert_eq!(server.post("/api/v1/session", &body).await.status, 401);
    server.sign_in("bob", "0123456789").await;

    assert_eq!(admin.send("DELETE", "/api/v1/users/1", &Value::Null).await.error().0, 409);
    assert_eq!(admin.send("DELETE", "/api/v1/users/02", &Value::Null).await.error().0, 404);
    admin.send("DELETE", "/api/v1/users/2", &Value::Null).await.expect(204);
    let body = json!({"username": "bob", "password": "0123456789"});
    assert_eq!(server.post("/api/v1/session", &body).await.status, 401);
}

#[tokio::test]
async fn ones_own_password_needs_the_current_one_and_tries_are_limited() {
    let (server, admin) = Server::signed_in().await;
    let change = async |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        admin.send("POST", "/api/v1/password", &body).await
    };
    assert_eq!(change(PASSWORD, "short").await.error().2, Some("new_password".into()));
    for _ in 0..5 {
        assert_eq!(change("wrong", "0123456789").await.error().2, Some("current_password".into()));
    }
    assert_eq!(change(PASSWORD, "0123456789").await.error(), (429, "too_many_tries".into(), None));
    server.move_clock(1_000);
    change(PASSWORD, "0123456789").await.expect(204);
    admin.get("/api/v1/session").await.expect(200);
    server.sign_in("admin", "0123456789").await;
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let (server, admin) = Server::signed_in().await;
    let reader = admin.with_account(&server, "bob", "reader").await;
    let body = json!({"username": "bob", "password": PASSWORD}).to_string();
    let headers = [("content-type", "application/json"), ("user-agent", "Browser/1\t<b>")];
    let answer = send(server.addr, "POST", "/api/v1/session", &headers, body.as_bytes()).await;
    assert_eq!(answer.status, 200);

    let own = reader.get("/api/v1/sessions").await.expect(200);
    let own = own["sessions"].as_array().unwrap();
    assert_eq!(own.len(), 2);
    assert!(own.iter().all(|session| session["username"] == "bob" && session["address"] == "127.0.0.1"));
    assert_eq!(own.iter().filter(|session| session["current"] == true).count(), 1);
    let other = own.iter().find(|session| session["current"] == false).unwrap();
    assert_eq!(other["client"], "Browser/1<b>");
    let all = admin.get("/api/v1/sessions").await.expect(200);
    let all = all["sessions"].as_array().unwrap();
    assert_eq!(all.len(), 3);

    let of_admin = all.iter().find(|session| session["username"] == "admin").unwrap();
    let path = |session: &Value| format!("/api/v1/sessions/{}", session["id"]);
    assert_eq!(reader.send("DELETE", &path(of_admin), &Value::Null).await.error().0, 404);
    reader.send("DELETE", &path(other), &Value::Null).await.expect(204);
    assert_eq!(reader.send("DELETE", &path(other), &Value::Null).await.error().0, 404);
    reader.get("/api/v1/session").await.expect(200);
}

#[tokio::test]
async fn an_api_token_is_shown_once_and_does_what_its_scope_says() {
    let (server, admin) = Server::signed_in().await;
    let (read, all) = (admin.token("read").await, admin.token("admin").await);
    read.get("/api/v1/devices").await.expect(200);
    assert_eq!(read.send("POST", "/api/v1/devices", &json!({"name": "a"})).await.status, 403);
    all.send("POST", "/api/v1/devices", &json!({"name": "a"})).await.expect(201);

    let listed = admin.get("/api/v1/tokens").await.expect(200);
    let listed_text = listed.to_string();
    assert!(!listed_text.contains(&read.bearer[7..]) && !listed_text.contains(&all.bearer[7..]));
    let tokens = listed["tokens"].as_array().unwrap();
    assert_eq!((tokens[0]["scope"].as_str(), tokens[1]["scope"].as_str()), (Some("admin"), Some("read")));
    assert_eq!(tokens[1]["used_ms"], server.now());

    // What concerns people, and tokens themselves, is out of a token's reach, whatever its scope.
    for path in ["/api/v1/session", "/api/v1/sessions", "/api/v1/tokens", "/api/v1/users"] {
        assert_eq!(all.get(path).await.error(), (403, "forbidden".into(), None), "{path}");
    }
    admin.send("DELETE", &format!("/api/v1/tokens/{}", read.id), &Value::Null).await.expect(204);
    assert_eq!(read.get("/api/v1/devices").await.error(), (401, "unauthorized".into(), None));
}

#[tokio::test]
async fn a_token_expires_and_never_may_more_than_its_owner() {
    let (server, admin) = Server::signed_in().await;
    let bob = admin.with_account(&server, "bob", "admin").await;
    let token = bob.token("admin").await;
    token.send("POST", "/api/v1/devices", &json!({"name": "a"})).await.expect(201);
    admin.send("PATCH", "/api/v1/users/2", &json!({"role": "reader"})).await.expect(200);
    assert_eq!(token.send("POST", "/api/v1/devices", &json!({"name": "b"})).await.status, 403);
    token.get("/api/v1/devices").await.expect(200);

    let make = async |body: Value| bob.send("POST", "/api/v1/tokens", &body).await;
    let now = server.now();
    assert_eq!(make(json!({"name": "x", "scope": "admin"})).await.error().0, 403);
    assert_eq!(make(json!({"name": "x", "scope": "all"})).await.error().2, Some("scope".into()));
    assert_eq!(make(json!({"name": "", "scope": "read"})).await.error().2, Some("name".into()));
    for odd in [json!(now), json!(-1), json!(1.5), json!("soon"), json!(null)] {
        let answer = make(json!({"name": "x", "scope": "read", "expires_ms": odd})).await;
        assert_eq!(answer.error().2, Some("expires_ms".into()), "{odd}");
    }
    let made = make(json!({"name": "x", "scope": "read", "expires_ms": now + 1_000})).await.expect(201);
    let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
    let ask = async || send(server.addr, "GET", "/api/v1/devices", &[("authorization", &bearer)], b"").await;
    ask().await.expect(200);
    server.move_clock(1_000);
    assert_eq!(ask().await.status, 401);
}

#[tokio::test]
async fn a_request_with_a_token_is_judged_by_it_alone() {
    let (server, admin) = Server::signed_in().await;
    for authorization in ["Bearer owt_0", "Bearer", "Basic YTpi", "\u{e9}"] {
        let headers = [("authorization", authorization), ("cookie", admin.cookie.as_str())];
        let answer = send(server.addr, "GET", "/api/v1/devices", &headers, b"").await;
        assert_eq!(answer.status, 401, "{authorization}");
    }
}

#[tokio::test]
async fn what_somebody_made_is_seen_by_them_and_by_administrators() {
    let (server, admin) = Server::signed_in().await;
    let bob = admin.with_account(&server, "bob", "reader").await;
    let (of_admin, of_bob) = (admin.token("read").await, bob.token("read").await);
    assert_eq!(bob.get("/api/v1/tokens").await.expect(200)["tokens"].as_array().unwrap().len(), 1);
    assert_eq!(admin.get("/api/v1/tokens").await.expect(200)["tokens"].as_array().unwrap().len(), 2);
    let revoke = |token: i64| format!("/api/v1/tokens/{token}");
    assert_eq!(bob.send("DELETE", &revoke(of_admin.id), &Value::Null).await.error().0, 404);
    bob.send("DELETE", &revoke(of_bob.id), &Value::Null).await.expect(204);
}

#[tokio::test]
async fn prometheus_reads_the_servers_figures_with_a_token() {
    let (server, admin) = Server::signed_in().await;
    admin.add_device("nas").await;
    server.report(1, server.now(), &[("load1", 1.0)]).await;
    let token = admin.token("read").await;
    assert_eq!(server.get("/metrics").await.status, 401);
    let answer = token.get("/metrics").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    let mut families = std::collections::BTreeSet::new();
    for line in answer.text().lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            assert!(families.insert(family.split(' ').next().unwrap().to_string()), "twice: {line}");
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(families.contains(name.split('{').next().unwrap()), "a value before its type: {line}");
        }
    }
    let text = answer.text();
    for line in [
        "openclaw_watch_ready 1",
        "openclaw_watch_devices{state=\"online\"} 1",
        "openclaw_watch_head_samples 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in {text}");
    }
}
