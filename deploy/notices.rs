//! Writes the third-party notices of a release: whose code is in the server, the agent and the page, and its licences.
//!
//! ```sh
//! cargo run --release --locked --example notices > THIRD-PARTY-NOTICES.md
//! ```
//!
//! Read from `cargo metadata` (which names exactly what the lock file has, for all platforms) and from the list that the
//! page's build writes into `web/dist/licenses.md`. Licence texts that are the same stand there once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// What is shipped.
const PROGRAMS: [&str; 2] = ["openclaw-watch", "agent"];
/// Beginnings of the names of files that hold licences.
const LICENCES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "COPYRIGHT"];
/// Folders below a package in which C code that it brings along has its licence.
const DEPTH_MAX: usize = 2;
/// A licence is no longer than this, bytes.
const TEXT_BYTES_MAX: u64 = 256 << 10;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("web/dist/licenses.md"))
        .context("web/dist/licenses.md is not there; build the page first (make web/dist/index.html)")?;
    print!("{}", notices(root, &page)?);
    Ok(())
}

/// All of it, as Markdown; `page` is what the page's build wrote.
pub fn notices(root: &Path, page: &str) -> Result<String> {
    let packages = packages(root)?;
    // Text → who has it.
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut out = String::from("# Third-party notices\n\nOpenClaw Watch contains code of others.\n");
    let _ = writeln!(out, "\n## In the server and the agent\n");
    for package in &packages {
        let Package { name, version, licence, repository, folder } = package;
        let _ = writeln!(out, "- {name} {version}: {licence} {repository}");
        for text in licence_texts(folder, DEPTH_MAX)? {
            texts.entry(text).or_default().insert(format!("{name} {version}"));
        }
    }
    for (text, of) in &texts {
        let of: Vec<&str> = of.iter().map(String::as_str).collect();
        let _ = writeln!(out, "\n### {}\n", of.join(", "));
        // Indented: nothing in it is Markdown.
        text.lines().for_each(|line| {
            let _ = writeln!(out, "    {}", line.trim_end());
        });
    }
    let (_, page) = page.split_once("\n## ").context("the page's licences name no package")?;
    let _ = write!(out, "\n## In the page\n\n### {}", page.replace("\n## ", "\n### "));
    Ok(out)
}

/// A package that is in one of the programs.
struct Package {
    name: String,
    version: String,
    licence: String,
    repository: String,
    folder: PathBuf,
}

/// Everything of others that the programs are made of, in the order of names: what is used at run time on any platform.
fn packages(root: &Path) -> Result<Vec<Package>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    let by_id = |items: Vec<Value>| -> BTreeMap<String, Value> {
        items.into_iter().filter_map(|item| Some((item["id"].as_str()?.to_string(), item))).collect()
    };
    let (packages, nodes) = (by_id(list(&metadata["packages"])), by_id(list(&metadata["resolve"]["nodes"])));
    let ours = |package: &Value| package["source"].is_null();
    let mut todo: Vec<String> = packages
        .iter()
        .filter(|(_, package)| ours(package) && PROGRAMS.iter().any(|name| package["name"] == *name))
        .map(|(id, _)| id.clone())
        .collect();
    ensure!(todo.len() == PROGRAMS.len(), "the programs are not in the workspace");
    let mut seen = BTreeSet::new();
    while let Some(id) = todo.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        for dependency in list(&nodes[&id]["deps"]) {
            // Neither tests nor build scripts are in the programs.
            let used = list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            todo.extend(dependency["pkg"].as_str().filter(|_| used).map(str::to_string));
        }
    }
    let mut found = Vec::new();
    for package in seen.iter().map(|id| &packages[id]).filter(|package| !ours(package)) {
        let text = |field: &str| package[field].as_str().unwrap_or_default().to_string();
        let manifest = PathBuf::from(text("manifest_path"));
        let licence = text("license");
        ensure!(!licence.is_empty(), "{} {} names no licence", text("name"), text("version"));
        found.push(Package {
            name: text("name"),
            version: text("version"),
            licence,
            repository: text("repository"),
            folder: manifest.parent().context("a manifest has a folder")?.to_path_buf(),
        });
    }
    found.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(found)
}

/// The texts of the licences in a folder and a little below it.
fn licence_texts(folder: &Path, depth: usize) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_dir() {
            if depth > 1 {
                texts.extend(licence_texts(&path, depth - 1)?);
            }
        } else if LICENCES.iter().any(|beginning| name.starts_with(beginning))
            // Not `license.rs`.
            && !name.ends_with(".RS")
            && path.metadata()?.len() <= TEXT_BYTES_MAX
        {
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
            texts.extend((!text.trim().is_empty()).then(|| text.trim_end().to_string()));
        }
    }
    Ok(texts)
}
