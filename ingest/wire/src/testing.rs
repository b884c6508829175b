//! Reports for tests.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::report::*;

/// One of everything, to be compared with fixed bytes and texts.
pub fn example() -> Report {
    let mut rows = RowsBuilder::default();
    rows.push(
        1_795_343_922_420,
        [
            ("cpu_percent", Kind::Gauge, 12.5),
            ("memory_used", Kind::Gauge, 4_238_622_720.0),
            ("net_tx_bytes_total", Kind::Counter, 7.0),
        ],
    );
    rows.push(
        1_795_343_923_420,
        [("cpu_percent", Kind::Gauge, 13.1), ("disk_used{mount=\"/data\"}", Kind::Gauge, 1.0)],
    );
    Report {
        agent: AgentInfo {
            version: "1.0.0".into(),
            boot: Some((BootId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]), 42)),
            interval_s: Some(10),
        },
        facts: Facts { hostname: Some("box".into()), cores: Some(8), ..Facts::default() },
        rows: rows.finish(),
        states: vec![("gateway".into(), "running".into())],
        usage: vec![Usage {
            event_id: "e1".into(),
            t_ms: 1_795_343_922_000,
            agent: "main".into(),
            provider: "acme".into(),
            model: "acme-large".into(),
            input: 1_200,
            output: 340,
            cache_read: 9_000,
            cache_write: 0,
            cost_usd: Some(0.0121),
            cost_basis: "reported".into(),
        }],
        logs: vec![Log {
            t_ms: 1_795_343_922_001,
            level: "error".into(),
            source: "gateway".into(),
            message: "<script> \"é\"\n".into(),
        }],
    }
}

/// Any report that [`crate::bounds::check`] accepts, small. `value` makes the values.
pub fn reports(value: impl Strategy<Value = f64> + Clone + 'static) -> impl Strategy<Value = Report> {
    let agent = (".{0,8}", option::of((any::<[u8; 16]>(), any::<u64>())), any::<Option<u32>>()).prop_map(
        |(version, boot, interval_s)| AgentInfo {
            version,
            boot: boot.map(|(id, seq)| (BootId(id), seq)),
            interval_s,
        },
    );
    let fact = || option::of(".{0,8}");
    let facts = (fact(), fact(), fact(), fact(), fact(), any::<Option<u32>>(), fact(), fact()).prop_map(
        |(hostname, os, arch, kernel, cpu_model, cores, openclaw_version, public_ip)| Facts {
            hostname,
            os,
            arch,
            kernel,
            cpu_model,
            cores,
            openclaw_version,
            public_ip,
        },
    );
    (
        agent,
        facts,
        rows(value.clone()),
        vec((".{0,6}", ".{0,6}"), 0..3),
        vec(usage(value), 0..3),
        vec(
            (any::<i64>(), ".{0,4}", ".{0,4}", ".{0,20}").prop_map(|(t_ms, level, source, message)| Log {
                t_ms,
                level,
                source,
                message,
            }),
            0..3,
        ),
    )
        .prop_map(|(agent, facts, rows, states, usage, logs)| Report {
            agent,
            facts,
            rows,
            states,
            usage,
            logs,
        })
}

fn rows(value: impl Strategy<Value = f64> + 'static) -> impl Strategy<Value = Rows> {
    // Six names over up to 130 rows: columns come and go, and presence takes more than one word.
    let cell = (0..6usize, value);
    vec((any::<i64>(), vec(cell, 0..6)), 0..130).prop_map(|rows| {
        let mut builder = RowsBuilder::default();
        for (t_ms, cells) in rows {
            let kind = |i| if i % 3 == 0 { Kind::Counter } else { Kind::Gauge };
            let names = ["a", "b{x=\"1\"}", "c", "d", "e.f", "\u{e9}\""];
            builder.push(t_ms, cells.iter().map(|&(i, value)| (names[i], kind(i), value)));
        }
        builder.finish()
    })
}

fn usage(value: impl Strategy<Value = f64> + 'static) -> impl Strategy<Value = Usage> {
    (
        any::<(i64, u64, u64, u64, u64)>(),
        option::of(value),
        (".{0,4}", ".{0,4}", ".{0,4}", ".{0,4}", ".{0,4}"),
    )
        .prop_map(|((t_ms, input, output, cache_read, cache_write), cost_usd, texts)| Usage {
            event_id: texts.0,
            t_ms,
            agent: texts.1,
            provider: texts.2,
            model: texts.3,
            input,
            output,
            cache_read,
            cache_write,
            cost_usd,
            cost_basis: texts.4,
        })
}

/// Every bit pattern, those of NaN included.
pub fn any_bits() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        Just(f64::from_bits(0x7ff0_dead_beef_0001)),
        Just(-0.0)
    ]
}

/// Values as JSON can hold them.
pub fn finite() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite()),
        (-1_000_000i64..1_000_000).prop_map(|whole| whole as f64),
        (0u32..1_000).prop_map(|tenths| f64::from(tenths) / 10.0),
        Just(-0.0),
    ]
}

/// A report with its numbers as bits: `==` on `f64` knows neither NaN nor the sign of zero.
pub fn bits(report: &Report) -> (Vec<Vec<u64>>, Vec<Option<u64>>, Report) {
    let mut rest = report.clone();
    let columns = rest
        .rows
        .columns
        .iter_mut()
        .map(|column| std::mem::take(&mut column.values).iter().map(|value| value.to_bits()).collect())
        .collect();
    let costs = rest.usage.iter_mut().map(|usage| usage.cost_usd.take().map(f64::to_bits)).collect();
    (columns, costs, rest)
}
