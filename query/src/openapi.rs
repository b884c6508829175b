//! The OpenAPI document, made from the handlers and the route table.

use std::sync::LazyLock;

use front::{ApiError, Response};
use http::Method;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{AdditionalProperties, Schema};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi, ToSchema};

use crate::accounts::{sessions, tokens, users};
use crate::call::Call;
use crate::model::json_text;
use crate::routes::{ROUTES, Route, Rule};
use crate::{
    activity, devices, enroll, history, lists, live, logs, metrics, prices, settings, status, storage,
    summary, usage,
};

/// Every error answer.
#[derive(ToSchema)]
#[schema(as = Error)]
#[allow(dead_code, reason = "describes what `front::ApiError` writes")]
pub(crate) struct ErrorBody {
    error: ErrorDetail,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `front::ApiError` writes")]
struct ErrorDetail {
    /// A word for programs.
    code: String,
    /// One sentence for a person.
    message: String,
    /// Which field of the request is meant.
    #[schema(nullable = false)]
    field: Option<String>,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "OpenClaw Watch", description = "The web port: devices, history, logs, events, live feed."),
    paths(
        status::alive,
        status::ready,
        metrics::metrics,
        sessions::set_up,
        sessions::sign_in,
        sessions::current,
        sessions::sign_out,
        sessions::list,
        sessions::end,
        users::change_password,
        users::list,
        users::add,
        users::edit,
        users::delete,
        tokens::list,
        tokens::make,
        tokens::revoke,
        activity::activity,
        devices::list,
        devices::add,
        devices::one,
        devices::edit,
        devices::delete,
        devices::rotate_key,
        enroll::list,
        enroll::make,
        enroll::delete,
        history::query,
        usage::usage,
        usage::steps::steps,
        prices::get,
        prices::put,
        summary::summary,
        storage::storage,
        settings::get,
        settings::edit,
        logs::logs,
        logs::groups,
        logs::counts,
        lists::events,
        live::open,
        document,
    ),
    components(schemas(ErrorBody, live::Subscribe, live::Snapshot, live::Update)),
    modifiers(&FromTable)
)]
struct Api;

static DOCUMENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    Api::openapi().to_json().expect("a document of strings and numbers is JSON").into_bytes()
});

/// The document, indented, with a line break at its end: what the page's types are made from.
pub fn openapi_document() -> String {
    let document = Api::openapi().to_pretty_json().expect("a document of strings and numbers is JSON");
    document + "\n"
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", operation_id = "get_openapi", tag = "status",
    responses((status = 200, body = serde_json::Value)))]
pub(crate) async fn document(call: Call) -> Result<Response, ApiError> {
    call.no_params()?;
    Ok(json_text(DOCUMENT.clone()))
}

/// Bodies of requests: a field they do not know is refused.
const BODIES: [&str; 16] = [
    "SetUpBody",
    "SignInBody",
    "PasswordChange",
    "NewUser",
    "UserEdit",
    "NewToken",
    "NewDevice",
    "DeviceEdit",
    "NewEnrollCode",
    "SettingsEdit",
    "RetentionEdit",
    "KeepEdit",
    "KeepDaysEdit",
    "PriceTable",
    "PriceEntry",
    "TokenPrices",
];

/// Adds to each operation what its rule and method bring with them, so that no handler can forget it.
struct FromTable;

impl Modify for FromTable {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let cookie = ApiKeyValue::with_description(
            "ocw_session",
            "Set by signing in; `__Host-ocw_session` when the server's public URL is https.",
        );
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        let csrf = ApiKeyValue::with_description("X-CSRF-Token", "`csrf_token` of the session.");
        components.add_security_scheme("csrf", SecurityScheme::ApiKey(ApiKey::Header(csrf)));
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let token = token.description(Some("An API token of scope `read` or `admin`."));
        components.add_security_scheme("token", SecurityScheme::Http(token.build()));
        for name in BODIES {
            if let Some(RefOr::T(Schema::Object(body))) = components.schemas.get_mut(name) {
                body.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
        for route in ROUTES {
            let Some(operation) = operation(document, route) else { continue };
            for (status, description) in errors(route) {
                operation.responses.responses.entry(status.to_string()).or_insert_with(|| {
                    let schema = RefOr::Ref(Ref::from_schema_name("Error"));
                    let content = ContentBuilder::new().schema(Some(schema)).build();
                    let response = ResponseBuilder::new().description(description);
                    RefOr::T(response.content("application/json", content).build())
                });
            }
            // hyper's own answer, before a route is known: it has no body.
            let too_large = ResponseBuilder::new().description("The path and the headers are too large.");
            operation.responses.responses.insert("431".into(), RefOr::T(too_large.build()));
            operation.security = Some(security(route));
            let access = serde_json::Value::from(access(route.rule));
            operation.extensions.get_or_insert_default().insert("x-access".into(), access);
        }
    }
}

fn operation<'a>(document: &'a mut Document, route: &Route) -> Option<&'a mut Operation> {
    let item = document.paths.paths.get_mut(route.path)?;
    match route.method {
        Method::GET => item.get.as_mut(),
        Method::POST => item.post.as_mut(),
        Method::PUT => item.put.as_mut(),
        Method::PATCH => item.patch.as_mut(),
        Method::DELETE => item.delete.as_mut(),
        _ => None,
    }
}

/// Who may use a route, in a word.
fn access(rule: Rule) -> &'static str {
    match rule {
        Rule::Public => "public",
        Rule::SetUp => "setup",
        Rule::SignIn => "sign_in",
        Rule::Reader => "reader",
        Rule::Admin => "admin",
        Rule::Person => "person",
        Rule::PersonAdmin => "person_admin",
    }
}

fn security(route: &Route) -> Vec<SecurityRequirement> {
    let none: [&str; 0] = [];
    let session = match route.method {
        Method::GET => SecurityRequirement::new("session", none),
        _ => SecurityRequirement::new("session", none).add("csrf", none),
    };
    match route.rule {
        Rule::Public | Rule::SetUp | Rule::SignIn => Vec::new(),
        Rule::Reader | Rule::Admin => vec![session, SecurityRequirement::new("token", none)],
        Rule::Person | Rule::PersonAdmin => vec![session],
    }
}

/// The error answers a route can give for its rule and method, beside its own.
fn errors(route: &Route) -> Vec<(u16, &'static str)> {
    let mut errors =
        vec![(400, "The request cannot be read."), (500, "The server failed; its log says why.")];
    let signed_in = !matches!(route.rule, Rule::Public | Rule::SetUp | Rule::SignIn);
    let reads_body = matches!(route.method, Method::POST | Method::PUT | Method::PATCH)
        && !route.path.ends_with("rotate-key");
    if signed_in {
        errors.push((401, "There is no session and no API token."));
    }
    if route.rule != Rule::Public {
        errors.push((
            403,
            "Not allowed: no account yet, another web page, a missing CSRF token or not an administrator, or an API token where only people may.",
        ));
        errors.push((422, "A field or parameter is not as it must be; the error names it."));
        errors.push((503, "Too much to do at the moment, or nothing can be stored; see `Retry-After`."));
    }
    if route.path.contains("{id}") {
        errors.push((404, "There is nothing of that number."));
    }
    if reads_body {
        errors.push((408, "The body took too long."));
        errors.push((413, "The body is too large."));
        errors.push((415, "The body is not `application/json`, or packed in an unknown way."));
    }
    if matches!(route.rule, Rule::SetUp | Rule::SignIn) || route.path == "/api/v1/password" {
        errors.push((429, "Too many tries; see `Retry-After`."));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn document() -> Value {
        serde_json::from_slice(&DOCUMENT).unwrap()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        let mut described: Vec<String> = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                described.push(format!("{} {path}", method.to_uppercase()));
            }
        }
        let mut routes: Vec<String> = ROUTES.iter().map(|r| format!("{} {}", r.method, r.path)).collect();
        described.sort();
        routes.sort();
        assert_eq!(described, routes);
    }

    #[test]
    fn the_page_is_made_from_this_document() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../web/src/api/openapi.json");
        let kept = std::fs::read_to_string(path).unwrap();
        assert!(
            kept == openapi_document(),
            "it has changed: cargo run -p query --example openapi > web/src/api/openapi.json"
        );
    }

    #[test]
    fn every_operation_says_who_may_use_it_and_how_it_fails() {
        let document = document();
        let mut ids = std::collections::BTreeSet::new();
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
            let signed_in = !matches!(route.rule, Rule::Public | Rule::SetUp | Rule::SignIn);
            assert_eq!(
                operation["responses"]["401"].is_object(),
                signed_in || route.path.ends_with("session")
            );
            assert_eq!(
                operation["security"].as_array().is_some_and(|s| !s.is_empty()),
                signed_in,
                "{}",
                route.path
            );
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{}", route.path);
            let good = ["200", "201", "204", "101"];
            assert!(good.iter().any(|code| operation["responses"][code].is_object()), "{}", route.path);
        }
    }

    #[test]
    fn parameters_of_a_query_string_are_said_to_be_there() {
        let document = document();
        for operation in
            document["paths"].as_object().unwrap().values().flat_map(|p| p.as_object().unwrap().values())
        {
            for parameter in operation["parameters"].as_array().unwrap_or(&Vec::new()) {
                let place = if parameter["name"] == "id" { "path" } else { "query" };
                assert_eq!(parameter["in"], place, "{parameter}");
            }
        }
        let query = &document["paths"]["/api/v1/query"]["get"]["parameters"];
        let required: Vec<&str> = query
            .as_array()
            .unwrap()
            .iter()
            .filter(|parameter| parameter["required"] == true)
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert_eq!(required, ["metric", "from_ms", "to_ms"]);
    }

    #[test]
    fn a_body_with_an_unknown_field_is_said_to_be_refused() {
        let document = document();
        for name in BODIES {
            assert_eq!(document["components"]["schemas"][name]["additionalProperties"], false, "{name}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut found = 0;
        let mut todo = vec![&document];
        while let Some(value) = todo.pop() {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
                found += 1;
            }
            match value {
                Value::Array(list) => todo.extend(list),
                Value::Object(map) => todo.extend(map.values()),
                _ => {}
            }
        }
        assert!(found > 20);
    }
}
