//! Every route of both ports × everybody who may come: REST, the WebSocket, the page's files.

use ingest::Rule;
use serde_json::Value;

use crate::client::{self, send};
use crate::people::{World, sign_in};

/// Who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    ForgedCookie,
    ForgedToken,
    Reader,
    Admin,
    TokenRead,
    TokenAdmin,
    /// A device's key as a bearer token.
    Device,
    /// A device's key in the place of a session.
    DeviceAsCookie,
}

const ALL: [Who; 9] = [
    Who::Nobody,
    Who::ForgedCookie,
    Who::ForgedToken,
    Who::Reader,
    Who::Admin,
    Who::TokenRead,
    Who::TokenAdmin,
    Who::Device,
    Who::DeviceAsCookie,
];

/// What the web port must answer: `None` where they may, else the status.
fn refused(access: &str, who: Who) -> Option<u16> {
    let (known, person, admin) = match who {
        Who::Reader => (true, true, false),
        Who::Admin => (true, true, true),
        Who::TokenRead => (true, false, false),
        Who::TokenAdmin => (true, false, true),
        _ => (false, false, false),
    };
    let may = match access {
        // `setup` is over once there is an account, and says so to everybody.
        "public" | "sign_in" | "setup" => return None,
        "reader" => known,
        "admin" => admin,
        "person" => person,
        "person_admin" => person && admin,
        other => panic!("no rule for {other}: say here who it is for"),
    };
    match (may, known) {
        (true, _) => None,
        (false, true) => Some(403),
        (false, false) => Some(401),
    }
}

fn headers(world: &World, who: Who) -> Vec<(String, String)> {
    let pair = |name: &str, value: String| vec![(name.to_string(), value)];
    let person = |person: &crate::people::Person| {
        let headers = person.headers();
        headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    };
    match who {
        Who::Nobody => Vec::new(),
        Who::ForgedCookie => pair("cookie", format!("ocw_session={}", "0".repeat(64))),
        Who::ForgedToken => pair("authorization", format!("Bearer owt_{}", "0".repeat(64))),
        Who::Reader => person(&world.reader),
        Who::Admin => person(&world.admin),
        Who::TokenRead => pair("authorization", world.token_read.clone()),
        Who::TokenAdmin => pair("authorization", world.token_admin.clone()),
        Who::Device => pair("authorization", format!("Bearer {}", world.device_key)),
        Who::DeviceAsCookie => pair("cookie", format!("ocw_session={}", world.device_key)),
    }
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Method, path and rule of every route of the web port; the document is made from the router's table.
fn web_routes(world: &World) -> Vec<(String, String, String)> {
    let document = world.get("/api/v1/openapi.json").expect(200);
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        // No such thing: what may be deleted is not there.
        let path = path.replace("{id}", "4000000").replace("{name}", "nothing");
        assert!(!path.contains('{'), "{path}: say here what stands for it");
        for (method, operation) in methods.as_object().unwrap() {
            let access = operation["x-access"].as_str().unwrap_or_else(|| panic!("{path} has no rule"));
            routes.push((method.to_uppercase(), path.clone(), access.to_string()));
            if method == "get" && path != "/api/v1/live" {
                routes.push(("HEAD".into(), path.clone(), access.to_string()));
            }
        }
    }
    assert!(routes.len() > 40, "the document was not read");
    routes
}

#[test]
fn every_route_of_the_web_port_answers_those_it_is_for_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    let mut checked = 0;
    for (method, path, access) in web_routes(&world) {
        for who in ALL {
            let with = headers(&world, who);
            let mut with = borrowed(&with);
            let status = if path == "/api/v1/live" {
                let own = format!("http://{}", world.server.web);
                if !matches!(who, Who::TokenRead | Who::TokenAdmin) {
                    with.push(("origin", &own));
                }
                client::open_socket(&world.server.web, &path, &with)
            } else {
                with.push(("content-type", "application/json"));
                let body: &[u8] = if matches!(method.as_str(), "GET" | "HEAD") { b"" } else { b"{}" };
                send(&world.server.web, &method, &path, &with, body).status
            };
            match refused(&access, who) {
                Some(expected) => assert_eq!(status, expected, "{method} {path} ({access}) for {who:?}"),
                None => assert!(
                    ![401, 403].contains(&status) && status < 500,
                    "{method} {path} ({access}) for {who:?}: {status}"
                ),
            }
            checked += 1;
            // Signing out worked: they come back for the rest.
            match who {
                Who::Reader if (method.as_str(), path.as_str()) == ("DELETE", "/api/v1/session") => {
                    world.reader = sign_in(&world.server, "reader");
                }
                Who::Admin if (method.as_str(), path.as_str()) == ("DELETE", "/api/v1/session") => {
                    world.admin = sign_in(&world.server, "admin");
                }
                _ => {}
            }
        }
    }
    assert!(checked > 300);
}

#[test]
fn every_path_of_the_ingest_port_takes_device_keys_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path());
    for path in ingest::PATHS {
        for method in path.methods.split(", ") {
            for who in ALL {
                let with = headers(&world, who);
                let mut with = borrowed(&with);
                with.push(("content-type", "application/json"));
                let body: &[u8] = if method == "POST" { b"{}" } else { b"" };
                let status = send(&world.server.ingest, method, path.path, &with, body).status;
                let what = format!("{method} {} for {who:?}: {status}", path.path);
                match path.rule {
                    Rule::Device if who != Who::Device => assert_eq!(status, 401, "{what}"),
                    Rule::Device | Rule::Public | Rule::Code => {
                        assert!(![401, 403].contains(&status) && status < 500, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn neither_port_has_a_path_of_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path());
    let bearer = format!("Bearer {}", world.device_key);
    let everything = [
        ("authorization", bearer.as_str()),
        ("cookie", world.admin.cookie.as_str()),
        ("x-csrf-token", world.admin.csrf.as_str()),
        ("content-type", "application/json"),
    ];
    let ours = |path: &str| ingest::PATHS.iter().any(|known| known.path == path);
    for (method, path, _) in web_routes(&world) {
        if !ours(&path) {
            assert_eq!(send(&world.server.ingest, &method, &path, &everything, b"").status, 404, "{path}");
        }
    }
    for path in ["/", "/index.html", "/setup", "/assets/index.js"] {
        assert_eq!(send(&world.server.ingest, "GET", path, &everything, b"").status, 404, "{path}");
    }
    // A session cannot ingest, also not where people are.
    for path in ingest::PATHS.iter().filter(|path| path.rule == Rule::Device) {
        let session = &everything[1..];
        assert_eq!(send(&world.server.web, "POST", path.path, session, b"{}").status, 404, "{}", path.path);
    }
}

#[test]
fn the_pages_files_are_the_same_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path());
    let ask = |path: &str, who: Who| {
        let with = headers(&world, who);
        let mut with = borrowed(&with);
        with.push(("accept", "text/html"));
        let answer = send(&world.server.web, "GET", path, &with, b"");
        (answer.status, answer.body)
    };
    for path in ["/", "/devices/1", "/settings", "/nothing.js"] {
        let first = ask(path, Who::Nobody);
        assert!([200, 404].contains(&first.0));
        for who in ALL {
            assert!(ask(path, who) == first, "{path} for {who:?}");
        }
    }
}

#[test]
fn before_the_first_account_everything_but_signing_up_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let server = crate::server::Server::start(folder.path());
    let routes: Vec<(String, String, String)> = {
        let other = tempfile::tempdir().unwrap();
        web_routes(&World::new(other.path()))
    };
    for (method, path, access) in routes {
        let answer = send(&server.web, &method, &path, &[("content-type", "application/json")], b"{}");
        match access.as_str() {
            "public" => assert_eq!(answer.status, 200, "{method} {path}"),
            "setup" => assert_eq!(answer.status, 422, "{method} {path}"),
            _ if path.starts_with("/api/") => assert_eq!(answer.status, 403, "{method} {path}"),
            _ => assert_eq!(answer.status, 401, "{method} {path}"),
        }
        if answer.status == 403 && method != "HEAD" {
            assert_eq!(answer.json()["error"]["code"], Value::from("setup_required"));
        }
    }
}
