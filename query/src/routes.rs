//! The route table: every path and method with the rule of who may use it, and the one way a request takes.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use front::{ApiError, Peer, Request, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use store::Role;

use crate::accounts::{self, sessions, tokens, users};
use crate::app::App;
use crate::call::{By, Call, Who};
use crate::packed::{Packing, pack};
use crate::secret::same;
use crate::{
    activity, devices, enroll, history, lists, live, logs, metrics, openapi, page, paths, prices, settings,
    status, storage, summary, usage,
};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Anybody, always.
    Public,
    /// Whoever has the one-time link, while there is no account.
    SetUp,
    /// Anybody, once there is an account; tries are limited.
    SignIn,
    /// Whoever has a session or an API token; a session with the CSRF token when the method changes something.
    Reader,
    /// Like `Reader`, but administrators only.
    Admin,
    /// Like `Reader`, but only with a session: what concerns passwords, sessions and tokens is for people, so that a
    /// token that leaked makes no other.
    Person,
    /// Like `Person`, but administrators only.
    PersonAdmin,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, ApiError>> + Send>>;

/// One line of the table.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// As OpenAPI and the router write it: `{id}` stands for one segment.
    pub(crate) path: &'static str,
    pub(crate) rule: Rule,
    handler: fn(Call) -> Answer,
}

macro_rules! route {
    ($method:ident $path:literal $rule:ident $handler:path) => {
        Route {
            method: Method::$method,
            path: $path,
            rule: Rule::$rule,
            handler: |call| Box::pin($handler(call)),
        }
    };
}

/// All there is, but for the page's files: those are public and change nothing.
pub(crate) static ROUTES: &[Route] = &[
    route!(GET "/healthz" Public status::alive),
    route!(GET "/readyz" Public status::ready),
    route!(GET "/metrics" Reader metrics::metrics),
    route!(POST "/api/v1/setup" SetUp sessions::set_up),
    route!(POST "/api/v1/session" SignIn sessions::sign_in),
    route!(GET "/api/v1/session" Person sessions::current),
    route!(DELETE "/api/v1/session" Person sessions::sign_out),
    route!(GET "/api/v1/sessions" Person sessions::list),
    route!(DELETE "/api/v1/sessions/{id}" Person sessions::end),
    route!(POST "/api/v1/password" Person users::change_password),
    route!(GET "/api/v1/tokens" Person tokens::list),
    route!(POST "/api/v1/tokens" Person tokens::make),
    route!(DELETE "/api/v1/tokens/{id}" Person tokens::revoke),
    route!(GET "/api/v1/users" PersonAdmin users::list),
    route!(POST "/api/v1/users" PersonAdmin users::add),
    route!(PATCH "/api/v1/users/{id}" PersonAdmin users::edit),
    route!(DELETE "/api/v1/users/{id}" PersonAdmin users::delete),
    route!(GET "/api/v1/devices" Reader devices::list),
    route!(POST "/api/v1/devices" Admin devices::add),
    route!(GET "/api/v1/activity" Reader activity::activity),
    route!(GET "/api/v1/devices/{id}" Reader devices::one),
    route!(PATCH "/api/v1/devices/{id}" Admin devices::edit),
    route!(DELETE "/api/v1/devices/{id}" Admin devices::delete),
    route!(POST "/api/v1/devices/{id}/rotate-key" Admin devices::rotate_key),
    route!(GET "/api/v1/enroll-codes" Admin enroll::list),
    route!(POST "/api/v1/enroll-codes" Admin enroll::make),
    route!(DELETE "/api/v1/enroll-codes/{id}" Admin enroll::delete),
    route!(GET "/api/v1/query" Reader history::query),
    route!(GET "/api/v1/usage" Reader usage::usage),
    route!(GET "/api/v1/usage/steps" Reader usage::steps::steps),
    route!(GET "/api/v1/prices" Reader prices::get),
    route!(PUT "/api/v1/prices" Admin prices::put),
    route!(GET "/api/v1/settings" Reader settings::get),
    route!(PATCH "/api/v1/settings" Admin settings::edit),
    route!(GET "/api/v1/summary" Reader summary::summary),
    route!(GET "/api/v1/logs" Reader logs::logs),
    route!(GET "/api/v1/logs/groups" Reader logs::groups),
    route!(GET "/api/v1/logs/counts" Reader logs::counts),
    route!(GET "/api/v1/events" Reader lists::events),
    route!(GET "/api/v1/storage" Reader storage::storage),
    route!(GET "/api/v1/live" Reader live::open),
    route!(GET "/api/v1/openapi.json" Reader openapi::document),
];

/// Finds the routes of a path.
pub(crate) struct Routes {
    by_path: matchit::Router<Vec<&'static Route>>,
}

impl Routes {
    pub(crate) fn new() -> Routes {
        let mut by_path: HashMap<&str, Vec<&'static Route>> = HashMap::new();
        for route in ROUTES {
            by_path.entry(route.path).or_default().push(route);
        }
        let mut router = matchit::Router::new();
        for (path, routes) in by_path {
            router
                .insert(path, routes)
                .expect("the table holds each path pattern once and in matchit's syntax");
        }
        Routes { by_path: router }
    }
}

/// Answers one request. Every answer of the port goes through here and gets the same headers.
pub(crate) async fn answer(app: Arc<App>, request: Request, peer: Peer) -> Response {
    let https = app.origins.is_https(peer);
    let packing = Packing::of(request.headers());
    let response = dispatch(app, request, peer).await.unwrap_or_else(ApiError::into_response);
    let mut response = pack(response, packing).await;
    protect(&mut response, https);
    response
}

async fn dispatch(app: Arc<App>, request: Request, peer: Peer) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let path = paths::plain(parts.uri.path())?;
    let found = app.routes.by_path.at(&path).ok();

    // Before the first account nothing is answered that could be somebody's, not even that a path is unknown.
    let set_up = found.as_ref().is_some_and(|found| {
        found.value.iter().any(|route| route.rule == Rule::SetUp && route.method == parts.method)
    });
    if paths::is_api(&path) && !set_up && !app.accounts.exist() {
        let message = "This server has no account yet. Open the sign-up link it printed when it started.";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "setup_required", message));
    }

    let Some(found) = found else {
        return if paths::is_api(&path) {
            Err(ApiError::not_found("There is no such path."))
        } else {
            page::answer(&app.page, &parts.method, &path, &parts.headers)
        };
    };
    let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
    let Some(route) = found.value.iter().copied().find(|route| route.method == *method) else {
        return Ok(method_not_allowed(found.value.iter().map(|route| &route.method)));
    };
    let id = found.params.get("id").map(str::to_string);

    let changes = !matches!(route.method, Method::GET);
    if changes && !app.origins.may_change(&parts.headers) {
        return Err(ApiError::forbidden("This request comes from another web page."));
    }
    let now = app.now();
    let who = match route.rule {
        Rule::Public | Rule::SetUp | Rule::SignIn => None,
        Rule::Reader | Rule::Admin | Rule::Person | Rule::PersonAdmin => {
            let who = accounts::who(&app, &parts.headers, peer, now).await?;
            let who = who.ok_or_else(ApiError::unauthorized)?;
            check_rule(route, &who, &parts.headers)?;
            Some(who)
        }
    };
    (route.handler)(Call { app, peer, now, parts, body, who, id }).await
}

fn check_rule(route: &Route, who: &Who, headers: &http::HeaderMap) -> Result<(), ApiError> {
    match &who.by {
        By::Session { csrf_token, .. } if route.method != Method::GET => {
            let token = headers.get("x-csrf-token").map(HeaderValue::as_bytes).unwrap_or_default();
            if !same(token, csrf_token.as_bytes()) {
                let message = "The header `X-CSRF-Token` is missing or not the one of this session.";
                return Err(ApiError::new(StatusCode::FORBIDDEN, "csrf", message));
            }
        }
        By::Token if matches!(route.rule, Rule::Person | Rule::PersonAdmin) => {
            let message = "This is for people who are signed in; an API token cannot do it.";
            return Err(ApiError::forbidden(message));
        }
        By::Session { .. } | By::Token => {}
    }
    if matches!(route.rule, Rule::Admin | Rule::PersonAdmin) && who.role != Role::Admin {
        return Err(ApiError::forbidden("Only an administrator may do this."));
    }
    Ok(())
}

/// 405 with the methods there are.
pub(crate) fn method_not_allowed<'a>(methods: impl Iterator<Item = &'a Method>) -> Response {
    let mut allow: Vec<&str> = methods.map(Method::as_str).collect();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    allow.sort_unstable();
    allow.dedup();
    let allow = allow.join(", ");
    let message = format!("This path does not have that method; it has {allow}.");
    let mut response =
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).into_response();
    if let Ok(value) = HeaderValue::from_str(&allow) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

/// What tells a browser to trust nothing but our own files. No CORS header is ever sent.
const PROTECTION: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

fn protect(response: &mut Response, https: bool) {
    let headers = response.headers_mut();
    for (name, value) in PROTECTION {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if https {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_these_routes_are_open_to_strangers() {
        let open: Vec<String> = ROUTES
            .iter()
            .filter(|route| matches!(route.rule, Rule::Public | Rule::SetUp | Rule::SignIn))
            .map(|route| format!("{} {} {:?}", route.method, route.path, route.rule))
            .collect();
        assert_eq!(
            open,
            [
                "GET /healthz Public",
                "GET /readyz Public",
                "POST /api/v1/setup SetUp",
                "POST /api/v1/session SignIn",
            ]
        );
    }

    #[test]
    fn what_changes_something_is_for_administrators_or_ones_own() {
        let own = ["setup", "session", "sessions", "password", "tokens"];
        for route in ROUTES.iter().filter(|route| route.method != Method::GET) {
            let thing = route.path.split('/').nth(3).unwrap();
            let admin = matches!(route.rule, Rule::Admin | Rule::PersonAdmin);
            assert!(admin || own.contains(&thing), "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn every_route_is_found_by_its_path() {
        let routes = Routes::new();
        for route in ROUTES {
            let path = route.path.replace("{id}", "7");
            let found = routes.by_path.at(&path).unwrap();
            assert!(found.value.iter().any(|r| r.method == route.method && r.path == route.path), "{path}");
        }
        assert!(routes.by_path.at("/api/v1/devices/").is_err());
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let response = method_not_allowed([Method::PATCH, Method::GET].iter());
        assert_eq!(
            (response.status(), &response.headers()["allow"]),
            (StatusCode::METHOD_NOT_ALLOWED, &"GET, HEAD, PATCH".parse().unwrap())
        );
    }

    #[test]
    fn every_answer_is_protected() {
        let mut response = front::empty(StatusCode::OK);
        protect(&mut response, false);
        let csp = response.headers()["content-security-policy"].to_str().unwrap().to_string();
        assert!(
            csp.contains("frame-ancestors 'none'") && !csp.contains("unsafe") && !csp.contains("  "),
            "{csp}"
        );
        assert!(!response.headers().contains_key("strict-transport-security"));
        protect(&mut response, true);
        assert!(response.headers().contains_key("strict-transport-security"));
        assert!(!response.headers().contains_key("access-control-allow-origin"));
    }
}
