//! Bytes that mean harm: bombs, garbage, smuggled requests, hostile text in every parameter.

use std::io::Write;

use serde_json::json;

use crate::client::{self, raw, send};
use crate::people::World;

/// A gibibyte of zeros, packed: some 33 kB of zstd, a megabyte of gzip.
fn bomb(encoding: &str) -> Vec<u8> {
    const CHUNK: usize = 1 << 20;
    let zeros = vec![0; CHUNK];
    match encoding {
        "zstd" => {
            let mut packed = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
            (0..1024).for_each(|_| packed.write_all(&zeros).unwrap());
            packed.finish().unwrap()
        }
        _ => {
            // One stream of a mebibyte; gzip files may follow each other, and count as one.
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            packed.write_all(&zeros).unwrap();
            packed.finish().unwrap().repeat(512)
        }
    }
}

#[cfg(target_os = "linux")]
fn memory_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_bomb_costs_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path());
    let bearer = format!("Bearer {}", world.device_key);
    let before = memory_kib(world.server.pid());
    for encoding in ["zstd", "gzip"] {
        let packed = bomb(encoding);
        for _ in 0..8 {
            let headers = [
                ("authorization", bearer.as_str()),
                ("content-type", "application/json"),
                ("content-encoding", encoding),
            ];
            let answer = send(&world.server.ingest, "POST", "/api/v1/report", &headers, &packed);
            assert_eq!(answer.status, 413, "{encoding}: {answer:?}");
            let headers = [
                ("authorization", world.token_admin.as_str()),
                ("content-type", "application/json"),
                ("content-encoding", encoding),
            ];
            let answer = send(&world.server.web, "POST", "/api/v1/devices", &headers, &packed);
            assert_eq!(answer.status, 413, "{encoding}: {answer:?}");
        }
    }
    // A bound of a single body, a few times over: nothing like what they would unpack to.
    let grown = memory_kib(world.server.pid()) - before;
    assert!(grown < 160 << 10, "{grown} KiB more at the peak");
    assert_eq!(world.report(&world.device_key, 1_000, &json!({"load1": 1})), 200);
}

#[test]
fn a_request_has_one_meaning_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path());
    let smuggled = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let post = "POST /api/v1/report HTTP/1.1\r\nhost: x\r\n";
    let cases = [
        format!("{post}content-length: 5\r\ncontent-length: 6\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{post}content-length: +5\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{post}content-length: 0x5\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{post}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{post}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{post}transfer-encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{post}transfer-encoding: chunked\r\n\r\nzz\r\n{smuggled}"),
        format!("{post}transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{smuggled}"),
        format!("{post} folded: x\r\n\r\n{smuggled}"),
        "GET /healthz HTTP/1.1\nhost: x\n x\n\n".to_string(),
        "GET /healthz HTTP/9.9\r\nhost: x\r\n\r\n".to_string(),
        "GET  /healthz  HTTP/1.1\r\nhost: x\r\n\r\n".to_string(),
        "\u{0}\u{1}\u{2}\u{3}\r\n\r\n".to_string(),
    ];
    for addr in [&world.server.web, &world.server.ingest] {
        for case in &cases {
            let answer = raw(addr, case.as_bytes());
            // Refused, or hung up on; what was smuggled in is never answered.
            if let Some(answer) = answer {
                assert!((400..500).contains(&answer.status), "{case:?}: {answer:?}");
                assert!(!String::from_utf8_lossy(&answer.body).contains("\"ok\""), "{case:?}: {answer:?}");
            }
        }
        // hyper takes the framing that cannot be smuggled, and hangs up after the answer.
        let both =
            format!("{post}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}");
        if let Some(answer) = raw(addr, both.as_bytes()) {
            assert!(!String::from_utf8_lossy(&answer.body).contains("\"ok\""), "{answer:?}");
        }
        assert_eq!(send(addr, "GET", "/healthz", &[], b"").status, 200);
    }
}

/// What people put where SQL, paths, headers and pages might be made from it.
const HOSTILE: [&str; 20] = [
    "'",
    "\"",
    "';--",
    "' OR '1'='1",
    "1; DROP TABLE device",
    "%",
    "_",
    "\\",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "\" onload=\"x",
    "${7*7}",
    "{{7*7}}",
    "a\r\nset-cookie: x=1",
    "\u{0}",
    "\u{202e}",
    "💥",
    "-1",
    "1e999",
    "99999999999999999999",
];

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[test]
fn hostile_text_in_any_parameter_is_text_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path());
    assert_eq!(world.report(&world.device_key, 1_000, &json!({"load1": 1})), 200);
    let document = world.get("/api/v1/openapi.json").expect(200);
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(parameters) = methods["get"]["parameters"].as_array() else { continue };
        for parameter in parameters.iter().filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            for text in HOSTILE {
                let query = format!("{}?{name}={}", path.replace("{id}", "1"), encoded(text));
                let answer = world.get(&query);
                assert!(answer.status == 200 || (400..500).contains(&answer.status), "{query}: {answer:?}");
                let said = String::from_utf8_lossy(&answer.body).to_ascii_lowercase();
                for inside in ["sqlite", "select ", "rusqlite", "/src/", "panicked", "\u{0}"] {
                    assert!(!said.contains(inside), "{query}: {said}");
                }
                assert!(answer.header("set-cookie").is_none());
                asked += 1;
            }
        }
        for text in HOSTILE {
            let answer = world.get(&path.replace("{id}", &encoded(text)));
            assert!(answer.status < 500, "{path} {text:?}: {answer:?}");
        }
    }
    assert!(asked > 200);
    // Everything is still there.
    assert_eq!(world.get("/api/v1/devices").expect(200)["devices"].as_array().unwrap().len(), 1);
}

#[test]
fn hostile_text_in_any_field_is_text_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path());
    let document = world.get("/api/v1/openapi.json").expect(200);
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in ["post", "patch"] {
            let body = &methods[method]["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            let Some(schema) = body.as_str().and_then(|body| document.pointer(&body[1..])) else { continue };
            let Some(fields) = schema["properties"].as_object() else { continue };
            for text in HOSTILE {
                let all = fields.keys().map(|name| (name.clone(), json!(text))).collect();
                let body = serde_json::Value::Object(all);
                let path = path.replace("{id}", "4000000");
                let headers = world.admin.headers();
                let answer = client::json(&world.server.web, &method.to_uppercase(), &path, &headers, &body);
                assert!(answer.status < 500, "{method} {path} {body}: {answer:?}");
            }
        }
    }
    let report = |value: &serde_json::Value| {
        let bearer = format!("Bearer {}", world.device_key);
        client::json(&world.server.ingest, "POST", "/api/v1/report", &[("authorization", &bearer)], value)
    };
    for text in HOSTILE {
        let body = json!({
            "agent": {"version": text}, "facts": {"hostname": text, "os": text}, "states": {"gateway": text},
            "rows": [{"t_ms": 1_000, "v": {text: 1}}],
            "usage": [{"event_id": text, "t_ms": 1, "agent": text, "provider": text, "model": text}],
            "logs": [{"t_ms": 1, "level": text, "source": text, "message": text}],
        });
        let answer = report(&body);
        assert!(answer.status < 500, "{body}: {answer:?}");
    }
    world.get("/api/v1/devices").expect(200);
    world.get("/api/v1/logs").expect(200);
}
