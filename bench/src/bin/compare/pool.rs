//! The load harness, the same for every engine: requests made beforehand, played over kept connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bench::client::{Answer, Client, Server};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::task::JoinSet;

use bench::running::PATIENCE;

/// Pause before what was refused for a full queue is sent again.
const RETRY: Duration = Duration::from_millis(100);

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// Its headers, without `Host`.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Call {
    /// Without body.
    pub fn get(path: String, headers: HeaderMap) -> Call {
        Call { method: Method::GET, path, headers, body: Bytes::new() }
    }

    /// With a body.
    pub fn post(path: &str, headers: HeaderMap, body: impl Into<Bytes>) -> Call {
        Call { method: Method::POST, path: path.to_string(), headers, body: body.into() }
    }

    /// Sends it and returns the whole answer, whatever it is.
    pub async fn send(&self, client: &mut Client) -> Result<Answer> {
        client.send(self.method.clone(), &self.path, &self.headers, self.body.clone()).await
    }
}

/// Some connections to one server.
pub struct Pool(Vec<Client>);

impl Pool {
    /// Connected with the first request.
    pub fn new(server: Server, connections: usize) -> Pool {
        Pool((0..connections).map(|_| Client::new(server)).collect())
    }

    /// Sends all of it, each connection the next that nobody took yet; every answer must be accepted. What a full queue
    /// refused (503) is sent again, as an agent would do.
    pub async fn play(&mut self, calls: Vec<Call>, accepted: fn(&Answer) -> Result<()>) -> Result<()> {
        let (calls, next) = (Arc::new(calls), Arc::new(AtomicUsize::new(0)));
        let mut players = JoinSet::new();
        for mut client in self.0.drain(..) {
            let (calls, next) = (Arc::clone(&calls), Arc::clone(&next));
            players.spawn(async move {
                while let Some(call) = calls.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let mut answer = call.send(&mut client).await?;
                    while answer.status == StatusCode::SERVICE_UNAVAILABLE {
                        ensure!(begun.elapsed() < PATIENCE, "it is overloaded for {PATIENCE:?}");
                        tokio::time::sleep(RETRY).await;
                        answer = call.send(&mut client).await?;
                    }
                    accepted(&answer)?;
                }
                anyhow::Ok(client)
            });
        }
        while let Some(client) = players.join_next().await {
            self.0.push(client??);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Mutex;

    use super::*;

    type Seen = Arc<Mutex<HashMap<String, u32>>>;

    /// Answers every request, the first for `/1` with "overloaded", and counts them by path.
    fn serve(stream: TcpStream, seen: &Seen) {
        let mut writer = stream.try_clone().unwrap();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let Some(path) = line.strip_prefix("GET ").and_then(|rest| rest.strip_suffix(" HTTP/1.1")) else {
                continue;
            };
            let times = *seen.lock().unwrap().entry(path.to_string()).and_modify(|n| *n += 1).or_insert(1);
            let status = if path == "/1" && times == 1 { "503 Busy" } else { "200 OK" };
            write!(writer, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
    }

    /// Plays `/0` to `/19` and returns how often each came, over how many connections.
    async fn played(accepted: fn(&Answer) -> Result<()>) -> (Result<()>, Vec<u32>, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let (seen, connections) = (Seen::default(), Arc::new(AtomicUsize::new(0)));
        let (counted, made) = (Arc::clone(&seen), Arc::clone(&connections));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                made.fetch_add(1, Ordering::Relaxed);
                let seen = Arc::clone(&counted);
                std::thread::spawn(move || serve(stream, &seen));
            }
        });
        let mut pool = Pool::new(server, 3);
        let calls =
            |from: u32| (from..from + 10).map(|n| Call::get(format!("/{n}"), HeaderMap::new())).collect();
        let mut result = pool.play(calls(0), accepted).await;
        if result.is_ok() {
            result = pool.play(calls(10), accepted).await;
        }
        let seen = seen.lock().unwrap();
        let times = (0..20).map(|n| seen.get(&format!("/{n}")).copied().unwrap_or_default());
        (result, times.collect(), connections.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn every_call_is_sent_once_over_kept_connections_and_again_when_it_was_refused() {
        let (result, times, connections) = played(|_| Ok(())).await;
        result.unwrap();
        assert_eq!(times, (0..20).map(|n| if n == 1 { 2 } else { 1 }).collect::<Vec<_>>());
        assert!(connections <= 3, "{connections}");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_accepted_ends_the_play() {
        let (result, times, _) = played(|_| anyhow::bail!("not what I want")).await;
        assert_eq!(result.unwrap_err().to_string(), "not what I want");
        assert_eq!(times[10..].iter().sum::<u32>(), 0);
    }
}
