//! `logs`: fills a new store with log lines, and says what taking them in, finding and grouping them costs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bench::rng::Rng;
use clap::Parser;
use store::{Batch, DeviceId, DeviceProfile, Level, LogLine, LogQuery, Rejected, Store};

/// Measures the log of a new store.
#[derive(Parser, Debug)]
#[command(name = "logs", version)]
struct Args {
    /// An empty folder for the data
    #[arg(long)]
    data_dir: PathBuf,
    /// Lines to take in
    #[arg(long, default_value_t = 1_000_000)]
    lines: u64,
    /// Devices that write them
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    devices: u32,
    /// The lines follow from this number
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const START_MS: i64 = 1_800_000_000_000;
/// Lines of one report.
const REPORT: u64 = 500;
/// Each search is repeated so often; the median counts.
const REPEATS: usize = 5;

fn main() -> Result<()> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.data_dir)?;
    let store = Store::open(store::Options::new(&args.data_dir), START_MS)?;
    let devices: Vec<DeviceId> = (0..args.devices)
        .map(|number| {
            let profile = DeviceProfile { name: format!("d{number}"), ..DeviceProfile::default() };
            let mut key = [0; 32];
            key[..4].copy_from_slice(&number.to_le_bytes());
            store.add_device(profile, key, START_MS)
        })
        .collect::<store::Result<_>>()?;

    let mut rng = Rng::new(args.seed, 0);
    let mut text_bytes = 0;
    let begin = Instant::now();
    for report in 0..args.lines.div_ceil(REPORT) {
        let lines: Vec<LogLine> = (0..REPORT.min(args.lines - report * REPORT))
            .map(|i| line(&mut rng, report * REPORT + i))
            .collect();
        text_bytes += lines.iter().map(|l| l.message.len() + l.source.len()).sum::<usize>();
        append(&store, devices[(report % u64::from(args.devices)) as usize], lines)?;
    }
    // The recorder is done when the last line is there.
    let newest = LogQuery { limit: 1, ..LogQuery::default() };
    let last = START_MS + args.lines as i64 - 1;
    while store.logs(&newest)?.entries.first().is_none_or(|entry| entry.line.t_ms != last) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = begin.elapsed();
    let bytes = store.storage().meta_bytes;
    println!(
        "{} lines of {} bytes in {:.1} s: {:.1} us and {} bytes on disk each",
        args.lines,
        text_bytes as u64 / args.lines,
        took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / args.lines as f64,
        bytes / args.lines
    );

    let of = |text: &str| LogQuery { text: Some(text.into()), limit: 100, ..LogQuery::default() };
    let middle = Some(START_MS + args.lines as i64 / 2);
    for (what, query) in [
        ("the newest 100", LogQuery { limit: 100, ..LogQuery::default() }),
        ("a word in every tenth line", of("timed out")),
        ("a word in one of 10,000 lines", of("EADDRINUSE")),
        ("Chinese, in one of 1,000", of("网关崩溃")),
        ("one that is nowhere", of("no such thing")),
        ("one whose trigrams are everywhere", of("request failed after retry")),
        ("two letters, in one of 10,000", of("磁盘")),
        ("two letters that are nowhere", of("鼎鼎")),
        ("a word of the older half only", LogQuery { to_ms: middle, ..of("older half") }),
        ("the same, asked without a time", of("older half")),
        (
            "errors of one device",
            LogQuery {
                device: Some(devices[0]),
                level: Some(Level::Error),
                limit: 100,
                ..LogQuery::default()
            },
        ),
    ] {
        let (took, found) = median(|| Ok(store.logs(&query)?.entries.len()))?;
        println!("{what}: {found} lines in {:.1} ms", took.as_secs_f64() * 1e3);
    }
    let groups = LogQuery { limit: 100, ..LogQuery::default() };
    for (what, query) in
        [("all groups", groups.clone()), ("groups of a word", LogQuery { limit: 100, ..of("EADDRINUSE") })]
    {
        let (took, found) = median(|| Ok(store.log_groups(&query)?.groups_total as usize))?;
        println!("{what}: {found} in {:.1} ms", took.as_secs_f64() * 1e3);
    }
    let group = store.log_groups(&groups)?.groups.first().map(|group| group.id);
    let (took, found) =
        median(|| Ok(store.logs(&LogQuery { group, limit: 100, ..LogQuery::default() })?.entries.len()))?;
    println!("lines of the largest group: {found} in {:.1} ms", took.as_secs_f64() * 1e3);
    let begin = Instant::now();
    let deleted = store.delete_device(devices[0])?;
    println!("a device with {} lines deleted in {:.1} s", deleted.logs, begin.elapsed().as_secs_f64());
    Ok(())
}

fn median(mut work: impl FnMut() -> Result<usize>) -> Result<(Duration, usize)> {
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..REPEATS {
        let begin = Instant::now();
        found = work()?;
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    Ok((times[REPEATS / 2], found))
}

/// Lines as gateways write them, some rare.
fn line(rng: &mut Rng, number: u64) -> LogLine {
    let id = rng.next();
    let message = match number % 10_000 {
        17 => format!("listen failed: EADDRINUSE: address already in use 127.0.0.1:{}", id % 60_000),
        18 => format!("磁盘空间不足：剩余 {} MB", id % 1_000),
        n if n % 1_000 == 19 => format!("网关崩溃，{} 秒后重启", id % 60),
        n if n % 1_000 == 20 && number < 400_000 => format!("only the older half says this: {id}"),
        n if n % 10 == 0 => format!("model request {id:016x} timed out after {} ms", id % 30_000),
        n if n % 10 < 5 => {
            format!("channel telegram: message {} of session {id:08x} delivered", id % 1_000_000)
        }
        n if n % 10 < 8 => {
            format!("tool exec finished with code {} in {} ms, retry {}", id % 3, id % 9_000, id % 5)
        }
        _ => format!(
            "request to https://api.example.com/v1/messages failed: status {}, request id {id:x}",
            400 + id % 200
        ),
    };
    let level = if number.is_multiple_of(10) { Level::Error } else { Level::Warn };
    LogLine { t_ms: START_MS + number as i64, level, source: "gateway".into(), message }
}

fn append(store: &Store, device: DeviceId, logs: Vec<LogLine>) -> Result<()> {
    loop {
        let (done, receipt) = std::sync::mpsc::channel();
        let batch = Batch { logs: logs.clone(), ..Batch::new(device, START_MS) };
        let sent = store.submit(batch, Box::new(move |result| drop(done.send(result))));
        match sent.and_then(|()| receipt.recv().unwrap_or(Err(Rejected::UnknownDevice))) {
            Ok(_) => return Ok(()),
            // The recorder is behind.
            Err(Rejected::Overloaded { .. }) => std::thread::sleep(Duration::from_millis(5)),
            Err(other) => return Err(other).context("the store refuses the lines"),
        }
    }
}
