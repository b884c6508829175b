//! The first account, signing in and out.

use serde_json::{Value, json};

use crate::server::{PASSWORD, Person, Server, TOKEN};

fn set_up(token: &str, username: &str, password: &str) -> Value {
    json!({"token": token, "username": username, "password": password})
}

fn sign_in(username: &str, password: &str) -> Value {
    json!({"username": username, "password": password})
}

#[tokio::test]
async fn the_sign_up_link_works_once() {
    let server = Server::new().await;
    let wrong = server.post("/api/v1/setup", &set_up("guess", "admin", PASSWORD)).await;
    assert_eq!(wrong.error(), (403, "forbidden".into(), None));
    let short = server.post("/api/v1/setup", &set_up(TOKEN, "admin", "123456789")).await;
    assert_eq!(short.error(), (422, "invalid".into(), Some("password".into())));
    let nameless = server.post("/api/v1/setup", &set_up(TOKEN, "", PASSWORD)).await;
    assert_eq!(nameless.error(), (422, "invalid".into(), Some("username".into())));

    let admin = server.set_up().await;
    let session = admin.get("/api/v1/session").await.expect(200);
    assert_eq!(session["user"], json!({"id": 1, "username": "admin", "role": "admin"}));
    assert_eq!(session["transport"], "loopback");
    assert_eq!(session["csrf_token"], admin.csrf.as_str());

    let again = server.post("/api/v1/setup", &set_up(TOKEN, "other", PASSWORD)).await;
    assert_eq!(again.error(), (409, "conflict".into(), None));
    assert_eq!(server.post("/api/v1/session", &sign_in("other", PASSWORD)).await.status, 401);
}

#[tokio::test]
async fn of_many_who_use_the_link_at_once_one_gets_the_account() {
    let server = Server::new().await;
    let bodies: Vec<Value> = (0..8).map(|n| set_up(TOKEN, &format!("user{n}"), PASSWORD)).collect();
    let all = bodies.iter().map(|body| server.post("/api/v1/setup", body));
    let answers = futures_util::future::join_all(all).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(201), count(409)), (1, 7));
}

#[tokio::test]
async fn signing_in_does_not_say_what_was_wrong() {
    let (server, _) = Server::signed_in().await;
    let password = server.post("/api/v1/session", &sign_in("admin", "wrong horse")).await;
    let username = server.post("/api/v1/session", &sign_in("nobody", PASSWORD)).await;
    assert_eq!((password.status, password.text()), (401, username.text()));
    assert_eq!((username.status, username.header("set-cookie")), (401, None));
    assert_eq!(username.headers.len(), password.headers.len());
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let (server, _) = Server::signed_in().await;
    let answer = server.post("/api/v1/session", &sign_in("admin", PASSWORD)).await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(
        cookie.contains("; HttpOnly; SameSite=Strict; Path=/;") && !cookie.contains("Secure"),
        "{cookie}"
    );
    let person = Person::from(&server, &answer, 200);
    person.get("/api/v1/devices").await.expect(200);
    let out = person.send("DELETE", "/api/v1/session", &Value::Null).await;
    assert_eq!(out.status, 204);
    assert!(
        out.header("set-cookie").unwrap().starts_with("ocw_session=; ")
            && out.header("set-cookie").unwrap().contains("Max-Age=0")
    );
    assert_eq!(person.get("/api/v1/devices").await.status, 401);
    assert_eq!(person.get("/api/v1/session").await.status, 401);
}

#[tokio::test]
async fn a_session_that_is_not_used_ends() {
    let (server, admin) = Server::signed_in().await;
    server.move_clock(11 * 3_600_000);
    admin.get("/api/v1/session").await.expect(200);
    server.move_clock(11 * 3_600_000);
    admin.get("/api/v1/session").await.expect(200);
    server.move_clock(13 * 3_600_000);
    assert_eq!(admin.get("/api/v1/session").await.status, 401);
}

#[tokio::test]
async fn failed_tries_have_to_wait_longer_and_longer() {
    let (server, _) = Server::signed_in().await;
    for _ in 0..5 {
        assert_eq!(server.post("/api/v1/session", &sign_in("admin", "wrong horse")).await.status, 401);
    }
    let refused = server.post("/api/v1/session", &sign_in("admin", PASSWORD)).await;
    assert_eq!(refused.error(), (429, "too_many_tries".into(), None));
    assert_eq!(refused.header("retry-after"), Some("1"));
    // Another account is not concerned.
    assert_eq!(server.post("/api/v1/session", &sign_in("nobody", PASSWORD)).await.status, 401);

    server.move_clock(1_000);
    assert_eq!(server.post("/api/v1/session", &sign_in("admin", "wrong horse")).await.status, 401);
    let refused = server.post("/api/v1/session", &sign_in("admin", PASSWORD)).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("2")));
    server.move_clock(2_000);
    assert_eq!(server.post("/api/v1/session", &sign_in("admin", PASSWORD)).await.status, 200);
}

#[tokio::test]
async fn one_address_cannot_try_many_accounts() {
    let (server, _) = Server::signed_in().await;
    let mut statuses = Vec::new();
    for n in 0..12 {
        statuses.push(server.post("/api/v1/session", &sign_in(&format!("user{n}"), PASSWORD)).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 401, 401, 401, 401, 401, 429, 429]);
}

#[tokio::test]
async fn behind_tls_the_cookie_is_for_tls_only() {
    let server = Server::with(|options| options.public_url = Some("https://watch.example".into())).await;
    let answer = server.post("/api/v1/setup", &set_up(TOKEN, "admin", PASSWORD)).await;
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-ocw_session=") && cookie.contains("; Secure;"), "{cookie}");
    assert!(answer.header("strict-transport-security").is_some());
    let person = Person::from(&server, &answer, 201);
    person.get("/api/v1/session").await.expect(200);
    let renamed = Person { cookie: person.cookie.replace("__Host-", ""), ..person };
    assert_eq!(renamed.get("/api/v1/session").await.status, 401);
}
