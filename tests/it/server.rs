//! The real binary as a process, and what it answers.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// Far longer than anything here takes: a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "correct horse";

/// The binary in `folder`, on ports of 127.0.0.1 that the system chooses, with nothing of our own environment.
pub fn command(folder: &Path) -> Command {
    command_on(folder, "127.0.0.1:0", "127.0.0.1:0")
}

fn command_on(folder: &Path, web: &str, ingest: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw-watch"));
    command.current_dir(folder).env_clear().args(["--web-listen", web, "--ingest-listen", ingest]);
    command
}

/// Runs a command that is expected to fail: its exit code and what it said.
pub fn failure(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    assert!(stdout.is_empty(), "{}", String::from_utf8_lossy(&stdout));
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    /// Held, so that the server can go on writing to it.
    stdout: BufReader<ChildStdout>,
    /// The sign-up line, if it was printed.
    pub sign_up: Option<String>,
    pub web: String,
    pub ingest: String,
}

impl Server {
    /// Returns once the server says that it is ready.
    pub fn start(folder: &Path) -> Server {
        Server::start_with(folder, &[])
    }

    /// The same with further arguments.
    pub fn start_with(folder: &Path, arguments: &[&str]) -> Server {
        Server::spawn(folder, arguments).ready()
    }

    /// The same server after its end, under its old addresses.
    pub fn start_again(&self, folder: &Path) -> Server {
        Server::run(&mut command_on(folder, &self.web, &self.ingest)).ready()
    }

    fn ready(self) -> Server {
        let mut server = self;
        loop {
            let mut line = String::new();
            assert_ne!(
                server.stdout.read_line(&mut line).unwrap(),
                0,
                "the server ended: {:?}",
                server.child.wait()
            );
            let line = line.trim_end();
            if let Some(url) = line.strip_prefix("Sign up: ") {
                server.sign_up = Some(url.to_string());
            } else {
                let (web, ingest) =
                    line.strip_prefix("Ready: web ").unwrap().split_once(", ingest ").unwrap();
                (server.web, server.ingest) = (web.to_string(), ingest.to_string());
                return server;
            }
        }
    }

    /// The same, with its log in a file.
    pub fn start_logging(folder: &Path, log: &Path, arguments: &[&str]) -> Server {
        let mut command = command(folder);
        command.args(arguments).stderr(std::fs::File::create(log).unwrap());
        Server::run(&mut command).ready()
    }

    /// Returns at once; nothing is known of its ports.
    pub fn spawn(folder: &Path, arguments: &[&str]) -> Server {
        Server::run(command(folder).args(arguments))
    }

    fn run(command: &mut Command) -> Server {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Server { child, stdout, sign_up: None, web: String::new(), ingest: String::new() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As a power cut would: no handler runs.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the server to stop; its exit code, and what it still printed.
    pub fn terminate(mut self) -> (Option<i32>, String) {
        let kill = format!("kill -TERM {}", self.pid());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (status.code(), rest)
    }

    /// Makes the account, or signs in where there is one.
    pub fn set_up_or_sign_in(&self) -> Person {
        if self.sign_up.is_some() {
            return self.set_up();
        }
        let person = Person { agent: agent(), cookie: String::new(), csrf: String::new() };
        let body = json!({"username": "admin", "password": PASSWORD});
        let url = format!("http://{}/api/v1/session", self.web);
        let (status, body, cookie) = person.request("POST", &url, &body);
        assert_eq!(status, 200, "{body}");
        Person { cookie: cookie.unwrap(), csrf: body["csrf_token"].as_str().unwrap().into(), ..person }
    }

    /// Uses the sign-up link.
    pub fn set_up(&self) -> Person {
        let (url, token) = self.sign_up.as_ref().unwrap().split_once("/setup?token=").unwrap();
        assert_eq!(url, format!("http://{}", self.web));
        let person = Person { agent: agent(), cookie: String::new(), csrf: String::new() };
        let body = json!({"token": token, "username": "admin", "password": PASSWORD});
        let (status, body, cookie) = person.request("POST", &format!("{url}/api/v1/setup"), &body);
        assert_eq!(status, 201, "{body}");
        Person { cookie: cookie.unwrap(), csrf: body["csrf_token"].as_str().unwrap().into(), ..person }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP client that keeps its connections and takes every status as an answer.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .proxy(None)
        .build()
        .new_agent()
}

/// Somebody who is signed in.
pub struct Person {
    agent: ureq::Agent,
    cookie: String,
    csrf: String,
}

impl Person {
    pub fn get(&self, server: &Server, path: &str) -> Value {
        let (status, body, _) = self.request("GET", &format!("http://{}{path}", server.web), &Value::Null);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// A new device; its number and key.
    pub fn add_device(&self, server: &Server, name: &str) -> (u64, String) {
        let url = format!("http://{}/api/v1/devices", server.web);
        let (status, added, _) = self.request("POST", &url, &json!({"name": name}));
        assert_eq!(status, 201, "{added}");
        (added["device"]["id"].as_u64().unwrap(), added["api_key"].as_str().unwrap().to_string())
    }

    /// To delete a device.
    pub fn delete_request(&self, server: &Server, id: u32) -> ureq::http::Request<()> {
        let request = ureq::http::Request::delete(format!("http://{}/api/v1/devices/{id}", server.web));
        request.header("cookie", &self.cookie).header("x-csrf-token", &self.csrf).body(()).unwrap()
    }

    fn request(&self, method: &str, url: &str, body: &Value) -> (u16, Value, Option<String>) {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(url)
            .header("cookie", &self.cookie)
            .header("x-csrf-token", &self.csrf)
            .header("content-type", "application/json");
        let mut answer = match body {
            Value::Null => self.agent.run(request.body(()).unwrap()),
            body => self.agent.run(request.body(body.to_string()).unwrap()),
        }
        .unwrap();
        let cookie = answer.headers().get("set-cookie").map(|cookie| cookie.to_str().unwrap());
        let cookie = cookie.map(|cookie| cookie.split(';').next().unwrap().to_string());
        let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().unwrap();
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap(), cookie)
    }
}
