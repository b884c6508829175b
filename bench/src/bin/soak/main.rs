//! `soak`: a fleet, people and restarts against one server for a long time; then everything acknowledged is counted.
//!
//! Devices report rows, token usage and now and then bursts of log lines; they go away and come back; guests are added
//! and deleted; people query and follow the live feed, one of them too slowly. The server is killed and stopped in
//! turns during the first part; the last part is calm, so that memory that only grows can be seen. A device keeps a
//! report until it is acknowledged, as the agent does. At the end: is all that was acknowledged there, and nothing
//! else; is the folder sound; are memory and files what they should be?

mod fleet;
mod people;
mod report;
mod server;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bench::devices::Web;
use clap::Parser;
use tokio::sync::watch;

use fleet::Fleet;
use people::People;
use report::Report;
use server::{Place, Soaked};

/// Plays for a long time against a server of its own and counts what was acknowledged.
#[derive(Parser, Debug)]
#[command(name = "soak", version)]
struct Args {
    /// The server's program
    #[arg(long, default_value = "target/release/openclaw-watch")]
    program: PathBuf,
    /// How long, such as 20m or 8h
    #[arg(long, default_value = "20m", value_parser = bench::duration)]
    duration: Duration,
    /// Devices
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    devices: u32,
    /// Time between two reports of a device
    #[arg(long, default_value = "2s", value_parser = bench::duration)]
    interval: Duration,
    /// Time between two restarts of the server, killed and stopped in turns
    #[arg(long, default_value = "2m", value_parser = bench::duration)]
    restart_every: Duration,
    /// Samples in memory at most: few make many seals
    #[arg(long, default_value_t = 300_000)]
    head_samples: u32,
    /// What is drawn follows from this number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File for the report, Markdown
    #[arg(long)]
    report: Option<PathBuf>,
}

/// The part of the time in which nothing is restarted, at the end.
const CALM_PART: f64 = 0.4;
const PASSWORD: &str = "a password for the soak";

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(run(&args))?;
    let text = report.markdown();
    println!("{text}");
    if let Some(path) = &args.report {
        std::fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let faults = report.faults();
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(())
}

async fn run(args: &Args) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let place = Arc::new(Place::new(&args.program, folder.path(), args.head_samples)?);
    let mut server = Soaked::new(place.clone());
    let started = server.start()?;
    let token = started.sign_up_token.context("a new server prints a sign-up link")?;
    let mut web = Web::sign_up(&place.web, &token, "soak", PASSWORD).await?;
    let keys = web.add_devices(args.devices).await?;
    let ids = web.added().to_vec();

    let (stop, stopped) = watch::channel(false);
    let begun = Instant::now();
    let fleet =
        Fleet::start(&place, ids.iter().copied().zip(keys).collect(), args.interval, args.seed, &stopped);
    let people = People::start(&place, web.headers().clone(), ids.clone(), args.seed, &stopped);
    let mut kill = true;
    let mut restart_at = args.restart_every;
    let last_restart = args.duration.mul_f64(1.0 - CALM_PART);
    while begun.elapsed() < args.duration {
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.look(begun.elapsed())?;
        if begun.elapsed() >= restart_at && restart_at < last_restart {
            server.restart(kill)?;
            (kill, restart_at) = (!kill, restart_at + args.restart_every);
        }
    }
    // The fleet ends first: its reports on the way are answered by a server that runs.
    stop.send(true)?;
    let sent = fleet.join().await?;
    let people = people.join().await?;
    let took = begun.elapsed();
    let stopped_in = server.end(false)?;
    let files = server::files(folder.path())?;
    let checked = place.check()?;
    server.start()?;
    let mut web = web.moved_to(&place.web)?;
    let found = verify::all(&mut web, &sent).await?;
    let storage = web.get("/api/v1/storage").await?;
    server.end(false)?;
    Ok(Report {
        devices: args.devices,
        interval: args.interval,
        seed: args.seed,
        took,
        calm_from: last_restart,
        sent: sent.iter().map(fleet::Sent::counts).sum(),
        found,
        people,
        starts: server.starts,
        stops: server.stops.into_iter().chain([stopped_in]).collect(),
        kills: server.kills,
        looks: server.looks,
        files,
        checked,
        storage: report::Storage::of(&storage)?,
    })
}
