//! Where the keys come from: a file, or the web port, where devices are added as a person would add them.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{Answer, Client, Server};

/// The devices this tool adds are called this and a number.
const PREFIX: &str = "fleet-";
/// The tag they all have.
pub const TAG: &str = "fleet";

/// Bytes of the file of keys.
const KEYS_FILE_BYTES_MAX: u64 = 64 << 20;

/// The first `count` keys of a file, one a line; empty lines and those that begin with `#` are skipped.
pub fn read_keys(path: &Path, count: u32) -> Result<Vec<String>> {
    let bytes = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    ensure!(bytes <= KEYS_FILE_BYTES_MAX, "{} is too large to be a file of keys", path.display());
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let keys = parse_keys(&text, count);
    ensure!(keys.len() == count as usize, "{} has {} keys, {count} are needed", path.display(), keys.len());
    Ok(keys)
}

fn parse_keys(text: &str, count: u32) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.take(count as usize).map(str::to_string).collect()
}

/// A session on the web port.
pub struct Web {
    client: Client,
    headers: HeaderMap,
    added: Vec<u64>,
}

impl Web {
    /// Signs in.
    pub async fn sign_in(address: &str, username: &str, password: &str) -> Result<Web> {
        let body = json!({"username": username, "password": password});
        Web::begin(address, "/api/v1/session", &body, StatusCode::OK).await
    }

    /// Makes the first account of a new server, with the token of its sign-up link, and is signed in.
    pub async fn sign_up(address: &str, token: &str, username: &str, password: &str) -> Result<Web> {
        let body = json!({"token": token, "username": username, "password": password});
        Web::begin(address, "/api/v1/setup", &body, StatusCode::CREATED).await
    }

    async fn begin(address: &str, path: &str, body: &Value, status: StatusCode) -> Result<Web> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut web = Web { client: Client::new(Server::parse(address)?), headers, added: Vec::new() };
        let answer = web.call(Method::POST, path, Some(body)).await?;
        expect(&answer, status, "signing in")?;
        let cookies: Vec<&str> = answer
            .headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok()?.split(';').next())
            .collect();
        web.headers.insert(COOKIE, cookies.join("; ").parse()?);
        let session: Value = serde_json::from_slice(&answer.body)?;
        let csrf = session["csrf_token"].as_str().context("the session has no csrf_token")?;
        web.headers.insert("x-csrf-token", csrf.parse()?);
        Ok(web)
    }

    /// Adds the devices, or gives those that are there already a new key; returns the keys.
    pub async fn add_devices(&mut self, count: u32) -> Result<Vec<String>> {
        let answer = self.call(Method::GET, "/api/v1/devices", None).await?;
        expect(&answer, StatusCode::OK, "listing the devices")?;
        let list: Value = serde_json::from_slice(&answer.body)?;
        let known: HashMap<&str, u64> = list["devices"]
            .as_array()
            .context("there is no list of devices in the answer")?
            .iter()
            .filter_map(|device| Some((device["name"].as_str()?, device["id"].as_u64()?)))
            .collect();
        let mut keys = Vec::with_capacity(count as usize);
        for number in 1..=count {
            let name = format!("{PREFIX}{number:04}");
            let answer = match known.get(name.as_str()) {
                Some(id) => {
                    self.added.push(*id);
                    let answer =
                        self.call(Method::POST, &format!("/api/v1/devices/{id}/rotate-key"), None).await?;
                    expect(&answer, StatusCode::OK, "rotating a key")?;
                    answer
                }
                None => self.add_device(&name, &[TAG]).await?,
            };
            let added: Value = serde_json::from_slice(&answer.body)?;
            self.added.extend(added["device"]["id"].as_u64());
            keys.push(added["api_key"].as_str().context("there is no api_key in the answer")?.to_string());
        }
        Ok(keys)
    }

    /// The numbers of the devices of [`Web::add_devices`], in the order of their keys.
    pub fn added(&self) -> &[u64] {
        &self.added
    }

    /// Adds one device.
    pub async fn add_device(&mut self, name: &str, tags: &[&str]) -> Result<Answer> {
        let body = json!({"name": name, "device_type": "server", "tags": tags, "notes": ""});
        let answer = self.call(Method::POST, "/api/v1/devices", Some(&body)).await?;
        expect(&answer, StatusCode::CREATED, "adding a device")?;
        Ok(answer)
    }

    /// Deletes the device of that name.
    pub async fn delete_device(&mut self, name: &str) -> Result<()> {
        let list = self.get("/api/v1/devices").await?;
        let devices = list["devices"].as_array().context("there is no list of devices in the answer")?;
        let id =
            devices.iter().find(|device| device["name"] == name).and_then(|device| device["id"].as_u64());
        let id = id.with_context(|| format!("there is no device {name}"))?;
        let answer = self.call(Method::DELETE, &format!("/api/v1/devices/{id}"), None).await?;
        expect(&answer, StatusCode::OK, "deleting a device")
    }

    /// Deletes the devices of [`Web::add_devices`]; returns how many.
    pub async fn delete_devices(&mut self) -> Result<usize> {
        let ids = std::mem::take(&mut self.added);
        for id in &ids {
            let answer = self.call(Method::DELETE, &format!("/api/v1/devices/{id}"), None).await?;
            expect(&answer, StatusCode::OK, "deleting a device")?;
        }
        Ok(ids.len())
    }

    /// What a path of the web port answers.
    pub async fn get(&mut self, path: &str) -> Result<Value> {
        let answer = self.call(Method::GET, path, None).await?;
        expect(&answer, StatusCode::OK, path)?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// What a request of this session needs.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Goes on with the same session on another address of the same server.
    pub fn moved_to(self, address: &str) -> Result<Web> {
        Ok(Web { client: Client::new(Server::parse(address)?), ..self })
    }

    async fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        self.client.send(method, path, &self.headers, body).await
    }
}

fn expect(answer: &Answer, status: StatusCode, what: &str) -> Result<()> {
    if answer.status == status {
        return Ok(());
    }
    let error: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    bail!(
        "{what} was answered {}: {}",
        answer.status,
        error["error"]["message"].as_str().unwrap_or("no reason")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lines_that_are_no_comments() {
        assert_eq!(parse_keys("# mine\nocw_1\n\n  ocw_2 \nocw_3\n", 2), ["ocw_1", "ocw_2"]);
        assert_eq!(parse_keys("ocw_1", 2), ["ocw_1"]);
    }
}
