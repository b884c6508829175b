//! Where the transcripts of a state folder are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::ErrorCode;

use super::database::Fault;
use super::lines;
use crate::openclaw::sqlite::Reading;

/// Agents of a state folder that are looked at.
pub const AGENTS_MAX: usize = 1_000;
/// Runs that are asked for at once.
pub const RUNS_MAX: usize = 100;
const DATABASE: &str = "openclaw-agent.sqlite";
/// Folders of an agent that hold files of lines: its sessions, those in cold storage, and what the move
/// into a database left.
const FOLDERS: [&str; 3] = ["sessions", "sessions/cold", "session-sqlite-import-archive"];

/// What can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Databases, with the agent each belongs to.
    pub databases: Vec<(String, PathBuf)>,
    /// Files of lines, with the agent each belongs to.
    pub files: Vec<(String, PathBuf)>,
    /// What could not be looked into, and why.
    pub faults: Vec<(PathBuf, Fault)>,
}

/// Finds what there is in a state folder now; `listed` are further databases that may be there.
pub fn find(state_dir: &Path, listed: &[(String, PathBuf)]) -> Sources {
    let mut sources = Sources::default();
    let agents = state_dir.join("agents");
    for folder in sources.folders(&agents) {
        let Some(agent) = folder.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            continue;
        };
        let database = folder.join("agent").join(DATABASE);
        if database.is_file() {
            sources.databases.push((agent.clone(), database));
        }
        for name in FOLDERS {
            sources.add_files(&agent, &folder.join(name));
        }
    }
    // From before there were several agents.
    sources.add_files("main", &state_dir.join("sessions"));
    for (agent, database) in listed {
        if database.is_file() && !sources.databases.iter().any(|(_, known)| known == database) {
            sources.databases.push((agent.clone(), database.clone()));
        }
    }
    sources
}

impl Sources {
    fn folders(&mut self, path: &Path) -> Vec<PathBuf> {
        match fs::read_dir(path) {
            Ok(entries) => {
                let entries = entries.take(AGENTS_MAX).flatten().map(|entry| entry.path());
                let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
                folders.sort();
                folders
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.faults.push((path.to_path_buf(), error.into()));
                }
                Vec::new()
            }
        }
    }

    fn add_files(&mut self, agent: &str, folder: &Path) {
        match lines::find(folder) {
            Ok(files) => self.files.extend(files.into_iter().map(|file| (agent.to_string(), file))),
            Err(error) => self.faults.push((folder.to_path_buf(), error.into())),
        }
    }
}

/// What OpenClaw's own database says about usage without holding any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// The agents' databases as OpenClaw lists them: some may be elsewhere.
    pub databases: Vec<(String, PathBuf)>,
    /// When runs began that ended well, Unix milliseconds, newest first, at most [`RUNS_MAX`].
    pub runs_ms: Vec<i64>,
    /// Why it could not be looked into.
    pub fault: Option<Fault>,
}

/// Looks into OpenClaw's own database; `since_ms` is the time after which runs are asked for. Not every
/// version has it, and what it cannot tell is left out.
pub fn overview(state_dir: &Path, since_ms: i64) -> Overview {
    const DATABASES: &str = "SELECT agent_id, path FROM agent_databases LIMIT ?1";
    // What another program did for OpenClaw (acp) has its usage there.
    const RUNS: &str = "SELECT created_at FROM task_runs WHERE status = 'succeeded' AND ended_at IS NOT NULL
        AND runtime IN ('cli', 'cron', 'subagent') AND created_at > ?2 ORDER BY created_at DESC LIMIT ?1";
    let path = state_database(state_dir);
    if !path.exists() {
        return Overview::default();
    }
    let reading = match Reading::open(&path) {
        Ok(reading) => reading,
        Err(error) => return Overview { fault: Some(error.into()), ..Overview::default() },
    };
    let connection = reading.connection();
    let databases = || -> rusqlite::Result<_> {
        let mut statement = connection.prepare(DATABASES)?;
        let path = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, state_dir.join(row.get::<_, String>(1)?)));
        statement.query_map([AGENTS_MAX as i64], path)?.collect()
    };
    let runs = || -> rusqlite::Result<_> {
        let mut statement = connection.prepare(RUNS)?;
        statement.query_map([RUNS_MAX as i64, since_ms], |row| row.get(0))?.collect()
    };
    let mut overview = Overview::default();
    // A table that this version of OpenClaw has not is no fault.
    let is_fault = |error: &rusqlite::Error| error.sqlite_error_code() != Some(ErrorCode::Unknown);
    let mut note = |error: rusqlite::Error| overview.fault = Some(error).filter(is_fault).map(Fault::from);
    let databases = databases().unwrap_or_else(|error| {
        note(error);
        Vec::new()
    });
    let runs_ms = runs().unwrap_or_else(|error| {
        note(error);
        Vec::new()
    });
    (overview.databases, overview.runs_ms) = (databases, runs_ms);
    if reading.is_sound() { overview } else { Overview::default() }
}

/// OpenClaw's own database in a state folder.
pub fn state_database(state_dir: &Path) -> PathBuf {
    state_dir.join("state").join("openclaw.sqlite")
}

/// What tells whether a source may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp([Option<(u64, SystemTime)>; 2]);

impl Stamp {
    /// Of a file as it is now.
    pub fn of_file(path: &Path) -> Stamp {
        let stamp = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.len(), metadata.modified().ok()?))
        };
        Stamp([stamp(path), None])
    }

    /// Of a database, whose newest rows are in a file beside it.
    pub fn of_database(path: &Path) -> Stamp {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let (Stamp([own, _]), Stamp([log, _])) = (Stamp::of_file(path), Stamp::of_file(Path::new(&log)));
        Stamp([own, log])
    }

    /// When it was changed, in Unix milliseconds; 0 if that is not known.
    pub fn modified_ms(&self) -> i64 {
        let since = self.0[0].and_then(|(_, modified)| modified.duration_since(UNIX_EPOCH).ok());
        since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn transcripts_of_all_agents_are_found_wherever_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        let file = |path: &str| {
            fs::create_dir_all(state.join(path).parent().unwrap()).unwrap();
            fs::write(state.join(path), "").unwrap();
        };
        assert_eq!(find(state, &overview(state, 0).databases), Sources::default());
        for path in [
            "agents/main/agent/openclaw-agent.sqlite",
            "agents/main/sessions/a.jsonl.deleted.2026.zst",
            "agents/main/sessions/sessions.json",
            "agents/main/sessions/cold/00ff.jsonl.zst",
            "agents/main/session-sqlite-import-archive/k.b.jsonl.imported-17",
            "agents/other/sessions/c.jsonl",
            "agents/readme.txt",
            "sessions/d.jsonl",
            "elsewhere/e.sqlite",
        ] {
            file(path);
        }
        fs::create_dir_all(state.join("state")).unwrap();
        let listing = Connection::open(state.join("state/openclaw.sqlite")).unwrap();
        listing
            .execute_batch(
                "CREATE TABLE agent_databases (agent_id TEXT, path TEXT);
                 INSERT INTO agent_databases VALUES ('main', 'agents/main/agent/openclaw-agent.sqlite'),
                    ('far', 'elsewhere/e.sqlite'), ('gone', 'elsewhere/f.sqlite');",
            )
            .unwrap();
        let sources = find(state, &overview(state, 0).databases);
        let show = |list: &[(String, PathBuf)]| -> Vec<String> {
            list.iter()
                .map(|(agent, path)| format!("{agent} {}", path.strip_prefix(state).unwrap().display()))
                .collect()
        };
        assert_eq!(
            show(&sources.databases),
            ["main agents/main/agent/openclaw-agent.sqlite", "far elsewhere/e.sqlite"]
        );
        assert_eq!(
            show(&sources.files),
            [
                "main agents/main/sessions/a.jsonl.deleted.2026.zst",
                "main agents/main/sessions/cold/00ff.jsonl.zst",
                "main agents/main/session-sqlite-import-archive/k.b.jsonl.imported-17",
                "other agents/other/sessions/c.jsonl",
                "main sessions/d.jsonl",
            ]
        );
        assert_eq!(sources.faults, []);
    }

    #[test]
    fn runs_that_ended_well_after_a_time_are_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        let tasks = Connection::open(folder.path().join("state/openclaw.sqlite")).unwrap();
        tasks
            .execute_batch(
                "CREATE TABLE task_runs (runtime TEXT, status TEXT, created_at INTEGER, ended_at INTEGER);
                 INSERT INTO task_runs VALUES ('cli', 'succeeded', 10, 19), ('cron', 'succeeded', 30, 39),
                    ('cli', 'failed', 40, 49), ('cli', 'succeeded', 50, NULL), ('acp', 'succeeded', 60, 69),
                    ('subagent', 'succeeded', 70, 79);",
            )
            .unwrap();
        assert_eq!(overview(folder.path(), 10).runs_ms, [70, 30]);
        assert_eq!(overview(folder.path(), 0).databases, []);
    }
}
