//! The server is killed at random moments, again and again: under load, while it starts, while it seals, merges, drops
//! and deletes. Whatever was answered with 200 is there afterwards, once, and nothing else is.
//!
//! `OPENCLAW_WATCH_KILLS=2000` kills more often, `OPENCLAW_WATCH_SEED=7` draws other moments.

mod agents;
mod law;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use store::Store;

use crate::server::{PATIENCE, Person, Server};
use agents::{Device, ask, mix, send};
use law::{Fate, assert_holds, assert_sound};

/// Kills when nothing else is asked for.
const KILLS: u64 = 20;
/// Devices that stay until there is so much of them that looking through it takes long.
const KEPT: usize = 3;
const REPORTS_MAX: u64 = 1_200;
/// Connections of each of them.
const LANES: u64 = 2;
/// Reports of a lane in one round at most; the kill comes after so many at most that all lanes have acknowledged.
const ROUND_REPORTS_MAX: u64 = 60;
const KILL_AFTER_MAX: u64 = 250;
const HOUR_MS: i64 = 3_600_000;

#[test]
fn whatever_was_acknowledged_is_there_once_however_often_the_server_is_killed() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let kills = number("OPENCLAW_WATCH_KILLS").unwrap_or(KILLS);
    let seed = number("OPENCLAW_WATCH_SEED").unwrap_or_else(|| now_ms() as u64);
    println!("{kills} kills, seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::new(folder.path());
    for round in 0..kills {
        let told = format!("seed {seed}, round {round}");
        fleet.round(folder.path(), mix(seed ^ mix(round)), &told);
        if round % 50 == 49 {
            println!("{} kills, {} reports acknowledged", round + 1, fleet.acknowledged);
        }
    }
    // All that was on its way is sent again, counts once, and is found over HTTP as well.
    let server = Server::start_with(folder.path(), &["--retention-raw-days", "3"]);
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for device in &fleet.kept {
            for lane in &device.lanes {
                let (server, stop, count) = (&server, &stop, &count);
                scope.spawn(move || send(device, lane, &server.ingest, 3, stop, count));
            }
        }
    });
    assert!(count.load(Ordering::SeqCst) >= fleet.kept.len() as u64 * LANES);
    for device in &fleet.kept {
        let (sent, acknowledged) = device.sent_and_acknowledged();
        assert_eq!(sent, acknowledged);
        let path = format!(
            "/api/v1/query?device={}&metric=number&from_ms={}&to_ms={}&points=1",
            device.id,
            device.start_ms,
            device.start_ms + 24 * HOUR_MS
        );
        let answer = fleet.admin.get(&server, &path);
        assert_eq!(answer["series"].as_array().unwrap().len(), 1, "{answer}");
    }
    assert_eq!(server.terminate().0, Some(0));
    fleet.verify(folder.path(), "at the end");
}

/// The devices and what happened to them.
struct Fleet {
    admin: Person,
    kept: Vec<Device>,
    /// Takes rows that are older than a day, until a round drops what is older than that.
    old: Option<Device>,
    old_fate: Fate,
    /// To be deleted.
    victim: Option<Device>,
    gone: Vec<(Fate, Device)>,
    acknowledged: u64,
}

impl Fleet {
    fn new(folder: &Path) -> Fleet {
        let server = Server::start(folder);
        let admin = server.set_up();
        assert_eq!(server.terminate().0, Some(0));
        Fleet {
            admin,
            kept: Vec::new(),
            old: None,
            old_fate: Fate::Kept,
            victim: None,
            gone: Vec::new(),
            acknowledged: 0,
        }
    }

    /// Starts a server, lets it work, kills it, and looks at what it left.
    fn round(&mut self, folder: &Path, draw: u64, told: &str) {
        let draws = |what: u64, of: u64| mix(draw.wrapping_add(what)) % of;
        // Small generations make many seals and much to merge.
        let head = ["1000", "5000", "50000"][draws(1, 3) as usize];
        let drops = self.old.as_ref().is_some_and(|old| reports(old) > 60) && draws(2, 3) == 0;
        let arguments = ["--limit-head-samples", head, "--retention-raw-days", if drops { "1" } else { "3" }];
        if drops {
            self.old_fate = Fate::Aged;
        }
        if draws(3, 5) == 0 {
            // Killed while it starts.
            let mut server = Server::spawn(folder, &arguments);
            std::thread::sleep(Duration::from_micros(draws(4, 150_000)));
            server.kill();
            return self.verify(folder, told);
        }
        let mut server = Server::start_with(folder, &arguments);
        self.prepare(&server);
        let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
        let kill_after = draws(5, KILL_AFTER_MAX);
        let pause = Duration::from_micros([0, draws(6, 5_000), draws(6, 300_000)][draws(7, 3) as usize]);
        let mut deletion = None;
        let ingest = server.ingest.clone();
        std::thread::scope(|scope| {
            let old = self.old.iter().filter(|_| !drops);
            let senders: Vec<_> = self
                .kept
                .iter()
                .chain(old)
                .chain(&self.victim)
                .flat_map(|device| device.lanes.iter().map(move |lane| (device, lane)))
                .map(|(device, lane)| {
                    let (ingest, stop, count) = (&ingest, &stop, &count);
                    scope.spawn(move || send(device, lane, ingest, ROUND_REPORTS_MAX, stop, count))
                })
                .collect();
            let victim = self.victim.as_ref().filter(|victim| reports(victim) > 20 && draws(8, 2) == 0);
            let deleting = victim.map(|victim| {
                let request = self.admin.delete_request(&server, victim.id);
                scope.spawn(move || ask(request))
            });
            let patience = Instant::now() + PATIENCE;
            while count.load(Ordering::SeqCst) < kill_after && !senders.iter().all(|s| s.is_finished()) {
                assert!(Instant::now() < patience, "{told}: nothing is acknowledged");
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(pause);
            server.kill();
            stop.store(true, Ordering::Relaxed);
            deletion = deleting.map(|deleting| deleting.join().unwrap());
        });
        self.acknowledged += count.load(Ordering::SeqCst);
        if let Some(answer) = deletion {
            let fate = if answer == Some(200) { Fate::Deleted } else { Fate::Dying };
            self.gone.push((fate, self.victim.take().unwrap()));
        }
        self.verify(folder, told);
    }

    /// Adds the devices that are missing; one about which enough was learned goes.
    fn prepare(&mut self, server: &Server) {
        if self.kept.iter().any(|device| reports(device) > REPORTS_MAX) {
            for device in self.kept.drain(..).chain(self.old.take()) {
                assert_eq!(ask(self.admin.delete_request(server, device.id)), Some(200));
                self.gone.push((Fate::Deleted, device));
            }
        }
        if self.old_fate == Fate::Aged
            && let Some(old) = self.old.take()
        {
            assert_eq!(ask(self.admin.delete_request(server, old.id)), Some(200));
            self.gone.push((Fate::Deleted, old));
        }
        // The fates of all are checked once more each round; those of long ago are settled.
        let settled = self.gone.len().saturating_sub(8);
        self.gone.drain(..settled);
        let add = |age_ms: i64, lanes: u64| {
            let name = format!("device {}", now_ns());
            Device::new(self.admin.add_device(server, &name), now_ms() - age_ms, lanes)
        };
        while self.kept.len() < KEPT {
            self.kept.push(add(6 * HOUR_MS, LANES));
        }
        if self.old.is_none() {
            (self.old, self.old_fate) = (Some(add(47 * HOUR_MS, 1)), Fate::Kept);
        }
        if self.victim.is_none() {
            self.victim = Some(add(6 * HOUR_MS, 1));
        }
    }

    /// The folder is sound, and the law holds in a copy of it: the next server recovers from what the kill left.
    fn verify(&self, folder: &Path, told: &str) {
        let data = folder.join("data");
        assert_sound(&data, told);
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(&data).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        let mut devices: Vec<(Fate, &Device)> =
            self.gone.iter().map(|(fate, device)| (*fate, device)).collect();
        devices.extend(self.kept.iter().chain(&self.victim).map(|device| (Fate::Kept, device)));
        devices.extend(self.old.iter().map(|device| (self.old_fate, device)));
        let mut options = store::Options::new(copy.path());
        options.retention.raw = store::Keep::days(3);
        options.frames = Some(std::sync::Arc::new(ingest::read_frame));
        let store = Store::open(options, now_ms()).unwrap();
        assert_holds(&store, &devices, &format!("{told}, recovered"));
        store.seal().unwrap();
        store.maintain(now_ms()).unwrap();
        assert_holds(&store, &devices, &format!("{told}, recovered and sealed"));
        drop(store);
        assert_sound(copy.path(), &format!("{told}, recovered and sealed"));
    }
}

fn reports(device: &Device) -> u64 {
    device.sent_and_acknowledged().0.len() as u64
}

fn now_ns() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()
}

fn now_ms() -> i64 {
    (now_ns() / 1_000_000) as i64
}
