//! The store against a map: whatever is appended, sealed, reopened, in whatever order, a query answers what the map says.

use crate::{append, batch, origin, profile};
use proptest::prelude::*;
use std::collections::BTreeMap;
use store::{
    Bucket, Column, DeviceId, Figures, Kind, Options, Presence, RangeAnswer, RangeQuery, Rows, Store, Tier,
    TimeRange,
};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// 20:25 UTC: the rows lie on both sides of midnight, where raw chunks end.
const START: i64 = 1_795_379_122_420;
const METRICS: [(&str, Kind); 3] =
    [("cpu_percent", Kind::Gauge), ("load1", Kind::Gauge), ("net_rx_bytes_total", Kind::Counter)];

#[derive(Debug, Clone)]
enum Step {
    /// Rows for a device: (offset from the start, value or nothing for each metric).
    Append {
        device: usize,
        rows: Vec<(i64, [Option<i16>; 3])>,
    },
    /// The last batch once more, as an agent does that missed the reply.
    Again,
    Seal,
    /// Maintenance so many days later, while everything is kept.
    Maintain {
        days: i64,
    },
    /// Maintenance when all sealed raw rows are past their time.
    Retire,
    Reopen,
}

fn rows() -> impl Strategy<Value = Vec<(i64, [Option<i16>; 3])>> {
    // Few distinct times, so that rows meet; hours apart, so that every tier has borders.
    let offset =
        prop_oneof![0i64..8, (0i64..60).prop_map(|m| m * MINUTE), (0i64..30).prop_map(|h| h * HOUR / 4)];
    let value = proptest::option::weighted(0.8, any::<i16>());
    proptest::collection::vec((offset, [value.clone(), value.clone(), value]), 1..6)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0usize..2, rows()).prop_map(|(device, rows)| Step::Append { device, rows }),
        1 => Just(Step::Again),
        4 => Just(Step::Seal),
        2 => (0i64..12).prop_map(|days| Step::Maintain { days }),
        1 => Just(Step::Retire),
        1 => Just(Step::Reopen),
    ]
}

type Samples = BTreeMap<(DeviceId, usize), BTreeMap<i64, f64>>;

/// What the store should say.
#[derive(Default)]
struct Model {
    /// Samples that the rollups are made of, as of the last seal.
    sealed: Samples,
    /// Rows since the last seal, in the order they came.
    fresh: Vec<(DeviceId, i64, [Option<i16>; 3])>,
    /// Latest sealed raw row.
    raw_last: BTreeMap<DeviceId, i64>,
    /// From when on no raw row was dropped: what comes before it does not count any more.
    kept_from: BTreeMap<DeviceId, i64>,
}

impl Model {
    fn append(&mut self, device: DeviceId, rows: &[(i64, [Option<i16>; 3])]) {
        self.fresh.extend(rows.iter().map(|(offset, values)| (device, START + offset, *values)));
    }

    fn seal(&mut self) {
        self.sealed = self.samples();
        for (device, t, _) in self.fresh.drain(..) {
            let last = self.raw_last.entry(device).or_insert(t);
            *last = t.max(*last);
        }
    }

    fn retire(&mut self) {
        for (device, last) in std::mem::take(&mut self.raw_last) {
            let from = self.kept_from.entry(device).or_insert(i64::MIN);
            *from = (last - last.rem_euclid(HOUR) + HOUR).max(*from);
        }
    }

    fn samples(&self) -> Samples {
        let mut samples = self.sealed.clone();
        for (device, t, values) in &self.fresh {
            if self.kept_from.get(device).is_some_and(|from| t < from) {
                continue;
            }
            for (m, value) in values.iter().enumerate() {
                if let Some(value) = value {
                    samples.entry((*device, m)).or_default().insert(*t, f64::from(*value));
                }
            }
        }
        samples
    }
}

fn to_batch(device: DeviceId, rows: &[(i64, [Option<i16>; 3])], seq: u64) -> store::Batch {
    let columns = METRICS
        .iter()
        .enumerate()
        .map(|(m, (name, kind))| Column {
            metric: (*name).into(),
            kind: *kind,
            values: rows.iter().map(|r| r.1[m].map_or(f64::NAN, f64::from)).collect(),
            present: Presence::from_flags(rows.iter().map(|r| r.1[m].is_some())),
        })
        .collect();
    let rows = Rows { t_ms: rows.iter().map(|r| START + r.0).collect(), columns };
    store::Batch { rows, origin: origin(1, seq), ..batch(device, START) }
}

/// What a step of a series should say: count, sum, min, max, first, last, increase.
fn expected(samples: &BTreeMap<i64, f64>, kind: Kind, from: i64, to: i64, all_from: i64) -> Option<[f64; 7]> {
    let inside: Vec<f64> = samples.range(from..to).map(|s| *s.1).collect();
    let (first, last) = (*inside.first()?, *inside.last()?);
    let mut increase = 0.0;
    if kind == Kind::Counter {
        let before = samples.range(all_from..from).next_back().map(|s| *s.1);
        let with_before: Vec<f64> = before.into_iter().chain(inside.iter().copied()).collect();
        for pair in with_before.windows(2) {
            increase += if pair[1] >= pair[0] { pair[1] - pair[0] } else { pair[1] };
        }
    }
    let min = inside.iter().copied().fold(f64::INFINITY, f64::min);
    let max = inside.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some([inside.len() as f64, inside.iter().sum(), min, max, first, last, increase])
}

#[track_caller]
fn check(store: &Store, devices: &[DeviceId], model: &Model, length: i64, points: u32, tier: Tier) {
    // Raw rows that are dropped are answered from the next tier.
    let tier = if model.kept_from.is_empty() { tier } else { tier.max(Tier::FiveMinutes) };
    let model = &model.samples();
    let range = TimeRange::new(START - HOUR, START - HOUR + length).unwrap();
    let query = RangeQuery {
        devices: devices.to_vec(),
        metrics: METRICS.iter().map(|m| m.0.to_string()).collect(),
        range,
        points,
    };
    let answer = store.query(&query).unwrap();
    if answer.step_ms > 0 {
        assert_eq!(answer.tier, tier, "step {}", answer.step_ms);
    }
    if answer.tier != Tier::Raw {
        check_single_figures(store, &query, &answer);
    }
    let nothing = BTreeMap::new();
    // A rollup row is never cut: the last one may reach past the range.
    let tier_step = answer.tier.step_ms().max(1);
    let read_to = (range.end() + tier_step - 1) / tier_step * tier_step;
    for (m, (name, kind)) in METRICS.iter().enumerate() {
        for &device in devices {
            let samples = model.get(&(device, m)).unwrap_or(&nothing);
            let found = answer.series.iter().find(|s| s.device == device && s.metric == *name);
            let Some(found) = found else {
                assert!(samples.is_empty(), "{name} of {device} is missing");
                continue;
            };
            let all_from = if answer.step_ms > 0 { answer.t_ms[0] } else { range.start() };
            let mut seen = 0;
            for (i, &t) in answer.t_ms.iter().enumerate() {
                let to = if answer.step_ms > 0 { t + answer.step_ms } else { t + 1 };
                let to = to.min(read_to);
                let b = found.buckets[i];
                let as_array = [b.count as f64, b.sum, b.min, b.max, b.first, b.last, b.increase];
                let found = (b.count > 0).then_some(as_array);
                assert_eq!(
                    found,
                    expected(samples, *kind, t, to, all_from),
                    "{name} of {device} at {t}, {length}"
                );
                seen += b.count;
            }
            assert_eq!(
                seen as usize,
                samples.range(all_from..read_to).count(),
                "{name} of {device}, {length}"
            );
        }
    }
}

/// Each figure asked for alone is the same as among all of them.
fn check_single_figures(store: &Store, query: &RangeQuery, all: &RangeAnswer) {
    type Of = fn(&Bucket) -> f64;
    let no = Figures::default();
    let singles: [(Figures, Of); 6] = [
        (no, |b| b.count as f64),
        (Figures { sum: true, ..no }, |b| b.sum),
        (Figures { min: true, ..no }, |b| b.min),
        (Figures { max: true, ..no }, |b| b.max),
        (Figures { last: true, ..no }, |b| b.last),
        (Figures { increase: true, ..no }, |b| b.increase),
    ];
    let figure = |answer: &RangeAnswer, of: Of| -> Vec<Option<f64>> {
        let buckets = answer.series.iter().flat_map(|series| &series.buckets);
        buckets.map(|bucket| (bucket.count > 0).then(|| of(bucket))).collect()
    };
    for (figures, of) in singles {
        let single = store.query_figures(query, figures).unwrap();
        assert_eq!((single.tier, single.step_ms, &single.t_ms), (all.tier, all.step_ms, &all.t_ms));
        assert_eq!(figure(&single, of), figure(all, of), "{figures:?}");
    }
}

fn run(steps: &[Step]) {
    let dir = tempfile::tempdir().unwrap();
    let open = || Store::open(Options::new(dir.path()), START).unwrap();
    let mut store = open();
    let devices = [
        store.add_device(profile("one"), [1; 32], START).unwrap(),
        store.add_device(profile("two"), [2; 32], START).unwrap(),
    ];
    let mut model = Model::default();
    let mut last = None;
    for (seq, step) in steps.iter().enumerate() {
        match step {
            Step::Append { device, rows } => {
                let device = devices[*device];
                model.append(device, rows);
                let batch = to_batch(device, rows, seq as u64);
                assert!(!append(&store, batch.clone()).unwrap().duplicate);
                last = Some(batch);
            }
            Step::Again => {
                if let Some(batch) = &last {
                    assert!(append(&store, batch.clone()).unwrap().duplicate);
                }
            }
            Step::Seal => {
                store.seal().unwrap();
                model.seal();
            }
            Step::Maintain { days } => store.maintain(START + days * DAY).unwrap(),
            Step::Retire => {
                store.maintain(START + 60 * DAY).unwrap();
                model.retire();
            }
            Step::Reopen => {
                drop(store);
                store = open();
            }
        }
        check(&store, &devices, &model, 2 * HOUR, 5_000, Tier::Raw);
        check(&store, &devices, &model, 10 * HOUR, 20, Tier::FiveMinutes);
    }
    drop(store);
    let checked = store::check(dir.path()).unwrap();
    assert_eq!(checked.faults, Vec::<String>::new());
    store = open();
    // Everything in one chunk a window at the end: what won must still win.
    store.seal().unwrap();
    model.seal();
    store.maintain(START + 29 * DAY).unwrap();
    let chunks: Vec<u64> = store.storage().tiers.iter().map(|t| t.chunks).collect();
    assert!(chunks[0] <= 2 && chunks[1] <= 4, "{chunks:?} chunks");
    check(&store, &devices, &model, 10 * HOUR, 5_000, Tier::Raw);
    check(&store, &devices, &model, 10 * HOUR, 3, Tier::Hour);
    check(&store, &devices, &model, 10 * HOUR, 20, Tier::FiveMinutes);
    check(&store, &devices, &model, 2 * HOUR, 4, Tier::FiveMinutes);
    check(&store, &devices, &model, 10 * MINUTE + HOUR, 50, Tier::Raw);
    // Only the hours are left, and they still say everything.
    store.maintain(START + 402 * DAY).unwrap();
    model.retire();
    let chunks: Vec<u64> = store.storage().tiers.iter().map(|t| t.chunks).collect();
    assert!(chunks[..2] == [0, 0] && chunks[2] <= 4, "{chunks:?} chunks");
    check(&store, &devices, &model, 10 * HOUR, 3, Tier::Hour);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_query_answers_what_was_appended(steps in proptest::collection::vec(step(), 1..25)) {
        run(&steps);
    }
}
