//! The server's own figures as Prometheus reads them, with an API token of scope `read`.

use std::fmt::Write;

use bytes::Bytes;
use front::{ApiError, Body, Response};
use http::{HeaderValue, StatusCode, header};
use store::{DeviceState, DeviceView, Health, StorageStats};

use crate::call::Call;

/// The text format of version 0.0.4, which every scraper reads.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The server's own figures in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", operation_id = "get_metrics", tag = "status",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    let sockets = call.app.live.open_sockets();
    let work =
        move |store: &store::Store| Ok(text(&store.health(), sockets, &store.devices(), &store.storage()));
    let text = call.app.light(work).await?;
    let mut response = Response::new(Body::new(Bytes::from(text)));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// One family after the other: what it is, then its values. No label comes from outside, so none needs escaping.
struct Families(String);

impl Families {
    fn family(&mut self, name: &str, kind: &str, help: &str, values: &[(String, u64)]) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP openclaw_watch_{name} {help}");
        let _ = writeln!(self.0, "# TYPE openclaw_watch_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(self.0, "openclaw_watch_{name}{labels} {value}");
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "gauge", help, &[(String::new(), value)]);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help, &[(String::new(), value)]);
    }
}

fn text(health: &Health, sockets: usize, devices: &[DeviceView], storage: &StorageStats) -> String {
    let mut out = Families(String::new());
    let version = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    out.family("info", "gauge", "The server's version.", &[(version, 1)]);
    let ready = !matches!(health, Health::ReadOnly(_));
    out.gauge("ready", "1 when reports are taken, else 0.", ready.into());
    let failing = *health != Health::Ready;
    out.gauge("failing", "1 when reports are not taken or not worked up; /readyz says why.", failing.into());
    let states = [DeviceState::New, DeviceState::Online, DeviceState::Degraded, DeviceState::Offline];
    let by_state = states.map(|state| {
        let count = devices.iter().filter(|device| device.state == state).count();
        (format!("{{state=\"{}\"}}", state.as_str()), count as u64)
    });
    out.family("devices", "gauge", "Devices by state.", &by_state);
    out.gauge("live_sockets", "Open live views.", sockets as u64);
    out.gauge("head_samples", "Samples in memory, not sealed into chunks yet.", storage.head_samples);
    let of_tiers = |value: fn(&store::TierStats) -> u64| -> Vec<(String, u64)> {
        let label = |tier: &store::TierStats| format!("{{tier=\"{}\"}}", tier.tier.as_str());
        storage.tiers.iter().map(|tier| (label(tier), value(tier))).collect()
    };
    out.family("tier_samples", "gauge", "Values in chunks, by tier.", &of_tiers(|tier| tier.samples));
    out.family("tier_bytes", "gauge", "Bytes of chunks, by tier.", &of_tiers(|tier| tier.bytes));
    out.family("tier_chunks", "gauge", "Chunks, by tier.", &of_tiers(|tier| tier.chunks));
    let files = [("tail", storage.tail_bytes), ("meta", storage.meta_bytes), ("all", storage.total_bytes)];
    let files = files.map(|(file, bytes)| (format!("{{file=\"{file}\"}}"), bytes));
    out.family("file_bytes", "gauge", "Bytes on disk, with the write-ahead logs.", &files);
    out.gauge("log_bytes", "Bytes of the devices' log lines.", storage.log_bytes);
    out.counter(
        "reports_refused_total",
        "Reports refused since the start: queue or disk full.",
        storage.batches_refused,
    );
    out.counter(
        "columns_refused_total",
        "Metrics left out since the start: too many of a device.",
        storage.columns_refused,
    );
    out.counter(
        "queries_refused_total",
        "Queries refused since the start: past a limit.",
        storage.queries_refused,
    );
    out.gauge("damaged_chunks", "Chunks set aside because they are damaged.", storage.damaged_chunks);
    out.gauge(
        "damaged_groups",
        "Groups of reports set aside because they are damaged.",
        storage.damaged_groups,
    );
    out.0
}
