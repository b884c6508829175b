//! The port itself: its options, its routes, and what every route that stores something shares.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use front::{ApiError, Buckets, Limits, Peer, Rate, Request, Response, Transport};
use http::{HeaderMap, Method, StatusCode};
use store::{Batch, DeviceId, Receipt, Rejected, Store, Timestamp};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};

use crate::admit::Policy;
use crate::in_flight::{Full, InFlight, Ticket};
use crate::install::{self, Agents};
use crate::{enroll, key, older, report};

/// Tells the time: Unix milliseconds.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Addresses whose wrong keys are remembered.
const FAILURE_ADDRESSES_MAX: usize = 8_192;
/// Devices whose rate is remembered; one that reports within its rate loses nothing when it is forgotten.
const RATE_DEVICES_MAX: usize = 65_536;
/// When to try again when the server is busy with other reports, seconds.
const BUSY_RETRY_S: u32 = 1;
/// When to try again when the store cannot write, seconds. A full disk is not freed within moments.
const UNAVAILABLE_RETRY_S: u32 = 10;

/// How the port behaves.
#[derive(Clone)]
pub struct Options {
    /// How agents get here.
    pub transport: Transport,
    /// What agents report to, without a path; `None`: what a device used to get here.
    pub public_url: Option<String>,
    /// The agents that devices can be set up with.
    pub agents: Agents,
    /// Connections and bodies.
    pub limits: Limits,
    /// Times of rows that are accepted; how old they may be says the store.
    pub policy: Policy,
    /// Reports of one device; past it 429.
    pub reports: Rate,
    /// Requests with a wrong key from one address; past it 429 instead of 401. Right keys are not affected.
    pub failures: Rate,
    /// Reports of one device that cannot be read; past it 429, before the next one's body is read or unpacked.
    pub unreadable: Rate,
    /// Tries to enroll from one address; past it 429.
    pub enrolling: Rate,
    /// Tries to enroll in total; past it 429.
    pub enrolling_total: Rate,
    /// Reports being taken in at once; past it 503.
    pub requests_max: usize,
    /// Those of one device; past it 429.
    pub requests_per_device_max: usize,
    /// The time.
    pub now: Clock,
}

impl Options {
    /// The defaults, with this clock.
    pub fn new(now: Clock) -> Options {
        Options {
            transport: Transport::default(),
            public_url: None,
            agents: Agents::default(),
            limits: Limits { body_bytes_max: wire::bounds::FRAME_BYTES_MAX, ..Limits::default() },
            policy: Policy::default(),
            reports: Rate {
                per_second: 2_000.0,
                burst: const { NonZeroU32::new(5_000).expect("more than 0") },
            },
            failures: Rate { per_second: 1.0, burst: const { NonZeroU32::new(60).expect("more than 0") } },
            unreadable: Rate { per_second: 1.0, burst: const { NonZeroU32::new(60).expect("more than 0") } },
            enrolling: Rate { per_second: 0.1, burst: const { NonZeroU32::new(30).expect("more than 0") } },
            enrolling_total: Rate {
                per_second: 2.0,
                burst: const { NonZeroU32::new(300).expect("more than 0") },
            },
            requests_max: 2_048,
            requests_per_device_max: 256,
            now,
        }
    }
}

/// Serves the port until `stop` holds `true`, then finishes what is under way.
pub async fn run(listener: TcpListener, store: Arc<Store>, options: Options, stop: watch::Receiver<bool>) {
    let (limits, transport) = (options.limits.clone(), options.transport.clone());
    let (answered, answers) = mpsc::unbounded_channel();
    // Ends with `answered`: when the last request is answered and the store has nothing more to say.
    tokio::spawn(pass_on(answers));
    let ingest = Arc::new(Ingest::new(store, options, answered));
    let handler = move |request, peer| {
        let ingest = ingest.clone();
        async move { ingest.handle(request, peer).await }
    };
    front::serve(listener, limits, transport, handler, stop).await;
}

/// What the store says of a report, and to whom.
type Answered = (oneshot::Sender<Result<Receipt, Rejected>>, Result<Receipt, Rejected>);

/// Passes on what the store says, all of a commit at once and from within the runtime: if the writer's thread woke each
/// request by itself, each would go through the runtime's shared queue and mostly wake a thread of it.
async fn pass_on(mut answers: mpsc::UnboundedReceiver<Answered>) {
    // No more than the requests that are taken in at once.
    let mut some = Vec::new();
    while answers.recv_many(&mut some, usize::MAX).await > 0 {
        for (reply, result) in some.drain(..) {
            // Nobody waits any more when the client went away.
            let _ = reply.send(result);
        }
    }
}

/// Answers the requests of the port.
pub struct Ingest {
    pub(crate) store: Arc<Store>,
    pub(crate) options: Options,
    failures: Buckets<IpAddr>,
    reports: Buckets<DeviceId>,
    unreadable: Buckets<DeviceId>,
    enrolling: Buckets<IpAddr>,
    enrolling_total: Buckets<()>,
    in_flight: Arc<InFlight>,
    /// Bounded by `in_flight`.
    answered: mpsc::UnboundedSender<Answered>,
}

impl Ingest {
    /// Answers from this store.
    fn new(store: Arc<Store>, options: Options, answered: mpsc::UnboundedSender<Answered>) -> Ingest {
        Ingest {
            store,
            answered,
            failures: Buckets::new(options.failures, FAILURE_ADDRESSES_MAX),
            reports: Buckets::new(options.reports, RATE_DEVICES_MAX),
            unreadable: Buckets::new(options.unreadable, RATE_DEVICES_MAX),
            enrolling: Buckets::new(options.enrolling, FAILURE_ADDRESSES_MAX),
            enrolling_total: Buckets::new(options.enrolling_total, 1),
            in_flight: InFlight::new(options.requests_max, options.requests_per_device_max),
            options,
        }
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request, peer: Peer) -> Response {
        let answer = match Path::find(request.uri().path()).map(|path| (path, path.route)) {
            None => Err(ApiError::not_found("There is nothing at this path.")),
            Some((path, _)) if !path.has(request.method()) => Err(ApiError::method_not_allowed(path.methods)),
            Some((_, Route::Health)) => Ok(front::json(StatusCode::OK, &serde_json::json!({"status": "ok"}))),
            Some((_, Route::Report)) => report::report(self, request, peer).await,
            Some((_, Route::Enroll)) => enroll::enroll(self, request, peer).await,
            Some((_, Route::Shell)) => install::shell(self, request, peer).await,
            Some((_, Route::PowerShell)) => install::powershell(self, request, peer).await,
            Some((_, Route::Agent)) => install::agent(self, request, peer).await,
            Some((_, Route::OlderStatus)) => older::status(self, request, peer).await,
            Some((_, Route::OlderError)) => older::error(self, request, peer).await,
        };
        answer.unwrap_or_else(ApiError::into_response)
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.options.now)()
    }

    /// Which times are accepted: rows and lines as old as the store keeps rows as they came.
    pub(crate) fn policy(&self) -> Policy {
        Policy { age_ms_max: self.store.retention().raw.age_ms, ..self.options.policy }
    }

    /// Whose key it is; `None` stands for a request without one.
    pub(crate) fn authenticate(&self, key: Option<&[u8]>, peer: Peer) -> Result<DeviceId, ApiError> {
        if let Some(device) = key.and_then(|key| key::device(&self.store, key)) {
            return Ok(device);
        }
        match self.failures.take(peer.key(), self.now()) {
            Ok(()) => Err(ApiError::unauthorized()),
            Err(wait_s) => Err(ApiError::too_many_tries("Too many requests without a valid key.", wait_s)),
        }
    }

    /// Like [`Ingest::authenticate`], with the key in the headers.
    pub(crate) fn authenticate_headers(&self, headers: &HeaderMap, peer: Peer) -> Result<DeviceId, ApiError> {
        self.authenticate(key::from_headers(headers), peer)
    }

    /// One try to enroll: few are allowed, because a code is short and anybody may try.
    pub(crate) fn begin_enrolling(&self, peer: Peer) -> Result<(), ApiError> {
        let now = self.now();
        let taken = self.enrolling.take(peer.key(), now).and_then(|()| self.enrolling_total.take((), now));
        taken.map_err(|wait_s| ApiError::too_many_tries("There were too many tries to enroll.", wait_s))
    }

    /// Room for one report of `device`, held until the ticket is dropped.
    pub(crate) fn begin(&self, device: DeviceId) -> Result<Ticket, ApiError> {
        let now = self.now();
        self.unreadable.check(device, now).map_err(|wait_s| {
            ApiError::too_many_tries("This device sent too many reports that cannot be read.", wait_s)
        })?;
        self.reports
            .take(device, now)
            .map_err(|wait_s| ApiError::too_many_tries("This device reports too often.", wait_s))?;
        self.in_flight.begin(device).map_err(|full| match full {
            Full::Device => {
                ApiError::too_many_tries("This device sends too many reports at once.", BUSY_RETRY_S)
            }
            Full::Total => ApiError::unavailable("The server is busy with other reports.", BUSY_RETRY_S),
        })
    }

    /// Remembers whose fault it was when a report of `device` could not be read: a bomb costs its sender more than us.
    pub(crate) fn judged<T>(&self, device: DeviceId, answer: Result<T, ApiError>) -> Result<T, ApiError> {
        if let Err(error) = &answer
            && matches!(error.status.as_u16(), 400 | 413 | 415 | 422)
        {
            // That the bucket is empty is told to the next one.
            let _ = self.unreadable.take(device, self.now());
        }
        answer
    }

    /// Returns once `batch` is on disk, as the frame it came in if there is one.
    pub(crate) async fn submit(&self, batch: Batch, frame: Option<Bytes>) -> Result<Receipt, ApiError> {
        let (reply, receipt) = oneshot::channel();
        let answered = self.answered.clone();
        let reply = Box::new(move |result| {
            // The receiver ends after the last sender.
            let _ = answered.send((reply, result));
        });
        match frame {
            Some(frame) => self.store.submit_frame(batch, frame, reply),
            None => self.store.submit(batch, reply),
        }
        .map_err(refused)?;
        // Cancel-safe: once `submit` returns, the writer owns the batch; dropping this future loses only the reply.
        match receipt.await {
            Ok(result) => result.map_err(refused),
            // The writer ended without a word: whether the batch is on disk nobody knows, so it must be sent again.
            Err(_) => Err(ApiError::unavailable("The server is stopping.", UNAVAILABLE_RETRY_S)),
        }
    }
}

fn refused(rejected: Rejected) -> ApiError {
    match rejected {
        Rejected::Overloaded { retry_after_ms } => {
            let retry_s = u32::try_from(retry_after_ms.div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
            ApiError::unavailable("The server is overloaded; send the report again later.", retry_s)
        }
        Rejected::Unavailable { reason } => {
            // The reason names files and the like: it is for the operator, not for whoever sends reports.
            tracing::debug!(reason, "a report was refused");
            ApiError::unavailable("The server cannot store reports at present.", UNAVAILABLE_RETRY_S)
        }
        Rejected::UnknownDevice => ApiError::unauthorized(),
    }
}

/// Who may use a path of this port. There is no session here, and nothing can be read but what is the same for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Anybody.
    Public,
    /// A device with its key.
    Device,
    /// Anybody with a one-time code in the body; tries are limited.
    Code,
}

/// One line of the table of this port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// As in a request; `{target}` stands for one segment.
    pub path: &'static str,
    /// Its methods, as `Allow` lists them.
    pub methods: &'static str,
    /// Who may use it.
    pub rule: Rule,
    route: Route,
}

/// All there is on this port.
pub const PATHS: &[Path] = &[
    Path { path: "/healthz", methods: "GET, HEAD", rule: Rule::Public, route: Route::Health },
    Path { path: "/api/v1/report", methods: "POST", rule: Rule::Device, route: Route::Report },
    Path { path: "/api/v1/enroll", methods: "POST", rule: Rule::Code, route: Route::Enroll },
    Path { path: "/install.sh", methods: "GET, HEAD", rule: Rule::Public, route: Route::Shell },
    Path { path: "/install.ps1", methods: "GET, HEAD", rule: Rule::Public, route: Route::PowerShell },
    Path { path: "/agent/{target}", methods: "GET, HEAD", rule: Rule::Public, route: Route::Agent },
    Path { path: "/api/report/status", methods: "POST", rule: Rule::Device, route: Route::OlderStatus },
    Path { path: "/api/report/error", methods: "POST", rule: Rule::Device, route: Route::OlderError },
];

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Health,
    Report,
    Enroll,
    Shell,
    PowerShell,
    Agent,
    OlderStatus,
    OlderError,
}

impl Path {
    fn find(path: &str) -> Option<&'static Path> {
        PATHS.iter().find(|known| match known.path.split_once('{') {
            None => known.path == path,
            // One segment, whatever it is.
            Some((before, _)) => {
                path.strip_prefix(before).is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
            }
        })
    }

    fn has(&self, method: &Method) -> bool {
        self.methods.split(", ").any(|allowed| allowed == method.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rejected: Rejected, status: u16, retry_s: Option<u32>) {
        let error = refused(rejected);
        assert_eq!((error.status.as_u16(), error.retry_after_s), (status, retry_s));
    }

    #[test]
    fn what_the_store_refuses_becomes_an_answer_that_says_when_to_try_again() {
        check(Rejected::Overloaded { retry_after_ms: 1 }, 503, Some(1));
        check(Rejected::Overloaded { retry_after_ms: 0 }, 503, Some(1));
        check(Rejected::Overloaded { retry_after_ms: 2_001 }, 503, Some(3));
        check(Rejected::Overloaded { retry_after_ms: u64::MAX }, 503, Some(u32::MAX));
        check(Rejected::Unavailable { reason: "disk full".into() }, 503, Some(10));
        check(Rejected::UnknownDevice, 401, None);
    }

    #[test]
    fn a_reason_of_the_store_stays_inside() {
        let error = refused(Rejected::Unavailable { reason: "/var/lib/x: no space".into() });
        assert!(!error.message.contains("/var"), "{}", error.message);
    }

    #[test]
    fn routes_know_their_methods() {
        let report = Path::find("/api/v1/report").unwrap();
        assert!(report.has(&Method::POST) && !report.has(&Method::GET));
        let health = Path::find("/healthz").unwrap();
        assert!(health.has(&Method::GET) && health.has(&Method::HEAD) && !health.has(&Method::POST));
        for path in
            ["/", "/api/v1/report/", "/api/v1/enroll/", "/api/v1/devices", "//healthz", "/API/v1/report"]
        {
            assert_eq!(Path::find(path), None, "{path}");
        }
    }
}
