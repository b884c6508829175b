//! The live feed through a real WebSocket.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use store::{DeviceId, DeviceProfile, Level};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::{Error, http::HeaderValue};

use crate::http::send;
use crate::server::{PASSWORD, PATIENCE, Person, START_MS, Server, Token, logs};

struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    async fn open(person: &Person, origin: Option<&str>) -> Result<Socket, u16> {
        let stream = TcpStream::connect(person.addr).await.unwrap();
        Socket::over(stream, person, origin).await
    }

    async fn over(stream: TcpStream, person: &Person, origin: Option<&str>) -> Result<Socket, u16> {
        let mut request = format!("ws://{}/api/v1/live", person.addr).into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("cookie", HeaderValue::from_str(&person.cookie).unwrap());
        if let Some(origin) = origin {
            headers.insert("origin", HeaderValue::from_str(origin).unwrap());
        }
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// As a script does: with a token and no `Origin`.
    async fn of_token(token: &Token) -> Socket {
        let mut request = format!("ws://{}/api/v1/live", token.addr).into_client_request().unwrap();
        request.headers_mut().insert("authorization", HeaderValue::from_str(&token.bearer).unwrap());
        let stream = TcpStream::connect(token.addr).await.unwrap();
        Socket(tokio_tungstenite::client_async(request, stream).await.unwrap().0)
    }

    async fn of(person: &Person) -> Socket {
        Socket::open(person, Some(&format!("http://{}", person.addr))).await.unwrap()
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next JSON, or the code the socket was closed with.
    async fn hear(&mut self) -> Result<Value, u16> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(0, |frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(0),
            }
        }
    }
}

#[tokio::test]
async fn only_our_own_page_may_open_a_socket() {
    let (server, admin) = Server::signed_in().await;
    let own = format!("http://{}", server.addr);
    assert_eq!(Socket::open(&admin, Some("http://evil.example")).await.err(), Some(403));
    assert_eq!(Socket::open(&admin, Some("null")).await.err(), Some(403));
    assert_eq!(Socket::open(&admin, None).await.err(), Some(403));
    let stranger = Person { cookie: "ocw_session=0".into(), ..admin.clone() };
    assert_eq!(Socket::open(&stranger, Some(&own)).await.err(), Some(401));
    assert!(Socket::open(&admin, Some(&own)).await.is_ok());
    let headers = [("cookie", admin.cookie.as_str()), ("origin", &own)];
    assert_eq!(send(server.addr, "GET", "/api/v1/live", &headers, b"").await.error().0, 400);
}

#[tokio::test]
async fn a_snapshot_comes_first_and_then_what_changes() {
    let (server, admin) = Server::signed_in().await;
    admin.add_device("a").await;
    admin.add_device("b").await;
    server.report(1, START_MS, &[("cpu_percent", 1.5), ("load1", 2.0)]).await;
    server.log(2, START_MS, Level::Error, "oops").await;
    admin.until("/api/v1/logs", logs(1)).await;
    let mut socket = Socket::of(&admin).await;
    socket.say(json!({"subscribe": {"devices": "all", "metrics": ["cpu_percent"], "focus": false}})).await;
    let snapshot = socket.hear().await.unwrap()["snapshot"].clone();
    assert_eq!(snapshot["rows"]["1"], json!({"cpu_percent": 1.5}));
    assert_eq!(snapshot["states"]["1"]["state"], "online");
    assert_eq!(snapshot["logs"][0]["message"], "oops");

    server.report(1, START_MS + 1_000, &[("cpu_percent", 3.5)]).await;
    let update = loop {
        let update = socket.hear().await.unwrap();
        if update["rows"]["1"] == json!({"cpu_percent": 3.5}) {
            break update;
        }
    };
    assert_eq!(update["states"]["1"]["latest_ms"], START_MS + 1_000);
    assert!(update["states"].get("2").is_none(), "{update}");

    server.move_clock(60_000);
    server.store.tick(server.now());
    loop {
        let update = socket.hear().await.unwrap();
        if update["states"]["1"]["state"] == "offline" {
            assert_eq!(
                (&update["states"]["1"]["reason"], &update["rows"]),
                (&json!("no_report"), &json!({}))
            );
            break;
        }
    }
    admin.add_device("c").await;
    while socket.hear().await.unwrap()["devices_changed"] != json!(true) {}
}

#[tokio::test]
async fn reports_are_joined_and_the_newest_state_arrives() {
    let (server, admin) = Server::signed_in().await;
    admin.add_device("a").await;
    let mut socket = Socket::of(&admin).await;
    socket.say(json!({"subscribe": {"devices": [1]}})).await;
    socket.hear().await.unwrap();
    for n in 0..200 {
        server.report(1, START_MS + n, &[("n", n as f64)]).await;
    }
    let mut messages = 0;
    loop {
        messages += 1;
        if socket.hear().await.unwrap()["rows"]["1"] == json!({"n": 199}) {
            break;
        }
    }
    assert!(messages < 100, "{messages} messages for 200 reports");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed() {
    let (server, admin) = Server::signed_in().await;
    let metrics: Vec<String> = (0..50).map(|n| format!("a_metric_with_a_rather_long_name_{n}")).collect();
    let values: Vec<(&str, f64)> = metrics.iter().map(|metric| (metric.as_str(), 0.123_456_789)).collect();
    for n in 1..=100_u8 {
        let profile = DeviceProfile { name: format!("device {n}"), ..DeviceProfile::default() };
        let id = server.store.add_device(profile, [n; 32], START_MS).unwrap();
        server.report(id.0, START_MS, &values).await;
    }
    // Little fits into the system's buffers, so that the server has to wait with the rest.
    let plain = TcpSocket::new_v4().unwrap();
    plain.set_recv_buffer_size(4 << 10).unwrap();
    let stream = plain.connect(server.addr).await.unwrap();
    let mut socket = Socket::over(stream, &admin, Some(&format!("http://{}", server.addr))).await.unwrap();
    for _ in 0..100 {
        socket.say(json!({"subscribe": {"devices": "all"}})).await;
    }
    // Never reads. Sending fails once the server has given up.
    let closed = async {
        while socket.0.send(Message::Ping(Default::default())).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(2 * PATIENCE, closed).await.unwrap();
    admin.get("/api/v1/session").await.expect(200);
}

#[tokio::test]
async fn a_device_in_focus_is_watched() {
    let (server, admin) = Server::signed_in().await;
    admin.add_device("a").await;
    assert!(!server.store.is_watched(DeviceId(1), server.now()));
    let mut socket = Socket::of(&admin).await;
    socket.say(json!({"subscribe": {"devices": [1], "focus": true}})).await;
    socket.hear().await.unwrap();
    assert!(server.store.is_watched(DeviceId(1), server.now()));
    assert!(!server.store.is_watched(DeviceId(1), server.now() + 5_001));
}

#[tokio::test]
async fn a_wrong_subscription_is_told_and_the_socket_stays() {
    let (_server, admin) = Server::signed_in().await;
    let mut socket = Socket::of(&admin).await;
    for odd in
        [json!({"subscribe": {"devices": "none"}}), json!(1), json!({"subscribe": {"devices": [], "x": 1}})]
    {
        socket.say(odd).await;
        assert_eq!(socket.hear().await.unwrap()["error"]["code"], "invalid");
    }
    socket.say(json!({"subscribe": {"devices": []}})).await;
    assert_eq!(socket.hear().await.unwrap()["snapshot"]["rows"], json!({}));
}

#[tokio::test]
async fn too_large_and_too_many_messages_close_the_socket() {
    let (_server, admin) = Server::signed_in().await;
    let mut socket = Socket::of(&admin).await;
    socket.0.send(Message::text("x".repeat(17 << 10))).await.unwrap();
    assert!(socket.hear().await.is_err());

    let mut socket = Socket::of(&admin).await;
    for _ in 0..130 {
        // Fails once the server has closed.
        let _ = socket.0.send(Message::text("{}")).await;
    }
    let code = loop {
        if let Err(code) = socket.hear().await {
            break code;
        }
    };
    assert_eq!(code, 1008);
}

#[tokio::test]
async fn signing_out_closes_the_sockets_of_that_session_only() {
    let (server, admin) = Server::signed_in().await;
    let body = json!({"username": "admin", "password": crate::server::PASSWORD});
    let other = Person::from(&server, &server.post("/api/v1/session", &body).await, 200);
    let (mut ours, mut theirs) = (Socket::of(&admin).await, Socket::of(&other).await);
    assert_eq!(admin.send("DELETE", "/api/v1/session", &Value::Null).await.status, 204);
    assert_eq!(ours.hear().await, Err(4001));
    theirs.say(json!({"subscribe": {"devices": []}})).await;
    assert!(theirs.hear().await.is_ok());
}

#[tokio::test]
async fn a_stop_closes_the_sockets() {
    let (server, admin) = Server::signed_in().await;
    let mut socket = Socket::of(&admin).await;
    socket.say(json!({"subscribe": {"devices": "all"}})).await;
    socket.hear().await.unwrap();
    let stopping = tokio::spawn(server.stop());
    assert_eq!(socket.hear().await, Err(1001));
    drop(socket);
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_ends_a_session_or_a_token_closes_its_sockets_at_once() {
    let (server, admin) = Server::signed_in().await;
    let reader = admin.with_account(&server, "reader", "reader").await;
    let again = server.sign_in("reader", PASSWORD).await;
    let (mut first, mut second) = (Socket::of(&reader).await, Socket::of(&again).await);

    // Their own password: the session that changed it stays, the other ends.
    let change = json!({"current_password": PASSWORD, "new_password": "a new password"});
    assert_eq!(reader.send("POST", "/api/v1/password", &change).await.status, 204);
    assert_eq!(second.hear().await, Err(4001));
    assert_eq!(again.get("/api/v1/session").await.status, 401);
    first.say(json!({"subscribe": {"devices": "all"}})).await;
    assert!(first.hear().await.is_ok());

    // A password that an administrator sets ends all.
    let set = json!({"password": "yet another one"});
    assert_eq!(admin.send("PATCH", "/api/v1/users/2", &set).await.status, 200);
    assert_eq!(first.hear().await, Err(4001));

    // A session ended by its number, a token revoked, an account deleted.
    let reader = server.sign_in("reader", "yet another one").await;
    let mut socket = Socket::of(&reader).await;
    let sessions = admin.get("/api/v1/sessions").await.expect(200);
    let of_reader = sessions["sessions"].as_array().unwrap().iter().find(|s| s["username"] == "reader");
    let path = format!("/api/v1/sessions/{}", of_reader.unwrap()["id"]);
    assert_eq!(admin.send("DELETE", &path, &Value::Null).await.status, 204);
    assert_eq!(socket.hear().await, Err(4001));

    let reader = server.sign_in("reader", "yet another one").await;
    let (token, kept) = (reader.token("read").await, reader.token("read").await);
    let mut socket = Socket::of_token(&token).await;
    let revoke = format!("/api/v1/tokens/{}", token.id);
    assert_eq!(admin.send("DELETE", &revoke, &Value::Null).await.status, 204);
    assert_eq!(socket.hear().await, Err(4001));

    let (mut by_session, mut by_token) = (Socket::of(&reader).await, Socket::of_token(&kept).await);
    assert_eq!(admin.send("DELETE", "/api/v1/users/2", &Value::Null).await.status, 204);
    assert_eq!((by_session.hear().await, by_token.hear().await), (Err(4001), Err(4001)));
}

#[tokio::test]
async fn one_socket_too_many_is_refused_until_another_ends() {
    let (server, admin) = Server::signed_in().await;
    let own = format!("http://{}", server.addr);
    let mut sockets = Vec::new();
    let refused = loop {
        match Socket::open(&admin, Some(&own)).await {
            Ok(socket) => sockets.push(socket),
            Err(status) => break status,
        }
    };
    assert_eq!((refused, sockets.len()), (503, 256));
    // Closed from both ends, so that its place is free.
    let mut last = sockets.pop().unwrap();
    last.0.close(None).await.unwrap();
    while last.0.next().await.is_some() {}
    let again = async {
        while Socket::open(&admin, Some(&own)).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, again).await.unwrap();
}
