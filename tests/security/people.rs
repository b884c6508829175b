//! Everybody who may come to a server, each with what they bring.

use std::path::Path;

use serde_json::{Value, json};

use crate::client;
use crate::server::Server;

pub const PASSWORD: &str = "correct horse";

/// A server, an administrator, and one of each other kind.
pub struct World {
    pub server: Server,
    pub admin: Person,
    pub reader: Person,
    pub token_read: String,
    pub token_admin: String,
    pub device: u64,
    pub device_key: String,
}

/// Somebody signed in.
pub struct Person {
    pub cookie: String,
    pub csrf: String,
}

impl Person {
    pub fn headers(&self) -> Vec<(&str, &str)> {
        vec![("cookie", &self.cookie), ("x-csrf-token", &self.csrf)]
    }
}

impl World {
    pub fn new(folder: &Path) -> World {
        World::on(Server::start(folder))
    }

    /// On a server without an account.
    pub fn on(server: Server) -> World {
        let token = server.sign_up.as_ref().unwrap().rsplit_once('=').unwrap().1.to_string();
        let body = json!({"token": token, "username": "admin", "password": PASSWORD});
        let answer = client::json(&server.web, "POST", "/api/v1/setup", &[], &body);
        let admin = person(&answer, 201);
        let change = |path: &str, body: &Value| {
            client::json(&server.web, "POST", path, &admin.headers(), body).expect(201)
        };
        change("/api/v1/users", &json!({"username": "reader", "password": PASSWORD, "role": "reader"}));
        let token = |scope: &str| {
            let made = change("/api/v1/tokens", &json!({"name": scope, "scope": scope}));
            format!("Bearer {}", made["token"].as_str().unwrap())
        };
        let (token_read, token_admin) = (token("read"), token("admin"));
        let added = change("/api/v1/devices", &json!({"name": "nas"}));
        let (device, device_key) =
            (added["device"]["id"].as_u64().unwrap(), added["api_key"].as_str().unwrap().to_string());
        let reader = sign_in(&server, "reader");
        World { server, admin, reader, token_read, token_admin, device, device_key }
    }

    /// As the administrator.
    pub fn get(&self, path: &str) -> client::Answer {
        client::send(&self.server.web, "GET", path, &self.admin.headers(), b"")
    }

    /// A report of the device with one row; the status of the answer.
    pub fn report(&self, key: &str, t_ms: i64, values: &Value) -> u16 {
        let bearer = format!("Bearer {key}");
        let body = json!({"rows": [{"t_ms": t_ms, "v": values}]});
        client::json(&self.server.ingest, "POST", "/api/v1/report", &[("authorization", &bearer)], &body)
            .status
    }
}

pub fn sign_in(server: &Server, username: &str) -> Person {
    let body = json!({"username": username, "password": PASSWORD});
    person(&client::json(&server.web, "POST", "/api/v1/session", &[], &body), 200)
}

#[track_caller]
fn person(answer: &client::Answer, status: u16) -> Person {
    let csrf = answer.expect(status)["csrf_token"].as_str().unwrap().to_string();
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_string();
    Person { cookie, csrf }
}
