//! The fuzz targets on the stable compiler: each reads its corpus, and mutations of it.
//!
//! `OPENCLAW_WATCH_SEED=7` draws other mutations, `OPENCLAW_WATCH_MUTATIONS=1000000` more of them; what panics is left
//! as a file whose name the panic's message is preceded by. `OPENCLAW_WATCH_WRITE_CORPUS=1` makes the seeds that are
//! not text again (see `seeds`).
#![allow(clippy::unwrap_used)]

mod memory;
mod mutate;
mod seeds;
#[allow(missing_docs, reason = "a crate of its own in another workspace")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::path::{Path, PathBuf};

use bench::rng::Rng;
use targets::{TARGETS, Target};

/// Mutations of each target when nothing else is asked for.
const MUTATIONS: u64 = 2_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name)
}

/// The names and bytes of a corpus, in the order of their names.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder(target))
        .unwrap_or_else(|error| panic!("{}: {error}", target.name))
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| name.starts_with("valid-") || name.starts_with("bad-"))
        .collect();
    found.sort();
    found
}

/// Whether the target accepts these bytes. On a panic they are kept in a file.
fn accepts(target: &Target, bytes: &[u8], told: &str) -> bool {
    let (accepted, peak) = memory::peak_of(|| std::panic::catch_unwind(|| (target.run)(bytes)));
    let fine = accepted.is_ok() && peak <= target.memory_bytes_max;
    if !fine {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-found", target.name));
        std::fs::write(&file, bytes).unwrap();
        panic!("{} {told}: took {peak} bytes; the input is in {}", target.name, file.display());
    }
    accepted.unwrap()
}

#[test]
fn every_seed_is_accepted_or_refused_as_its_name_says() {
    seeds::write_if_asked();
    for target in &TARGETS {
        let corpus = corpus(target);
        for (name, bytes) in &corpus {
            assert_eq!(accepts(target, bytes, name), name.starts_with("valid-"), "{} {name}", target.name);
        }
        let valid = corpus.iter().filter(|(name, _)| name.starts_with("valid-")).count();
        assert!(valid >= 2 && corpus.len() - valid >= 3, "{} has too few seeds", target.name);
    }
}

#[test]
fn no_mutation_of_a_seed_makes_a_target_panic_or_take_much_memory() {
    let seed = number("OPENCLAW_WATCH_SEED")
        .unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
    let mutations = number("OPENCLAW_WATCH_MUTATIONS").unwrap_or(MUTATIONS);
    println!("seed {seed}, {mutations} mutations a target");
    std::thread::scope(|scope| {
        for (stream, target) in TARGETS.iter().enumerate() {
            scope.spawn(move || {
                let corpus = corpus(target);
                // What is accepted leads further into the reader: three out of four mutations are of such a seed.
                let (valid, bad): (Vec<_>, Vec<_>) =
                    corpus.into_iter().partition(|(name, _)| name.starts_with("valid-"));
                let bytes = |seeds: Vec<(String, Vec<u8>)>| -> Vec<Vec<u8>> {
                    seeds.into_iter().map(|(_, bytes)| bytes).collect()
                };
                let (valid, bad) = (bytes(valid), bytes(bad));
                let mut rng = Rng::new(seed, stream as u64);
                let mut accepted = 0;
                for n in 0..mutations {
                    let seeds = if rng.once_in(4) { &bad } else { &valid };
                    let bytes = mutate::mutated(seeds, &mut rng);
                    accepted += u64::from(accepts(target, &bytes, &format!("seed {seed}, mutation {n}")));
                }
                println!("{}: {accepted} of {mutations} accepted", target.name);
            });
        }
    });
}

#[test]
fn every_target_has_its_fuzzer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for target in &TARGETS {
        let fuzzer = std::fs::read_to_string(root.join(format!("fuzz_targets/{}.rs", target.name))).unwrap();
        assert!(fuzzer.contains(&format!("fuzz::{}(bytes)", target.name)), "{}", target.name);
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{}", target.name);
    }
    assert_eq!(std::fs::read_dir(root.join("fuzz_targets")).unwrap().count(), TARGETS.len());
}
