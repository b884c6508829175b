use store::{GapCause, Tier};

use super::*;

fn parse(query: &str) -> Result<Plan, ApiError> {
    plan(Params::parse(Some(query)).unwrap(), |_| Vec::new())
}

#[track_caller]
fn refused(query: &str, field: &str) {
    let error = parse(query).unwrap_err();
    assert_eq!((error.status.as_u16(), error.field.as_deref()), (422, Some(field)), "{query}");
}

#[test]
fn a_query_is_read_whole() {
    let plan = parse(
        "device=2&device=1&device=2&metric=cpu_percent&metric=disk_used*&from_ms=10&to_ms=20&points=5000&agg=rate,avg",
    )
    .unwrap();
    assert_eq!(plan.query.devices, [DeviceId(1), DeviceId(2)]);
    assert_eq!(plan.query.metrics, ["cpu_percent", "disk_used*"]);
    assert_eq!((plan.query.range.start(), plan.query.range.end(), plan.query.points), (10, 20, 5000));
    assert_eq!(plan.aggs, [Agg::Rate, Agg::Avg]);
    let plain = parse("device=1&metric=m&from_ms=10&to_ms=20").unwrap();
    assert_eq!((plain.query.points, plain.aggs.as_slice()), (600, &Agg::DEFAULT[..]));
}

#[test]
fn a_wrong_parameter_is_named() {
    let good = "device=1&metric=m&from_ms=10&to_ms=20";
    refused("metric=m&from_ms=10&to_ms=20", "device");
    refused("device=x&metric=m&from_ms=10&to_ms=20", "device");
    refused("device=1&from_ms=10&to_ms=20", "metric");
    refused("device=1&metric=m%00&from_ms=10&to_ms=20", "metric");
    refused("device=1&metric=m&to_ms=20", "from_ms");
    refused("device=1&metric=m&from_ms=20&to_ms=20", "to_ms");
    refused(&format!("{good}&agg=median"), "agg");
    refused(&format!("{good}&agg=avg,"), "agg");
    refused(&format!("{good}&points=0"), "points");
    refused(&format!("{good}&points=5001"), "points");
    refused(&format!("{good}&point=1"), "point");
    refused(&format!("{good}&tag=home"), "tag");
    let many: String = (0..201).map(|id| format!("device={id}&")).collect();
    refused(&format!("{many}metric=m&from_ms=10&to_ms=20"), "device");
    let many: String = (0..65).map(|n| format!("metric=m{n}&")).collect();
    refused(&format!("{many}device=1&from_ms=10&to_ms=20"), "metric");
}

fn bucket(count: u64, sum: f64, increase: f64) -> Bucket {
    Bucket { count, sum, min: 1.0, max: 2.5, first: 1.0, last: 2.0, increase }
}

#[track_caller]
fn check(kind: Kind, step_ms: i64, agg: &str, expected: &str) {
    let nothing = Bucket { count: 0, sum: f64::NAN, ..bucket(0, 0.0, f64::NAN) };
    let buckets = vec![bucket(2, 3.0, 0.0), nothing, bucket(4, 7.0, 30.0), bucket(1, 1.0, 5.0)];
    let series = Series { device: DeviceId(1), metric: "m".into(), kind, buckets };
    let answer =
        RangeAnswer { tier: Tier::Raw, step_ms, t_ms: vec![0, 10_000, 20_000, 30_000], series: vec![series] };
    let query = parse("device=1&metric=m&from_ms=0&to_ms=40000").unwrap().query;
    let history = History::of(&query, &answer, &aggs(vec![agg.to_string()]).unwrap(), Vec::new());
    let text = serde_json::to_string(&history.series).unwrap();
    assert_eq!(text, format!(r#"[{{"device":1,"metric":"m",{expected}}}]"#));
}

#[test]
fn columns_are_null_where_nothing_was_stored() {
    check(Kind::Gauge, 10_000, "avg", r#""avg":[1.5,null,1.75,1]"#);
    check(Kind::Gauge, 10_000, "max,min", r#""min":[1,null,1,1],"max":[2.5,null,2.5,2.5]"#);
    check(Kind::Gauge, 0, "last", r#""last":[2,null,2,2]"#);
}

#[test]
fn a_rate_is_of_counters_and_per_second() {
    check(Kind::Counter, 10_000, "rate", r#""rate":[0,null,3,0.5]"#);
    check(Kind::Gauge, 10_000, "rate", r#""rate":[null,null,null,null]"#);
    // Rows themselves: 20 s, then 10 s since the row before.
    check(Kind::Counter, 0, "rate", r#""rate":[null,null,1.5,0.5]"#);
}

#[test]
fn touching_gaps_of_one_cause_are_one() {
    let gap = |device, from_ms, to_ms, cause| Gap { device: DeviceId(device), from_ms, to_ms, cause };
    let (off, down) = (GapCause::DeviceOffline, GapCause::ServerDown);
    let gaps = vec![
        gap(2, 0, 5, off),
        gap(1, 5, 9, off),
        gap(1, 0, 5, off),
        gap(1, 2, 3, off),
        gap(1, 4, 6, down),
        gap(1, 10, 11, off),
    ];
    let text = |g: &GapBody| format!("{} {}..{} {}", g.device, g.from_ms, g.to_ms, g.cause);
    assert_eq!(
        merged(gaps).iter().map(text).collect::<Vec<_>>(),
        ["1 0..9 device_offline", "1 4..6 server_down", "1 10..11 device_offline", "2 0..5 device_offline"]
    );
}
