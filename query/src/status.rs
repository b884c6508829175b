//! Is the server alive, and can it store? For load balancers and containers: public, and without details.

use front::{ApiError, Response, json};
use http::StatusCode;
use serde::Serialize;
use store::Health;
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
    /// Why not, in a sentence; the server's log says more.
    reason: Option<String>,
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
    Ok(match call.app.store.health() {
        Health::Ready => json(StatusCode::OK, &Readiness { ready: true, reason: None }),
        Health::ReadOnly(reason) => {
            let reason = Some(reason);
            json(StatusCode::SERVICE_UNAVAILABLE, &Readiness { ready: false, reason })
        }
    })
}
