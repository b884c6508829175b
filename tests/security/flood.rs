//! Everything at once: slow clients, devices gone mad, bombs, garbage; and a hundred devices that must not notice.
//!
//! Five seconds of it in every test run; `FLOOD_SECONDS=120 cargo test --release --test security flood -- --nocapture`
//! for longer. How fast acknowledgements came is printed and decides nothing: that is a matter of the machine.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client;
use crate::people::World;
use crate::server::agent;

const NORMAL: u64 = 100;
const NORMAL_THREADS: u64 = 10;
const MAD: u64 = 10;
/// How much more often than a normal one a mad device reports.
const MAD_TIMES: u32 = 50;
const SLOW: usize = 500;
const INTERVAL: Duration = Duration::from_secs(1);

fn seconds() -> u64 {
    let seconds = std::env::var("FLOOD_SECONDS").ok();
    seconds.map_or(5, |seconds| seconds.parse().expect("FLOOD_SECONDS is a number"))
}

fn report(agent: &ureq::Agent, ingest: &str, key: &str, seq: u64, t_ms: i64) -> Option<u16> {
    let body = json!({
        "agent": {"version": "1", "boot_id": "00000000-0000-4000-8000-000000000001", "seq": seq},
        "rows": [{"t_ms": t_ms, "v": {"n": seq}}],
    });
    let post =
        agent.post(format!("http://{ingest}/api/v1/report")).header("content-type", "application/json");
    let mut answer = post.header("authorization", format!("Bearer {key}")).send(body.to_string()).ok()?;
    let status = answer.status().as_u16();
    answer.body_mut().read_to_string().ok()?;
    Some(status)
}

/// Connections that send a byte of a head, or of a body, now and then; opened again when the server hangs up.
fn slow_clients(addr: &str, stop: &AtomicBool) {
    let mut open: Vec<Option<TcpStream>> = (0..SLOW).map(|_| None).collect();
    while !stop.load(Ordering::Acquire) {
        for (n, slot) in open.iter_mut().enumerate() {
            let alive = slot.as_mut().is_some_and(|stream| stream.write_all(b"x").is_ok());
            if !alive {
                *slot = TcpStream::connect(addr).ok();
                if let Some(stream) = slot {
                    let start: &[u8] = match n % 3 {
                        0 => b"",
                        1 => b"POST /api/v1/report HTTP/1.1\r\nx: ",
                        _ => b"POST /api/v1/report HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n",
                    };
                    // Refused at once, perhaps: then the next round tries again.
                    let _ = stream.set_nonblocking(false).and_then(|()| stream.write_all(start));
                }
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn garbage(addr: &str, key: &str, bomb: &[u8], stop: &AtomicBool) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while !stop.load(Ordering::Acquire) {
        let mut noise = vec![0; 2_000];
        for byte in &mut noise {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
        let bearer = format!("Bearer {key}");
        let frame = "application/vnd.openclaw-watch.frame";
        let right = [("authorization", bearer.as_str()), ("content-type", frame)];
        let packed = [right[0], ("content-type", "application/json"), ("content-encoding", "zstd")];
        let wrong = [("authorization", "Bearer ocw_0"), ("content-type", "application/json")];
        for (headers, body) in [(&right[..], &noise[..]), (&packed[..], bomb), (&wrong[..], b"{}")] {
            let mut request =
                format!("POST /api/v1/report HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n", body.len());
            headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
            let Ok(mut stream) = TcpStream::connect(addr) else { continue };
            // What it answers, and whether it does, is not the matter here.
            let _ = stream
                .write_all(request.as_bytes())
                .and_then(|()| stream.write_all(b"connection: close\r\n\r\n"));
            let _ = stream.write_all(body).and_then(|()| stream.read_to_end(&mut Vec::new()));
        }
        let Ok(mut stream) = TcpStream::connect(addr) else { continue };
        let _ = stream.write_all(&noise);
    }
}

#[test]
fn a_hundred_devices_lose_nothing_while_everything_else_floods() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path());
    let seconds = seconds();
    let add = |name: String| {
        let headers = world.admin.headers();
        let added =
            client::json(&world.server.web, "POST", "/api/v1/devices", &headers, &json!({"name": name}));
        let added = added.expect(201);
        (added["device"]["id"].as_u64().unwrap(), added["api_key"].as_str().unwrap().to_string())
    };
    let normal: Vec<(u64, String)> = (0..NORMAL).map(|n| add(format!("normal {n}"))).collect();
    let mad: Vec<(u64, String)> = (0..MAD).map(|n| add(format!("mad {n}"))).collect();
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
    let start_ms = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64 - 3_600_000;

    let stop = AtomicBool::new(false);
    let (latencies, retries, flooded) = (Mutex::new(Vec::new()), AtomicU64::new(0), AtomicU64::new(0));
    let ingest = world.server.ingest.as_str();
    std::thread::scope(|scope| {
        scope.spawn(|| slow_clients(ingest, &stop));
        for _ in 0..2 {
            scope.spawn(|| garbage(ingest, &mad[0].1, &bomb, &stop));
        }
        for (_, key) in &mad {
            let (stop, flooded) = (&stop, &flooded);
            scope.spawn(move || {
                let agent = agent();
                for n in 0.. {
                    if stop.load(Ordering::Acquire) {
                        break;
                    }
                    if report(&agent, ingest, key, n, start_ms + n as i64) == Some(200) {
                        flooded.fetch_add(1, Ordering::Relaxed);
                    }
                    std::thread::sleep(INTERVAL / MAD_TIMES);
                }
            });
        }
        let begin = Instant::now() + Duration::from_millis(500);
        let senders: Vec<_> = (0..NORMAL_THREADS)
            .map(|thread| {
                let (normal, latencies, retries) = (&normal, &latencies, &retries);
                scope.spawn(move || {
                    let agent = agent();
                    let mine = normal.iter().skip(thread as usize).step_by(NORMAL_THREADS as usize);
                    let mine: Vec<&(u64, String)> = mine.collect();
                    for seq in 0..seconds {
                        for (at, (_, key)) in mine.iter().enumerate() {
                            let share = INTERVAL.mul_f64(at as f64 / mine.len() as f64);
                            let due = begin + INTERVAL * seq as u32 + share;
                            std::thread::sleep(due.saturating_duration_since(Instant::now()));
                            // As an agent does: what is not acknowledged is sent again.
                            while report(&agent, ingest, key, seq, start_ms + seq as i64 * 1_000) != Some(200)
                            {
                                retries.fetch_add(1, Ordering::Relaxed);
                                std::thread::sleep(Duration::from_millis(100));
                            }
                            latencies.lock().unwrap().push(due.elapsed());
                        }
                    }
                })
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        stop.store(true, Ordering::Release);
    });

    let mut latencies = latencies.into_inner().unwrap();
    latencies.sort_unstable();
    let percentile = |share: usize| latencies[(latencies.len() * share / 100).min(latencies.len() - 1)];
    println!(
        "flood of {seconds} s: {} acknowledgements, p50 {:?}, p99 {:?}, retries {}; reports of mad devices taken: {}",
        latencies.len(),
        percentile(50),
        percentile(99),
        retries.load(Ordering::Relaxed),
        flooded.load(Ordering::Relaxed),
    );
    assert!(flooded.load(Ordering::Relaxed) > 0, "nothing flooded");
    for (id, _) in &normal {
        let path = format!(
            "/api/v1/query?device={id}&metric=n&from_ms={start_ms}&to_ms={}&points=5000&agg=last",
            start_ms + seconds as i64 * 1_000
        );
        let answer = world.get(&path).expect(200);
        let rows: Vec<u64> = answer["series"][0]["last"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_f64().unwrap() as u64)
            .collect();
        assert_eq!(rows, (0..seconds).collect::<Vec<_>>(), "device {id}");
    }
}
