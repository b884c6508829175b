//! Every route has a rule, and every answer is shaped and protected alike.

use serde_json::{Value, json};

use crate::http::{Answer, send};
use crate::server::Server;

/// Method, path and whether somebody must be signed in, of every route; the document is made from the table.
fn routes(document: &Value) -> Vec<(String, String, bool)> {
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let closed = operation["security"].as_array().is_some_and(|security| !security.is_empty());
            routes.push((method.to_uppercase(), path.replace("{id}", "1"), closed));
        }
    }
    assert!(routes.len() > 15);
    routes
}

#[tokio::test]
async fn without_credentials_nothing_but_the_open_routes_answers() {
    let (server, admin) = Server::signed_in().await;
    let document = admin.get("/api/v1/openapi.json").await.expect(200);
    for (method, path, closed) in routes(&document) {
        let stranger =
            send(server.addr, &method, &path, &[("content-type", "application/json")], b"{}").await;
        let forged = send(server.addr, &method, &path, &[("cookie", "ocw_session=00")], b"").await;
        if closed {
            assert_eq!(stranger.error(), (401, "unauthorized".into(), None), "{method} {path}");
            assert_eq!(forged.status, 401, "{method} {path}");
        } else {
            assert!(![401, 403].contains(&stranger.status), "{method} {path}: {stranger:?}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn without_the_csrf_token_nothing_changes() {
    let (server, admin) = Server::signed_in().await;
    let document = admin.get("/api/v1/openapi.json").await.expect(200);
    let mut checked = 0;
    for (method, path, closed) in routes(&document) {
        if !closed || method == "GET" {
            continue;
        }
        for token in ["", "0000", &admin.csrf[1..]] {
            let headers = [("cookie", admin.cookie.as_str()), ("x-csrf-token", token)];
            let answer = send(server.addr, &method, &path, &headers, b"{}").await;
            assert_eq!(answer.error(), (403, "csrf".into(), None), "{method} {path}");
        }
        checked += 1;
    }
    assert!(checked >= 5);
    admin.get("/api/v1/session").await.expect(200);
}

#[tokio::test]
async fn before_the_first_account_the_api_is_closed_and_the_page_is_not() {
    let server = Server::new().await;
    for path in
        ["/api/v1/devices", "/api/v1/session", "/api/v1/live", "/api/v1/nothing", "/api", "/api/v1/setup"]
    {
        assert_eq!(server.get(path).await.error(), (403, "setup_required".into(), None), "{path}");
    }
    let sign_in = json!({"username": "admin", "password": "x"});
    assert_eq!(server.post("/api/v1/session", &sign_in).await.error().1, "setup_required");
    assert_eq!(server.get("/setup?token=x").await.status, 404, "a view is for browsers");
    let view = send(server.addr, "GET", "/setup?token=x", &[("accept", "text/html")], b"").await;
    assert_eq!((view.status, view.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(server.get("/healthz").await.expect(200), json!({"status": "ok"}));
    assert_eq!(server.get("/readyz").await.expect(200), json!({"ready": true, "reason": null, "code": null}));
}

#[track_caller]
fn check_protected(answer: &Answer) {
    let csp = answer.header("content-security-policy").unwrap();
    assert!(csp.starts_with("default-src 'self'; script-src 'self';") && !csp.contains("unsafe"), "{csp}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("cross-origin-opener-policy"), Some("same-origin"));
    assert!(answer.header("permissions-policy").is_some());
    assert!(!answer.headers.iter().any(|(name, _)| name.starts_with("access-control-")), "{answer:?}");
}

#[tokio::test]
async fn every_answer_is_protected_and_none_is_shared_with_other_sites() {
    let (server, admin) = Server::signed_in().await;
    let foreign = [("origin", "http://evil.example"), ("cookie", admin.cookie.as_str())];
    for path in ["/", "/api/v1/devices", "/api/v1/nothing", "/nothing.js", "/%2e%2e/x", "/healthz"] {
        check_protected(&send(server.addr, "GET", path, &foreign, b"").await);
        check_protected(&send(server.addr, "OPTIONS", path, &foreign, b"").await);
    }
    let api = admin.get("/api/v1/devices").await;
    assert_eq!(api.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_as_json() {
    let (server, admin) = Server::signed_in().await;
    assert_eq!(server.get("/api/v1/nothing").await.error(), (404, "not_found".into(), None));
    assert_eq!(server.get("/api/v1/devices/").await.error().0, 404);
    let answer = admin.send("PUT", "/api/v1/devices/1", &json!({})).await;
    assert_eq!(answer.error().0, 405);
    assert_eq!(answer.header("allow"), Some("DELETE, GET, HEAD, PATCH"));
    assert_eq!(server.post("/", &json!({})).await.header("allow"), Some("GET, HEAD"));
    let head = send(server.addr, "HEAD", "/healthz", &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for odd in ["/../etc/passwd", "/%2e%2e/x", "/a%5cb", "/a%00", "/api//v1/devices"] {
        assert_eq!(server.get(odd).await.error(), (400, "bad_request".into(), None), "{odd}");
    }
}

#[tokio::test]
async fn another_page_cannot_change_anything() {
    let (server, admin) = Server::signed_in().await;
    let body = json!({"name": "nas"}).to_string();
    let own = format!("http://{}", server.addr);
    for (header, value, status) in [
        ("origin", "http://evil.example", 403),
        ("origin", "null", 403),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("origin", own.as_str(), 201),
    ] {
        let headers = [
            ("cookie", admin.cookie.as_str()),
            ("x-csrf-token", &admin.csrf),
            ("content-type", "application/json"),
            (header, value),
        ];
        let answer = send(server.addr, "POST", "/api/v1/devices", &headers, body.as_bytes()).await;
        assert_eq!(answer.status, status, "{header}: {value}");
    }
}

#[tokio::test]
async fn a_body_is_bounded_json() {
    let (server, admin) = Server::signed_in().await;
    let send = async |media: &str, body: &[u8]| {
        let headers =
            [("cookie", admin.cookie.as_str()), ("x-csrf-token", &admin.csrf), ("content-type", media)];
        send(server.addr, "POST", "/api/v1/devices", &headers, body).await.error()
    };
    let json = "application/json";
    assert_eq!(send("text/plain", b"{}").await, (415, "unsupported_media_type".into(), None));
    assert_eq!(send(json, b"{\"name\": ").await, (400, "bad_request".into(), None));
    assert_eq!(send(json, b"[]").await, (400, "bad_request".into(), None));
    assert_eq!(send(json, &vec![b' '; 70_000]).await.0, 413);
    assert_eq!(send(json, b"{}").await, (422, "invalid".into(), Some("name".into())));
    assert_eq!(send("Application/JSON; charset=utf-8", b"{\"nam\": \"x\"}").await.2, Some("name".into()));
    assert_eq!(send(json, b"{\"name\": \"x\", \"role\": \"admin\"}").await.2, Some("role".into()));
}
