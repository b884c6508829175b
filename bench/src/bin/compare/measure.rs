//! What is measured of an engine, one phase after the other. Nothing here knows which engine it is.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bench::client::{Answer, Client};
use bench::mix::Rates;
use clap::ValueEnum;
use tokio::task::LocalSet;

use crate::engine::{ASKED, Asked, Engine, Form, Query, Range};
use crate::pool::{Call, Pool};
use crate::sets::{self, BATCH_ROWS, Fleet, JITTER_MS, Mix, Round, STEP_MS, Set, first_row};
use crate::table::{Load, Measured, Memory, Size};
use bench::running::PATIENCE;

/// After so long without work an engine is at rest: both give memory back a while later.
const REST: Duration = Duration::from_secs(15);
/// Rows of each device that are played in the other forms.
const FORM_ROWS: usize = 4 * BATCH_ROWS;
/// Devices of the sets of which only the size is measured.
const SIZE_DEVICES: usize = 10;
/// Rows of the device with a month of history.
const MONTH_ROWS: usize = 30 * 8_640;
/// What single reports take of the time after the history, milliseconds.
const SINGLES_MS: i64 = 3_600_000;
/// The metric that the kill test sends, to the first device.
const PROBE: &str = "kill_probe";
/// How long it sends.
const KILL_AFTER: Duration = Duration::from_secs(3);
/// Reports of the kill test at most, so that one question can count them.
const KILL_REPORTS_MAX: i64 = 4_500;
/// A metric with full-precision rates.
const EXACT: &str = "net_tx_rate";
/// Span of one question for rows as they came, milliseconds.
const COLUMN_SPAN_MS: i64 = 12 * 3_600_000;

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Phase {
    /// Big batches: CPU, memory and bytes.
    Load,
    /// Questions, warm and after a restart.
    Queries,
    /// Whether every value comes back bit for bit.
    Exact,
    /// Reports of one row each.
    Single,
    /// What is lost at kill -9.
    Kill,
    /// Big batches in the engine's other forms.
    Forms,
    /// Bytes of other sets of data.
    Sizes,
}

/// How much is played.
#[derive(Debug, Clone)]
pub struct Plan {
    pub phases: Vec<Phase>,
    pub devices: usize,
    pub metrics: usize,
    pub rows: usize,
    pub rates: Rates,
    pub singles: usize,
    pub repeat: usize,
    pub seed: u64,
    pub batch_connections: usize,
    pub single_connections: usize,
    pub recordings: Option<PathBuf>,
    /// Where history ends, see [`sets::end_of_history`], and the time now.
    pub end_ms: i64,
    pub now_ms: i64,
}

impl Plan {
    fn has(&self, phase: Phase) -> bool {
        self.phases.contains(&phase)
    }

    fn mix(&self) -> Mix {
        Mix { seed: self.seed, metrics: self.metrics, rates: self.rates, jitter_ms: JITTER_MS }
    }

    fn fleet(&self) -> Fleet {
        Fleet::new(self.mix(), 0..self.devices, first_row(self.end_ms, self.rows))
    }
}

/// Runs the phases of the plan.
pub async fn measure<E: Engine + 'static>(program: &Path, folder: &Path, plan: &Plan) -> Result<Measured> {
    let mut measured = Measured::new(E::NAME, E::PROMISE);
    let mut engine = E::new(program, &folder.join("main"));
    // One device more, for the month.
    engine.start(plan.devices + 1).await?;
    if [Phase::Load, Phase::Queries, Phase::Exact].iter().any(|phase| plan.has(*phase)) {
        load(&mut engine, plan, &mut measured).await?;
    }
    if plan.has(Phase::Queries) {
        ask(&mut engine, plan, &mut measured).await?;
    }
    if plan.has(Phase::Exact) {
        say::<E>("reading back");
        measured.inexact = Some(inexact(&engine, plan).await?);
    }
    if plan.has(Phase::Single) {
        single(&mut engine, plan, &mut measured).await?;
    }
    if plan.has(Phase::Kill) {
        say::<E>("killing");
        measured.lost = Some(lost(&mut engine, plan).await?);
    }
    engine.end(true).await?;
    if plan.has(Phase::Forms) {
        forms::<E>(program, folder, plan, &mut measured).await?;
    }
    if plan.has(Phase::Sizes) {
        sizes::<E>(program, folder, plan, &mut measured).await?;
    }
    Ok(measured)
}

fn say<E: Engine>(what: &str) {
    eprintln!("{}: {what}", E::NAME);
}

/// Makes all requests of a round first, then plays them.
async fn play<E: Engine>(engine: &mut E, pool: &mut Pool, form: Form, round: &Round) -> Result<()> {
    let calls = round.iter().map(|(device, rows)| engine.report(form, *device, rows));
    pool.play(calls.collect::<Result<_>>()?, E::accepted).await
}

/// Plays the rounds, and waits until all is in its final form.
async fn play_all<E: Engine>(
    engine: &mut E,
    plan: &Plan,
    form: Form,
    rounds: impl IntoIterator<Item = Round>,
) -> Result<Load> {
    let before = engine.running()?.usage()?;
    let mut pool = Pool::new(engine.ingest()?, plan.batch_connections);
    let mut samples = 0;
    for round in rounds {
        samples += sets::samples(&round);
        play(engine, &mut pool, form, &round).await?;
    }
    engine.settle().await?;
    let cpu = engine.running()?.usage()?.cpu.saturating_sub(before.cpu);
    Ok(Load { form: form.name(), samples, cpu })
}

async fn load<E: Engine>(engine: &mut E, plan: &Plan, measured: &mut Measured) -> Result<()> {
    say::<E>("loading");
    let load = play_all(engine, plan, E::FORMS[0], plan.fleet().rounds(plan.rows)).await?;
    let peak_bytes = engine.running()?.usage()?.rss_peak_bytes;
    tokio::time::sleep(REST).await;
    let rest_bytes = engine.running()?.usage()?.rss_bytes;
    measured.memory = Some(Memory { peak_bytes, rest_bytes });
    let rollup_bytes = engine.rollup_bytes().await?;
    engine.end(true).await?;
    let bytes = engine.stored_bytes()?;
    measured.folder_bytes = Some(bench::process::folder_bytes(engine.folder())?);
    measured.sizes.push(Size { set: plan.mix().name(), samples: load.samples, bytes, rollup_bytes });
    measured.loads.push(load);
    engine.start(plan.devices + 1).await
}

async fn ask<E: Engine>(engine: &mut E, plan: &Plan, measured: &mut Measured) -> Result<()> {
    say::<E>("loading a month");
    let mut month =
        Fleet::new(plan.mix(), plan.devices..plan.devices + 1, first_row(plan.end_ms, MONTH_ROWS));
    // One connection: the rows of a device come in their order.
    let mut pool = Pool::new(engine.ingest()?, 1);
    for _ in 0..MONTH_ROWS / BATCH_ROWS {
        play(engine, &mut pool, E::FORMS[0], &month.round(BATCH_ROWS, STEP_MS)).await?;
    }
    engine.settle().await?;

    say::<E>("asking");
    let asked = Asked { to_ms: plan.end_ms, month_device: plan.devices };
    for query in Query::ALL {
        let mut client = connected(engine).await?;
        let mut times = Vec::new();
        for _ in 0..plan.repeat {
            times.push(time(engine, query, asked, &mut client, plan).await?);
        }
        times.sort_unstable();
        measured.warm.push((query, times[times.len() / 2]));
    }
    tokio::time::sleep(REST).await;
    measured.asked_bytes = Some(engine.running()?.usage()?.rss_bytes);

    say::<E>("asking after a restart");
    for query in Query::ALL {
        engine.end(true).await?;
        engine.start(plan.devices + 1).await?;
        let mut client = connected(engine).await?;
        measured.cold.push((query, time(engine, query, asked, &mut client, plan).await?));
    }
    Ok(())
}

/// A connection to where questions go, already made.
async fn connected<E: Engine>(engine: &E) -> Result<Client> {
    let mut client = Client::new(engine.web()?);
    client.connect().await?;
    Ok(client)
}

/// Until the answer is here; what is in it is judged after that.
async fn time<E: Engine>(
    engine: &E,
    query: Query,
    asked: Asked,
    client: &mut Client,
    plan: &Plan,
) -> Result<Duration> {
    let call = engine.question(query, asked)?;
    let begun = Instant::now();
    let answer = call.send(client).await?;
    let taken = begun.elapsed();
    let (found, least) = (E::values(query, &answer)?, least_values(query, plan));
    ensure!(found >= least, "{}: {found} values where {least} should be", query.name());
    Ok(taken)
}

/// How many values the answer must have: what is there, less a few at the ends of the range.
fn least_values(query: Query, plan: &Plan) -> usize {
    let day = plan.rows as i64 * STEP_MS;
    let most = |covered_ms: i64| {
        let points = covered_ms.min(query.range_ms()) / query.step_ms().max(STEP_MS);
        usize::try_from(points * 95 / 100).unwrap_or_default()
    };
    match query {
        Query::HourOfOneSeries | Query::DayOfOneSeries => most(day),
        Query::DayOfEveryDevice => plan.devices * most(day) + most(query.range_ms()),
        Query::MonthOfOneSeries => most(query.range_ms()),
        Query::Latest => (plan.devices + 1) * plan.metrics,
    }
}

/// How many values of one column did not come back as they were sent, of how many.
async fn inexact<E: Engine>(engine: &E, plan: &Plan) -> Result<(usize, usize)> {
    let device = plan.devices - 1;
    let from_ms = first_row(plan.end_ms, plan.rows);
    let fleet = Fleet::new(plan.mix(), device..device + 1, from_ms);
    let mut sent = Vec::new();
    for (_, rows) in fleet.rounds(plan.rows).flatten() {
        let Some(column) = rows.columns.iter().find(|column| column.name == EXACT) else {
            bail!("--phases exact needs --metrics 5 or more");
        };
        sent.extend(rows.t_ms.iter().copied().zip(column.values.iter().copied()));
    }
    let read = column(engine, device, EXACT, (from_ms - STEP_MS, plan.end_ms)).await?;
    ensure!(read.len() == sent.len(), "{EXACT}: {} values were sent, {} came back", sent.len(), read.len());
    let same = |(a, b): &(&(i64, f64), &(i64, f64))| a.0 == b.0 && a.1.to_bits() == b.1.to_bits();
    Ok((sent.iter().zip(&read).filter(|pair| !same(pair)).count(), sent.len()))
}

/// One metric of one device as it came, asked for piece by piece.
async fn column<E: Engine>(engine: &E, device: usize, metric: &str, range: Range) -> Result<Vec<(i64, f64)>> {
    let mut client = connected(engine).await?;
    let mut column = Vec::new();
    let (mut at_ms, to_ms) = range;
    while at_ms < to_ms {
        let piece = (at_ms, to_ms.min(at_ms + COLUMN_SPAN_MS));
        let answer = engine.column_question(device, metric, piece)?.send(&mut client).await?;
        column.extend(E::column(&answer)?);
        at_ms = piece.1;
    }
    Ok(column)
}

async fn single<E: Engine>(engine: &mut E, plan: &Plan, measured: &mut Measured) -> Result<()> {
    say::<E>("single reports");
    let rounds = plan.singles.div_ceil(plan.devices);
    let step_ms = (SINGLES_MS / rounds as i64).clamp(1, STEP_MS);
    let mut fleet = Fleet::new(plan.mix(), 0..plan.devices, plan.end_ms + STEP_MS / 2);
    let mut calls = Vec::with_capacity(rounds * plan.devices);
    for _ in 0..rounds {
        for (device, rows) in fleet.round(1, step_ms) {
            calls.push(engine.report(E::SINGLE, device, &rows)?);
        }
    }
    calls.truncate(plan.singles);
    let mut pool = Pool::new(engine.ingest()?, plan.single_connections);
    let before = engine.running()?.usage()?.cpu;
    let begun = Instant::now();
    pool.play(calls, E::accepted).await?;
    let cpu = engine.running()?.usage()?.cpu.saturating_sub(before);
    eprintln!("{}: {:.0} a second", E::NAME, plan.singles as f64 / begun.elapsed().as_secs_f64());
    measured.singles = Some((plan.singles as u64, cpu));
    Ok(())
}

/// Reports until the process is killed; how many of the acknowledged ones are not there after a restart.
async fn lost<E: Engine>(engine: &mut E, plan: &Plan) -> Result<(usize, usize)> {
    let from_ms = plan.now_ms - 1_000_000;
    let mut client = Client::new(engine.ingest()?);
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < KILL_AFTER && sent < KILL_REPORTS_MAX {
        let mut rows = wire::RowsBuilder::default();
        rows.push(from_ms + sent, [(PROBE, wire::Kind::Gauge, 1.0)]);
        let call = engine.report(E::FORMS[0], 0, &rows.finish())?;
        E::accepted(&call.send(&mut client).await?)?;
        sent += 1;
    }
    engine.end(false).await?;
    engine.start(plan.devices + 1).await?;
    let found = column(engine, 0, PROBE, (from_ms, from_ms + KILL_REPORTS_MAX)).await?.len();
    let sent = usize::try_from(sent)?;
    Ok((sent.saturating_sub(found), sent))
}

async fn forms<E: Engine>(program: &Path, folder: &Path, plan: &Plan, measured: &mut Measured) -> Result<()> {
    let rows = FORM_ROWS.min(plan.rows);
    let mut exported = Vec::new();
    for (n, form) in E::FORMS.iter().enumerate() {
        if n == 0 && E::NATIVE.is_none() {
            continue;
        }
        say::<E>(&format!("loading {}", form.name()));
        let mut engine = E::new(program, &folder.join(format!("form-{n}")));
        engine.start(plan.devices).await?;
        let load = match (form, E::NATIVE) {
            (Form::Native, Some(native)) => {
                let before = engine.running()?.usage()?;
                let calls = std::mem::take(&mut exported).into_iter().map(native.import).collect();
                Pool::new(engine.ingest()?, plan.batch_connections).play(calls, E::accepted).await?;
                engine.settle().await?;
                let cpu = engine.running()?.usage()?.cpu.saturating_sub(before.cpu);
                let samples = (plan.devices * plan.metrics * rows) as u64;
                Load { form: form.name(), samples, cpu }
            }
            _ => play_all(&mut engine, plan, *form, plan.fleet().rounds(rows)).await?,
        };
        let range = (first_row(plan.end_ms, plan.rows) - STEP_MS, plan.end_ms);
        let found = column(&engine, plan.devices - 1, ASKED, range).await?.len();
        ensure!(found == rows, "{}: {rows} rows of a device were sent, {found} came", form.name());
        match E::NATIVE {
            // The first form is here only to export from.
            Some(native) if n == 0 => exported = export(&engine, plan, rows, native.export).await?,
            _ => measured.loads.push(load),
        }
        engine.end(true).await?;
    }
    Ok(())
}

/// What the engine stored, cut as it was sent.
async fn export<E: Engine>(
    engine: &E,
    plan: &Plan,
    rows: usize,
    call: fn(usize, Range) -> Call,
) -> Result<Vec<bytes::Bytes>> {
    let mut client = connected(engine).await?;
    let mut bodies = Vec::new();
    let half = STEP_MS / 2;
    for at in (0..rows).step_by(BATCH_ROWS) {
        let from_ms = first_row(plan.end_ms, plan.rows) + at as i64 * STEP_MS - half;
        for device in 0..plan.devices {
            let range = (from_ms, from_ms + BATCH_ROWS as i64 * STEP_MS);
            let answer: Answer = call(device, range).send(&mut client).await?;
            E::accepted(&answer)?;
            bodies.push(answer.body);
        }
    }
    Ok(bodies)
}

/// All sets at once, each in a process of its own: CPU is not measured here.
async fn sizes<E: Engine + 'static>(
    program: &Path,
    folder: &Path,
    plan: &Plan,
    measured: &mut Measured,
) -> Result<()> {
    say::<E>("sizes");
    let known: Vec<String> = measured.sizes.iter().map(|size| size.set.clone()).collect();
    let sets = Set::all(plan.seed, plan.metrics, plan.recordings.as_deref());
    let local = LocalSet::new();
    let mut running = Vec::new();
    for (n, set) in sets.into_iter().enumerate().filter(|(_, set)| !known.contains(&set.name())) {
        let engine = E::new(program, &folder.join(format!("set-{n}")));
        let plan = plan.clone();
        running.push(local.spawn_local(async move {
            let name = set.name();
            size(engine, set, &plan).await.with_context(|| name)
        }));
    }
    local
        .run_until(async {
            for size in running {
                measured.sizes.push(tokio::time::timeout(PATIENCE, size).await???);
            }
            Ok(())
        })
        .await
}

async fn size<E: Engine>(mut engine: E, set: Set, plan: &Plan) -> Result<Size> {
    let rounds = set.rounds(SIZE_DEVICES.min(plan.devices), plan.rows, plan.end_ms)?;
    let devices = rounds.iter().flatten().map(|(device, _)| device + 1).max().context("it is empty")?;
    // Small sets shall not pay for what an empty folder has already.
    engine.start(devices).await?;
    engine.end(true).await?;
    let empty = engine.stored_bytes()?;
    engine.start(devices).await?;
    let load = play_all(&mut engine, plan, E::FORMS[0], rounds).await?;
    let rollup_bytes = engine.rollup_bytes().await?;
    engine.end(true).await?;
    let bytes = engine.stored_bytes()?.saturating_sub(empty);
    Ok(Size { set: set.name(), samples: load.samples, bytes, rollup_bytes })
}
