//! Token usage: counted once, priced by the table, right in any range.

use crate::{Rig, append, batch, origin, profile};
use proptest::prelude::*;
use store::{
    Cost, CostBasis, DeviceId, PRICE_DAY_MS, Price, Priced, Prices, TimeRange, TokenPrices, Tokens,
    USAGE_SLOT_MS, UsageDays, UsageEvent, UsageOverview, UsageQuery, UsageSum,
};

const NOW: i64 = 1_795_343_922_420;
const DAY: i64 = PRICE_DAY_MS;

fn usage(event_id: &str, t_ms: i64, tokens: u64) -> UsageEvent {
    UsageEvent {
        event_id: event_id.into(),
        t_ms,
        agent: "main".into(),
        provider: "p".into(),
        model: "m".into(),
        input: tokens,
        output: 1,
        cache_read: 2,
        cache_write: 3,
        cost_usd: Some(0.5),
        cost_basis: CostBasis::Reported,
    }
}

fn whole(rig: &Rig) -> UsageSum {
    let range = TimeRange::new(0, NOW * 2 / USAGE_SLOT_MS * USAGE_SLOT_MS).unwrap();
    sum(rig, range)
}

fn sum(rig: &Rig, range: TimeRange) -> UsageSum {
    let rows = rig.store.usage(&UsageQuery { ranges: vec![range], ..UsageQuery::default() }).unwrap();
    rows.into_values().next().unwrap_or_default()
}

fn record(rig: &Rig, device: DeviceId, usage: Vec<UsageEvent>) {
    append(&rig.store, store::Batch { usage, ..batch(device, NOW) }).unwrap();
}

#[test]
fn a_usage_event_counts_once_whichever_report_brings_it() {
    let rig = Rig::new(NOW);
    let slot = NOW - NOW.rem_euclid(USAGE_SLOT_MS);
    for (boot, events) in
        [(1, vec![usage("a", NOW, 10)]), (2, vec![usage("a", NOW, 10), usage("b", NOW, 20)])]
    {
        let report = store::Batch { usage: events, origin: origin(boot, 1), ..batch(rig.device, NOW) };
        append(&rig.store, report).unwrap();
    }
    let rig = rig.reopen(NOW);
    let all = UsageSum {
        messages: 2,
        tokens: Tokens { input: 30, output: 2, cache_read: 4, cache_write: 6 },
        cost: Cost { reported_usd: 1.0, ..Cost::default() },
    };
    assert_eq!(whole(&rig), all);
    assert_eq!(sum(&rig, TimeRange::new(slot, slot + USAGE_SLOT_MS).unwrap()), all);
    assert_eq!(sum(&rig, TimeRange::new(slot - USAGE_SLOT_MS, slot).unwrap()), UsageSum::default());
}

#[test]
fn huge_token_counts_do_not_break_the_sums() {
    let rig = Rig::new(NOW);
    record(&rig, rig.device, (0..20).map(|i| usage(&i.to_string(), NOW, u64::MAX)).collect());
    let rig = rig.reopen(NOW);
    assert_eq!(whole(&rig).tokens.input, 20 * store::USAGE_TOKENS_MAX);
}

#[test]
fn new_prices_count_from_their_day_on_for_what_was_not_reported() {
    let rig = Rig::new(NOW);
    let midnight = NOW - NOW.rem_euclid(DAY);
    let open = |id: &str, t_ms| UsageEvent {
        cost_usd: None,
        cost_basis: CostBasis::Unknown,
        output: 0,
        cache_read: 0,
        cache_write: 0,
        ..usage(id, t_ms, 1_000_000)
    };
    let events = vec![open("a", midnight - 1), open("b", midnight), usage("c", midnight, 7)];
    record(&rig, rig.device, events);
    let rig = rig.reopen(NOW);
    assert_eq!(whole(&rig).cost, Cost { reported_usd: 0.5, default_usd: 2.0, ..Cost::default() });
    let price = Price {
        provider: "p".into(),
        model: "*".into(),
        from_ms: midnight,
        prices: TokenPrices { input: 3.0, output: 15.0, cache_read: 0.3, cache_write: 3.75 },
    };
    let prices = Prices { entries: vec![price], default: None };
    rig.store.set_prices(prices.clone()).unwrap();
    let cost = Cost { reported_usd: 0.5, price_table_usd: 3.0, unknown_tokens: 1_000_000, ..Cost::default() };
    assert_eq!(whole(&rig).cost, cost);
    let rig = rig.reopen(NOW);
    assert_eq!(*rig.store.prices(), prices);
    assert_eq!(whole(&rig).cost, cost);
}

#[test]
fn rows_are_told_apart_and_filtered_as_asked() {
    let rig = Rig::new(NOW);
    let other = rig.store.add_device(profile("two"), [2; 32], NOW).unwrap();
    let of = |id: &str, agent: &str, model: &str| UsageEvent {
        agent: agent.into(),
        model: model.into(),
        ..usage(id, NOW, 10)
    };
    record(&rig, rig.device, vec![of("a", "main", "m1"), of("b", "main", "m2"), of("c", "ops", "m1")]);
    record(&rig, other, vec![of("a", "main", "m1")]);
    let rig = rig.reopen(NOW);
    let everything = TimeRange::new(0, 2 * NOW / DAY * DAY).unwrap();
    let ask = |query: UsageQuery| {
        let rows = rig.store.usage(&UsageQuery { ranges: vec![everything], ..query }).unwrap();
        let text = |(key, sum): (store::UsageKey, UsageSum)| {
            let device = key.device.map_or("-".into(), |d| d.to_string());
            let word = |word: Option<String>| word.unwrap_or("-".into());
            format!("{device} {} {} x{}", word(key.agent), word(key.model), sum.messages)
        };
        rows.into_iter().map(text).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(ask(UsageQuery { by_device: true, ..UsageQuery::default() }), "1 - - x3, 2 - - x1");
    let by_agent_and_model = UsageQuery { by_agent: true, by_model: true, ..UsageQuery::default() };
    assert_eq!(ask(by_agent_and_model), "- main m1 x2, - main m2 x1, - ops m1 x1");
    let of_one = UsageQuery { devices: vec![other], by_device: true, ..UsageQuery::default() };
    assert_eq!(ask(of_one), "2 - - x1");
    let filtered = UsageQuery {
        agents: vec!["main".into()],
        models: vec!["m1".into(), "x'\"".into()],
        ..UsageQuery::default()
    };
    assert_eq!(ask(filtered), "- - - x2");
    let nothing = UsageQuery { providers: vec!["q".into()], ..UsageQuery::default() };
    assert_eq!(ask(nothing), "");
    let models = rig.store.used_models().unwrap();
    let names: Vec<_> = models.iter().map(|m| (m.model.as_str(), m.tokens, m.unreported_tokens)).collect();
    assert_eq!(names, [("m1", 48, 0), ("m2", 16, 0)]);
}

#[test]
fn a_deleted_devices_usage_is_gone_from_the_overview_at_once() {
    let rig = Rig::new(NOW);
    record(&rig, rig.device, vec![usage("a", NOW, 10)]);
    let rig = rig.reopen(NOW);
    let days = days_around(NOW);
    assert_eq!(rig.store.usage_overview(&days).unwrap()[&rig.device].today.messages, 1);
    rig.store.delete_device(rig.device).unwrap();
    assert!(rig.store.usage_overview(&days).unwrap().is_empty());
    assert_eq!(whole(&rig), UsageSum::default());
}

fn days_around(now: i64) -> UsageDays {
    // A zone of +5:45, whose days hold no whole day UTC.
    let today = now - (now + 23 * USAGE_SLOT_MS).rem_euclid(DAY);
    UsageDays {
        today: TimeRange::new(today, today + DAY).unwrap(),
        yesterday: TimeRange::new(today - DAY, today).unwrap(),
        month: TimeRange::new(today - 20 * DAY, today + 10 * DAY).unwrap(),
    }
}

/// Hours before now, model, tokens, reported?
type Spent = (i64, u8, u64, bool);

fn event(number: usize, (hours, model, tokens, reported): &Spent) -> UsageEvent {
    UsageEvent {
        model: format!("m{model}"),
        output: tokens / 3,
        cost_usd: reported.then_some(0.25),
        cost_basis: if *reported { CostBasis::Reported } else { CostBasis::Unknown },
        ..usage(&number.to_string(), NOW - hours * 3_600_000, *tokens)
    }
}

/// The law: what the sums must be, counted event by event.
fn counted<'a>(events: impl Iterator<Item = &'a UsageEvent>, prices: &Prices) -> UsageSum {
    let mut all = UsageSum::default();
    for event in events {
        let tokens = Tokens {
            input: event.input,
            output: event.output,
            cache_read: event.cache_read,
            cache_write: event.cache_write,
        };
        let cost = match (event.cost_usd, prices.at(&event.provider, &event.model, event.t_ms)) {
            (Some(reported_usd), _) => Cost { reported_usd, ..Cost::default() },
            (None, Priced::Unknown) => Cost { unknown_tokens: tokens.total(), ..Cost::default() },
            (None, priced) => priced.cost(&tokens),
        };
        all.add(&UsageSum { messages: 1, tokens, cost });
    }
    all
}

#[track_caller]
fn same(found: &UsageSum, expected: &UsageSum) {
    assert_eq!((found.messages, found.tokens), (expected.messages, expected.tokens));
    let (a, b) = (found.cost, expected.cost);
    assert_eq!(a.unknown_tokens, b.unknown_tokens);
    for (a, b) in [
        (a.reported_usd, b.reported_usd),
        (a.price_table_usd, b.price_table_usd),
        (a.default_usd, b.default_usd),
    ] {
        assert!((a - b).abs() < 1e-9, "{found:?} {expected:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn every_range_and_overview_is_what_its_events_add_up_to(
        spent in proptest::collection::vec((0i64..900, 0u8..3, 1u64..1_000_000, any::<bool>()), 1..40),
        prices in proptest::collection::vec((0u8..4, 0i64..40, 1u32..100), 0..5),
        ranges in proptest::collection::vec((0i64..4_000, 1i64..3_000), 1..6),
    ) {
        let rig = Rig::new(NOW);
        let events: Vec<UsageEvent> = spent.iter().enumerate().map(|(n, s)| event(n, s)).collect();
        let entry = |(model, days, usd): &(u8, i64, u32)| Price {
            provider: "*".into(),
            model: if *model == 3 { "m*".into() } else { format!("m{model}") },
            from_ms: NOW - NOW.rem_euclid(DAY) - days * DAY,
            prices: TokenPrices { output: 0.5, ..TokenPrices::flat(f64::from(*usd)) },
        };
        // Of two equal entries nobody says which one counts.
        let mut entries: Vec<Price> = prices.iter().map(entry).collect();
        entries.sort_by(|a, b| (&a.model, a.from_ms).cmp(&(&b.model, b.from_ms)));
        entries.dedup_by_key(|e| (e.model.clone(), e.from_ms));
        let prices = Prices { entries, default: None };
        rig.store.set_prices(prices.clone()).unwrap();

        // The overview is asked between the two halves: it is read once and added to then.
        let days = days_around(NOW);
        let (first, second) = events.split_at(events.len() / 2);
        record(&rig, rig.device, first.to_vec());
        rig.store.usage_overview(&days).unwrap();
        record(&rig, rig.device, second.to_vec());
        let rig = {
            // The recorder has written everything down when the store is closed.
            rig.store.close();
            let kept = rig.store.usage_overview(&days).unwrap().remove(&rig.device).unwrap_or_default();
            let rig = rig.reopen(NOW);
            let read = rig.store.usage_overview(&days).unwrap().remove(&rig.device).unwrap_or_default();
            let within = |range: TimeRange| counted(events.iter().filter(|e| range.contains(e.t_ms)), &prices);
            let expected = UsageOverview {
                today: within(days.today),
                yesterday: within(days.yesterday),
                month: within(days.month),
                total: counted(events.iter(), &prices),
            };
            for found in [kept, read] {
                same(&found.today, &expected.today);
                same(&found.yesterday, &expected.yesterday);
                same(&found.month, &expected.month);
                same(&found.total, &expected.total);
            }
            rig
        };
        for (slots_before, slots) in ranges {
            let start = NOW - NOW.rem_euclid(USAGE_SLOT_MS) - slots_before * USAGE_SLOT_MS;
            let range = TimeRange::new(start, start + slots * USAGE_SLOT_MS).unwrap();
            let expected = counted(events.iter().filter(|e| range.contains(e.t_ms)), &prices);
            same(&sum(&rig, range), &expected);
        }
    }
}
