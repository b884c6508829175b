//! One request on its way to its handler.

use std::sync::Arc;

use front::{ApiError, Peer};
use http::request::Parts;
use hyper::body::Incoming;
use store::{DeviceId, Role, Timestamp, User};

use crate::app::App;
use crate::params::{Fields, Params};
use crate::secret::Hashed;

/// Whom a request comes from.
#[derive(Clone)]
pub(crate) struct Who {
    pub(crate) user: User,
    /// What they may do with what they came with.
    pub(crate) role: Role,
    pub(crate) by: By,
    /// The hash of what they came with.
    pub(crate) credential: Hashed,
}

/// What somebody came with.
#[derive(Clone)]
pub(crate) enum By {
    /// A person's browser.
    Session {
        /// The session's number.
        id: i64,
        /// What requests that change something must repeat.
        csrf_token: String,
    },
    /// A script's API token.
    Token,
}

/// A request that its route's rule lets pass.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) peer: Peer,
    pub(crate) now: Timestamp,
    pub(crate) parts: Parts,
    pub(crate) body: Incoming,
    /// There whenever the route's rule asks for somebody.
    pub(crate) who: Option<Who>,
    /// What stands for `{id}` in the route's path.
    pub(crate) id: Option<String>,
}

impl Call {
    /// The parameters of the query string.
    pub(crate) fn params(&self) -> Result<Params, ApiError> {
        Params::parse(self.parts.uri.query())
    }

    /// Refuses any parameter: for routes without one.
    pub(crate) fn no_params(&self) -> Result<(), ApiError> {
        self.params()?.finish()
    }

    /// The device that the path names.
    pub(crate) fn device(&self) -> Result<DeviceId, ApiError> {
        self.plain_number().map(DeviceId).ok_or_else(no_such_device)
    }

    /// The number that the path names; `what` is missing when it is none.
    pub(crate) fn number(&self, what: &str) -> Result<i64, ApiError> {
        let number = self.plain_number::<u32>().map(i64::from);
        number.ok_or_else(|| ApiError::not_found(format!("There is no such {what}.")))
    }

    /// Written in one way only, so that one thing has one path: no sign, no leading zero.
    fn plain_number<N: std::str::FromStr + ToString>(&self) -> Option<N> {
        let id = self.id.as_deref().unwrap_or_default();
        id.parse::<N>().ok().filter(|number| number.to_string() == id)
    }

    /// Whom it comes from.
    pub(crate) fn who(&self) -> Result<&Who, ApiError> {
        self.who.as_ref().ok_or_else(ApiError::unauthorized)
    }

    /// Reads the body as a JSON object. What else of the call is needed comes out beside it.
    pub(crate) async fn fields(self) -> Result<(Fields, Rest), ApiError> {
        let json = front::media_type(&self.parts.headers)
            .is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
        if !json {
            return Err(ApiError::unsupported_media_type("The body must be `application/json`."));
        }
        let body = front::read_body(&self.parts.headers, self.body, &self.app.options.limits).await?;
        let fields = Fields::parse(&body)?;
        Ok((fields, Rest { app: self.app, peer: self.peer, now: self.now, parts: self.parts }))
    }
}

/// A call whose body was read.
pub(crate) struct Rest {
    pub(crate) app: Arc<App>,
    pub(crate) peer: Peer,
    pub(crate) now: Timestamp,
    pub(crate) parts: Parts,
}

/// 404 for a device.
pub(crate) fn no_such_device() -> ApiError {
    ApiError::not_found("There is no such device.")
}
