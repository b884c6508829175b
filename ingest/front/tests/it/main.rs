//! The front end seen from the other side of the wire: clients that are slow, silent, greedy or broken.
#![allow(clippy::unwrap_used)]

mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use front::{ApiError, Body, Limits, Peer, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Far longer than any limit in these tests: reaching it means that what was awaited never came.
const NEVER: Duration = Duration::from_secs(30);
/// A limit that is to be reached.
const SHORT: Duration = Duration::from_millis(100);

struct Server {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// `/echo` answers the body, `/panic` panics, `/big` answers 64 MiB, `/hang` never answers, `/up` becomes a socket
/// that sends back every byte, all others say "hello".
fn start(limits: Limits) -> Server {
    start_with(limits, front::Transport::default())
}

fn start_with(limits: Limits, transport: front::Transport) -> Server {
    let listener = front::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let for_handler = limits.clone();
    let handler = move |request: Request, _peer: Peer| {
        let limits = for_handler.clone();
        async move {
            match request.uri().path() {
                "/echo" => echo(request, &limits).await.unwrap_or_else(ApiError::into_response),
                "/panic" => panic!("as asked"),
                "/big" => Response::new(Body::new(Bytes::from(vec![b'x'; 64 << 20]))),
                "/hang" => std::future::pending().await,
                "/up" => upgrade(request),
                _ => Response::new(Body::new(Bytes::from_static(b"hello"))),
            }
        }
    };
    let task = tokio::spawn(front::serve(listener, limits, transport, handler, stopped));
    Server { addr, stop, task }
}

async fn echo(request: Request, limits: &Limits) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = front::read_body(&parts.headers, body, limits).await?;
    Ok(Response::new(Body::new(bytes)))
}

fn upgrade(request: Request) -> Response {
    tokio::spawn(async move {
        let upgraded = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        let (mut read, mut write) = tokio::io::split(upgraded);
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let response =
        http::Response::builder().status(101).header("connection", "upgrade").header("upgrade", "echo");
    response.body(Body::default()).unwrap()
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.addr).await.unwrap()
}

/// Everything until the server closes the connection; a reset counts as a close.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut got = Vec::new();
    let read = tokio::time::timeout(NEVER, stream.read_to_end(&mut got)).await.expect("never closed");
    drop(read);
    String::from_utf8_lossy(&got).into_owned()
}

/// Reads until `end` has come.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut got = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&got).ends_with(end) {
            assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0, "closed early");
        }
    };
    tokio::time::timeout(NEVER, read).await.expect("never came");
    String::from_utf8_lossy(&got).into_owned()
}

/// Sends `piece` again and again until the server no longer takes it.
async fn drip(stream: &mut TcpStream, piece: &[u8]) {
    let dripping = async {
        let mut pause = tokio::time::interval(SHORT / 5);
        loop {
            pause.tick().await;
            if stream.write_all(piece).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(NEVER, dripping).await.expect("never refused");
}

fn short_header() -> Limits {
    Limits { header_timeout: SHORT, ..Limits::default() }
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let server = start(short_header());
    let mut stream = connect(&server).await;
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test]
async fn a_dripping_header_is_closed() {
    let server = start(short_header());
    let mut stream = connect(&server).await;
    stream.write_all(b"GET / HTTP/1.1\r\nx-long: ").await.unwrap();
    drip(&mut stream, b"a").await;
}

#[tokio::test]
async fn a_second_header_that_drips_is_closed_too() {
    let server = start(short_header());
    let mut stream = connect(&server).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    until(&mut stream, "hello").await;
    stream.write_all(b"GET / HTTP/1.1\r\nx-long: ").await.unwrap();
    drip(&mut stream, b"a").await;
}

#[tokio::test]
async fn an_idle_connection_outlives_the_header_timeout() {
    let server = start(short_header());
    let mut stream = connect(&server).await;
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        until(&mut stream, "hello").await;
        let quiet = tokio::time::timeout(SHORT * 3, stream.read_u8()).await;
        assert!(quiet.is_err(), "closed while idle: {quiet:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_timeout() {
    let server = start(Limits { idle_timeout: SHORT, ..Limits::default() });
    let mut stream = connect(&server).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(until_closed(&mut stream).await.ends_with("hello"));
}

#[tokio::test]
async fn a_dripping_body_is_answered_408_and_closed() {
    let server = start(Limits { body_timeout: SHORT, ..Limits::default() });
    let mut stream = connect(&server).await;
    stream.write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
    let (mut read, mut write) = stream.split();
    let answer = async {
        let mut got = Vec::new();
        read.read_to_end(&mut got).await.unwrap();
        String::from_utf8(got).unwrap()
    };
    let dripping = async {
        let mut pause = tokio::time::interval(SHORT / 5);
        while write.write_all(b"a").await.is_ok() {
            pause.tick().await;
        }
        std::future::pending::<String>().await
    };
    let answer = async {
        tokio::select! { a = answer => a, a = dripping => a }
    };
    let answer = tokio::time::timeout(NEVER, answer).await.expect("never closed");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains(r#""code":"timeout""#), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed() {
    let limits = Limits { write_timeout: SHORT, connections_max: 1, ..Limits::default() };
    let server = start(limits);
    let mut stream = connect(&server).await;
    stream.write_all(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // Nothing is read from `stream`. Once the server gave up, the only connection it allows is free again.
    let free = async {
        loop {
            let mut other = connect(&server).await;
            let _ = other.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
            if until_closed(&mut other).await.ends_with("hello") {
                return;
            }
        }
    };
    tokio::time::timeout(NEVER, free).await.expect("the slow reader was kept");
}

#[tokio::test]
async fn a_large_answer_reaches_a_client_that_reads() {
    let server = start(Limits::default());
    let mut stream = connect(&server).await;
    stream.write_all(b"GET /big HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(until_closed(&mut stream).await.len() > 64 << 20);
}

#[tokio::test]
async fn headers_past_the_limit_are_431() {
    let server = start(Limits::default());
    let mut stream = connect(&server).await;
    let long = "a".repeat(20 << 10);
    let _ = stream.write_all(format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {long}\r\n\r\n").as_bytes()).await;
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:.100}");
}

#[tokio::test]
async fn a_body_past_the_limit_is_413_also_while_the_client_still_sends() {
    let server = start(Limits::default());
    let mut stream = connect(&server).await;
    let length = 20 << 20;
    stream
        .write_all(format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    stream.write_all(&vec![b'a'; length]).await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer:.100}");
}

#[tokio::test]
async fn a_chunked_body_past_the_limit_is_413() {
    let server = start(Limits { body_bytes_max: 1000, ..Limits::default() });
    let mut stream = connect(&server).await;
    stream.write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    for _ in 0..3 {
        stream.write_all(format!("190\r\n{}\r\n", "a".repeat(0x190)).as_bytes()).await.unwrap();
    }
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_body_of_two_lengths_is_400() {
    let server = start(Limits::default());
    let mut stream = connect(&server).await;
    stream
        .write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nabcde")
        .await
        .unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn a_panic_is_500_and_the_connection_lives_on() {
    let server = start(Limits::default());
    let mut stream = connect(&server).await;
    stream.write_all(b"GET /panic HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let answer = until(&mut stream, "}}").await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.contains(r#"{"error":{"code":"internal","#), "{answer}");
    assert!(!answer.contains("as asked"), "{answer}");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    until(&mut stream, "hello").await;
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let server = start(Limits { connections_per_address_max: 2, ..Limits::default() });
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&server).await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        until(&mut stream, "hello").await;
        kept.push(stream);
    }
    assert_eq!(until_closed(&mut connect(&server).await).await, "");
    for stream in &mut kept {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        until(stream, "hello").await;
    }
}

#[tokio::test]
async fn an_upgraded_connection_has_no_header_timeout_and_stays_counted() {
    let limits =
        Limits { header_timeout: SHORT, idle_timeout: SHORT, connections_max: 1, ..Limits::default() };
    let server = start(limits);
    let mut stream = connect(&server).await;
    stream
        .write_all(b"GET /up HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await
        .unwrap();
    assert!(until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
    for _ in 0..2 {
        let quiet = tokio::time::timeout(SHORT * 2, stream.read_u8()).await;
        assert!(quiet.is_err(), "closed while idle: {quiet:?}");
        stream.write_all(b"hello").await.unwrap();
        until(&mut stream, "hello").await;
    }
    assert_eq!(until_closed(&mut connect(&server).await).await, "", "there is room for one connection only");
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_and_takes_nothing_new() {
    let server = start(Limits::default());
    let mut busy = connect(&server).await;
    busy.write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n")
        .await
        .unwrap();
    // The handler is reading the body once the server asks for it.
    until(&mut busy, "\r\n\r\n").await;
    let mut idle = connect(&server).await;
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    until(&mut idle, "hello").await;

    server.stop.send(true).unwrap();
    assert_eq!(until_closed(&mut idle).await, "");
    busy.write_all(b"after").await.unwrap();
    let answer = until_closed(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("after"), "{answer}");
    drop((busy, idle));
    tokio::time::timeout(NEVER, server.task).await.expect("never ended").unwrap();
    assert!(TcpStream::connect(server.addr).await.is_err());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let server = start(Limits { drain_timeout: SHORT, ..Limits::default() });
    let mut stream = connect(&server).await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET /hang HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    until(&mut stream, "hello").await;
    server.stop.send(true).unwrap();
    tokio::time::timeout(NEVER, server.task).await.expect("never ended").unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
}
