//! `fleet`: plays many devices against a running server on this machine and says what that cost.
//!
//! The schedule is open: each report has a moment at which it is due, and its latency counts from that moment, so
//! a server that stalls is charged for every report that had to wait meanwhile.

mod connect;
mod history;
mod play;
mod summary;

use std::time::Duration;

use anyhow::{Result, ensure};
use bench::mix::METRICS_MAX;
use clap::{Parser, Subcommand, ValueEnum};

use connect::Connect;
use play::Plan;

/// Plays a fleet of devices against a server on this machine.
#[derive(Parser, Debug)]
#[command(name = "fleet", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Args {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    live: Live,
}

#[derive(Subcommand, Debug)]
enum Mode {
    /// Load the past, as devices that come back with a full spool, with a spike of one sample every week
    History(history::Args),
}

/// Reports as they would come now.
#[derive(clap::Args, Debug)]
struct Live {
    #[command(flatten)]
    connect: Connect,
    /// Number of devices
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    devices: u32,
    /// Metrics of each device
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=METRICS_MAX as i64))]
    metrics: u32,
    /// Time between two reports of a device, such as 500ms, 1s or 2m
    #[arg(long, default_value = "1s", value_parser = bench::duration)]
    interval: Duration,
    /// Rows in each report, spread over the interval
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rows: u32,
    /// How long to play
    #[arg(long, default_value = "60s", value_parser = bench::duration)]
    duration: Duration,
    /// How reports are sent
    #[arg(long, value_enum, default_value = "frame")]
    format: Format,
    /// Connections kept open; a device always uses the same one
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// The values of all devices follow from this number
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How reports are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Frames, as the agent does
    Frame,
    /// JSON, as scripts do
    Json,
}

/// More reports than this in one run would not fit the list of latencies.
const REPORTS_MAX: u128 = 50_000_000;

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match args.mode {
            Some(Mode::History(args)) => history::run(args).await,
            None => run(args.live).await,
        }
    })
}

async fn run(args: Live) -> Result<()> {
    let server = args.connect.server()?;
    let reports = args.duration.as_nanos() / args.interval.as_nanos() * u128::from(args.devices);
    ensure!(reports <= REPORTS_MAX, "{reports} reports are too many for one run; at most {REPORTS_MAX} fit");

    let (mut web, keys) = args.connect.keys(args.devices).await?;
    let plan = Plan {
        server,
        keys,
        metrics: args.metrics as usize,
        interval: args.interval,
        rows: args.rows,
        duration: args.duration,
        format: args.format,
        connections: args.connections,
        seed: args.seed,
    };
    println!(
        "{} devices x {} metrics x {} rows every {:?} for {:?} as {:?} over {} connections, seed {}",
        args.devices,
        args.metrics,
        args.rows,
        args.interval,
        args.duration,
        args.format,
        args.connections,
        args.seed
    );
    let before = args.connect.look()?;
    let played = play::play(plan).await?;
    let after = args.connect.look()?;
    print!("{}", summary::text(&played, before.usage.zip(after.usage), before.bytes.zip(after.bytes)));

    if let (Some(web), true) = (&mut web, args.connect.cleanup) {
        let deleted = web.delete_devices().await?;
        println!("{deleted} devices deleted");
    }
    ensure!(played.is_clean(), "not every report was accepted");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
        assert!(Args::try_parse_from(["fleet"]).is_err(), "keys have to come from somewhere");
        assert!(Args::try_parse_from(["fleet", "--keys", "k", "--devices", "0"]).is_err());
        assert!(Args::try_parse_from(["fleet", "--keys", "k", "--cleanup"]).is_err());
        assert!(Args::try_parse_from(["fleet", "--keys", "k"]).is_ok());
        assert!(Args::try_parse_from(["fleet", "history"]).is_err(), "keys have to come from somewhere");
        assert!(Args::try_parse_from(["fleet", "history", "--keys", "k", "--days", "0"]).is_err());
        assert!(Args::try_parse_from(["fleet", "history", "--keys", "k", "--to", "yesterday"]).is_err());
        assert!(Args::try_parse_from(["fleet", "--devices", "1", "history", "--keys", "k"]).is_err());
        assert!(Args::try_parse_from(["fleet", "history", "--keys", "k"]).is_ok());
    }
}
