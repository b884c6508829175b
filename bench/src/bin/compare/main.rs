//! `compare`: plays the same load into this server and into VictoriaMetrics, one after the other on loopback, and
//! prints what each of them needed.
//!
//! CPU is the server's own, from `/proc`, from the first report until everything is on disk in its final form. Both
//! run with their defaults, but keep rows of any age that is played. One harness plays the requests of both, made
//! beforehand, over the same number of connections.

mod engine;
mod measure;
mod numbers;
mod ours;
mod pool;
mod recordings;
mod sets;
mod table;
mod victoria;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bench::mix::Rates;
use clap::{Parser, ValueEnum};

use measure::{Phase, Plan, measure};

/// Where recordings are looked for when nothing is said.
const RECORDINGS: &str = "../shared/data";

/// Compares this server with VictoriaMetrics on this machine.
#[derive(Parser, Debug)]
#[command(name = "compare", version)]
struct Args {
    /// This server's program
    #[arg(long, default_value = "target/release/openclaw-watch")]
    server: PathBuf,
    /// VictoriaMetrics' program, as in Debian's package victoria-metrics
    #[arg(long, default_value = "/usr/bin/victoria-metrics")]
    victoria: PathBuf,
    /// Only one of them
    #[arg(long)]
    only: Option<Only>,
    /// What is measured, separated by commas; queries and exact load first, and exact is for full rates alone
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "load,queries,exact,single,kill,forms,sizes"
    )]
    phases: Vec<Phase>,
    /// Devices
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    devices: u32,
    /// Metrics of each
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    metrics: u32,
    /// Rows of each, 10 s apart; 8,640 are a day
    #[arg(long, default_value_t = 8_640, value_parser = clap::value_parser!(u32).range(360..=250_000))]
    rows: u32,
    /// Rates of the load as quotients, or as the whole numbers that this project's agent sends
    #[arg(long, value_enum, default_value = "full")]
    rates: RatesArg,
    /// Single reports of one row
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    single: u32,
    /// Connections that big batches come over
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    batch_connections: u32,
    /// Connections that single reports come over
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    single_connections: u32,
    /// How often each query is repeated
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repeat: u32,
    /// A folder of recordings: real-host-1s.csv and nab/*.csv, as far as they are there [default: ../shared/data, if it
    /// is there]
    #[arg(long)]
    recordings: Option<PathBuf>,
    /// An empty folder for the data of both, which then stays there; else a temporary one
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Seed of the values
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    Ours,
    Victoria,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RatesArg {
    Full,
    Whole,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let wanted = |only| args.only.is_none_or(|o| o == only);
    for (program, only) in [(&args.server, Only::Ours), (&args.victoria, Only::Victoria)] {
        ensure!(!wanted(only) || program.is_file(), "there is no program {}", program.display());
    }
    let plan = plan(&args)?;
    println!(
        "{} devices x {} metrics x {} rows, {} s apart with ±{} ms of jitter, seed {}; {} connections for big batches, {} \
         for single reports\n",
        plan.devices,
        plan.metrics,
        plan.rows,
        sets::STEP_MS / 1_000,
        sets::JITTER_MS,
        plan.seed,
        plan.batch_connections,
        plan.single_connections
    );
    let temporary = tempfile::tempdir()?;
    let folder = args.folder.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder)?;
    ensure!(std::fs::read_dir(folder)?.next().is_none(), "{} is not empty", folder.display());
    let mut measured = Vec::new();
    if wanted(Only::Ours) {
        let ours = measure::<ours::Ours>(&args.server, &folder.join("ours"), &plan).await;
        measured.push(ours.context("this server")?);
    }
    if wanted(Only::Victoria) {
        let folder = folder.join("victoria");
        let victoria = measure::<victoria::Victoria>(&args.victoria, &folder, &plan).await;
        measured.push(victoria.context("VictoriaMetrics")?);
    }
    print!("{}", table::markdown(&measured));
    Ok(())
}

fn plan(args: &Args) -> Result<Plan> {
    let recordings = match &args.recordings {
        Some(folder) => {
            ensure!(folder.is_dir(), "there is no folder {}", folder.display());
            Some(folder.clone())
        }
        None => Some(PathBuf::from(RECORDINGS)).filter(|folder| folder.is_dir()),
    };
    let now_ms = now_ms();
    let rates = match args.rates {
        RatesArg::Full => Rates::Full,
        RatesArg::Whole => Rates::Whole,
    };
    let exact = |phase: &Phase| *phase != Phase::Exact || rates == Rates::Full;
    Ok(Plan {
        // The row tells what becomes of rates in full precision.
        phases: args.phases.iter().copied().filter(exact).collect(),
        devices: args.devices as usize,
        metrics: args.metrics as usize,
        rows: args.rows as usize,
        rates,
        singles: args.single as usize,
        repeat: args.repeat as usize,
        seed: args.seed,
        batch_connections: args.batch_connections as usize,
        single_connections: args.single_connections as usize,
        recordings,
        end_ms: sets::end_of_history(now_ms),
        now_ms,
    })
}

fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_1970.as_millis() as i64
}
