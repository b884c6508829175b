//! Is the server alive, and can it store? For load balancers and containers: public, and without details.

use front::{ApiError, Response, json};
use http::StatusCode;
use serde::Serialize;
use store::{Health, Trouble};
use utoipa::ToSchema;

use crate::call::Call;

#[derive(Serialize, ToSchema)]
pub(crate) struct Alive {
    /// Always `ok`.
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Are reports taken?
    ready: bool,
    /// Why not, or what fails although they are taken, in a sentence; the server's log says more.
    reason: Option<String>,
    /// The same in a word: `disk_full`, `write_failed`, `thread_ended`, `stopping`, `sealing` or `recording`.
    code: Option<&'static str>,
}

impl Readiness {
    fn of(health: &Health) -> Readiness {
        let (ready, trouble) = match health {
            Health::Ready => (true, None),
            Health::Failing(trouble) => (true, Some(trouble)),
            Health::ReadOnly(trouble) => (false, Some(trouble)),
        };
        Readiness { ready, reason: trouble.map(ToString::to_string), code: trouble.map(Trouble::code) }
    }
}

/// Does the port answer?
#[utoipa::path(get, path = "/healthz", operation_id = "get_liveness", tag = "status", responses((status = 200, body = Alive)))]
pub(crate) async fn alive(_call: Call) -> Result<Response, ApiError> {
    Ok(json(StatusCode::OK, &Alive { status: "ok" }))
}

/// Can reports be stored?
#[utoipa::path(get, path = "/readyz", operation_id = "get_readiness", tag = "status",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(crate) async fn ready(call: Call) -> Result<Response, ApiError> {
    let readiness = Readiness::of(&call.app.store.health());
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(json(status, &readiness))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_told_also_while_reports_are_taken() {
        let of = |health| {
            let said = Readiness::of(&health);
            (said.ready, said.code, said.reason)
        };
        assert_eq!(of(Health::Ready), (true, None, None));
        let (ready, code, reason) = of(Health::Failing(Trouble::Sealing));
        assert_eq!((ready, code), (true, Some("sealing")));
        assert!(reason.unwrap().contains("tried again"));
        let (ready, code, reason) = of(Health::ReadOnly(Trouble::DiskFull));
        assert_eq!((ready, code), (false, Some("disk_full")));
        assert!(reason.unwrap().contains("the disk is full"));
    }
}
