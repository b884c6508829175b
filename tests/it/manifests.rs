//! The direction of use between the crates, read from their manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Who may use whom; whatever is not here is not allowed. `bench` may use all.
const ALLOWED: [(&str, &[&str]); 7] = [
    ("openclaw-watch", &["ingest", "query", "store"]),
    ("ingest", &["front", "store", "wire"]),
    ("query", &["front", "store"]),
    ("agent", &["wire"]),
    ("front", &[]),
    ("store", &[]),
    ("wire", &[]),
];

/// What an outside crate must not get into: async and HTTP not into the store, a database not into the agent.
const BANNED: [(&str, &[&str]); 3] = [
    ("store", &["tokio", "hyper", "http", "futures-util"]),
    ("wire", &["tokio", "hyper", "http", "rusqlite"]),
    ("agent", &["rusqlite", "tokio"]),
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
