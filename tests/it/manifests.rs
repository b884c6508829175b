//! The direction of use between the crates, read from their manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Who may use whom; whatever is not here is not allowed. `bench` may use all. The planner and the tests of the whole speak
/// as agents do.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("openclaw-watch", &["ingest", "mix", "query", "store", "wire"]),
    ("ingest", &["front", "store", "wire"]),
    ("query", &["front", "store"]),
    ("agent", &["wire"]),
    ("mix", &["store", "wire"]),
    ("front", &[]),
    ("store", &[]),
    ("wire", &[]),
];

/// What an outside crate must not get into: async and HTTP not into the store. The agent may read
/// OpenClaw's databases, and only the folder that does so names rusqlite; see the last test.
const BANNED: [(&str, &[&str]); 3] = [
    ("store", &["tokio", "hyper", "http", "futures-util"]),
    ("wire", &["tokio", "hyper", "http", "rusqlite"]),
    ("agent", &["hyper", "tokio"]),
];

/// The dependencies of each crate of the workspace, of every kind and target.
fn manifests() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |folder: &Path| -> toml::Table {
        std::fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap()
    };
    let members = read(root)["workspace"]["members"].as_array().unwrap().clone();
    let folders =
        members.iter().map(|member| root.join(member.as_str().unwrap())).chain([root.to_path_buf()]);
    folders
        .map(|folder| {
            let manifest = read(&folder);
            let mut used = BTreeSet::new();
            collect(&manifest, &mut used);
            for target in manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten() {
                collect(target.1.as_table().unwrap(), &mut used);
            }
            (manifest["package"]["name"].as_str().unwrap().to_string(), used)
        })
        .collect()
}

fn collect(table: &toml::Table, used: &mut BTreeSet<String>) {
    for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
        for (name, value) in table.get(kind).and_then(toml::Value::as_table).into_iter().flatten() {
            let renamed = value.get("package").and_then(toml::Value::as_str);
            used.insert(renamed.unwrap_or(name).to_string());
        }
    }
}

#[test]
fn every_edge_between_our_crates_is_allowed() {
    let manifests = manifests();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let mut edges = 0;
    for (name, used) in &manifests {
        let ours = used.iter().filter(|dependency| manifests.contains_key(*dependency));
        for dependency in ours {
            let fine = match allowed.get(name.as_str()) {
                Some(list) => list.contains(&dependency.as_str()),
                None => name == "bench",
            };
            assert!(fine, "{name} must not use {dependency}");
            edges += 1;
        }
    }
    assert!(edges >= 8, "the manifests were not read");
}

#[test]
fn every_crate_is_known() {
    let known: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).chain(["bench"]).collect();
    let found = manifests();
    assert_eq!(found.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
}

#[test]
fn outside_crates_stay_where_they_belong() {
    let manifests = manifests();
    for (name, banned) in BANNED {
        for dependency in banned {
            assert!(!manifests[name].contains(*dependency), "{name} must not use {dependency}");
        }
    }
}

/// The agent's use of a database is to read OpenClaw's usage and state: nothing of its own is kept in one.
#[test]
fn the_agent_opens_databases_only_to_read_them_and_only_for_openclaw() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("agent/src");
    let mut folders = vec![source.clone()];
    let mut naming = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let is_test = path.file_stem().is_some_and(|name| name == "tests");
            if code.contains("rusqlite") && !is_test {
                assert!(!code.contains("Connection::open("), "{path:?} opens a database for writing");
                assert!(!code.contains("READ_WRITE"), "{path:?} opens a database for writing");
                let within = path.strip_prefix(&source).unwrap();
                naming.insert(within.components().next().unwrap().as_os_str().to_owned());
            }
        }
    }
    assert_eq!(naming, BTreeSet::from(["openclaw".into()]));
}
