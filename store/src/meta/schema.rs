//! The schema of `meta.db`, step by step.

use crate::db::File;

/// The file. `AUTOINCREMENT` where a number must never be given twice.
pub const FILE: File = File {
    name: "meta.db",
    page_bytes: 2_048,
    migrations: &["
    CREATE TABLE device (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        device_type TEXT NOT NULL,
        tags TEXT NOT NULL,
        notes TEXT NOT NULL,
        key_hash BLOB NOT NULL UNIQUE,
        created_ms INTEGER NOT NULL,
        last_seen_ms INTEGER,
        interval_ms INTEGER,
        agent_version TEXT,
        facts TEXT NOT NULL DEFAULT '{}',
        states TEXT NOT NULL DEFAULT '{}',
        state TEXT NOT NULL DEFAULT 'new',
        reason TEXT,
        since_ms INTEGER
    ) STRICT;
    CREATE TABLE user (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        username TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL,
        password_hash TEXT NOT NULL,
        created_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE session (
        token_hash BLOB PRIMARY KEY,
        user INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
        csrf_token TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        used_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE log (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        device INTEGER NOT NULL,
        t_ms INTEGER NOT NULL,
        level INTEGER NOT NULL,
        source TEXT NOT NULL,
        message TEXT NOT NULL
    ) STRICT;
    CREATE INDEX log_by_time ON log (t_ms, id, level);
    CREATE INDEX log_by_device ON log (device, t_ms, id, level);
    CREATE TABLE event (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        device INTEGER,
        t_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT;
    CREATE INDEX event_by_time ON event (t_ms, id);
    CREATE INDEX event_by_device ON event (device, t_ms, id);
    CREATE TABLE usage_event (
        device INTEGER NOT NULL,
        event_id TEXT NOT NULL,
        t_ms INTEGER NOT NULL,
        agent TEXT NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        input INTEGER NOT NULL,
        output INTEGER NOT NULL,
        cache_read INTEGER NOT NULL,
        cache_write INTEGER NOT NULL,
        cost_usd REAL,
        cost_basis TEXT NOT NULL,
        PRIMARY KEY (device, event_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE usage_slot (
        slot_ms INTEGER NOT NULL,
        device INTEGER NOT NULL,
        agent TEXT NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        messages INTEGER NOT NULL,
        input INTEGER NOT NULL,
        output INTEGER NOT NULL,
        cache_read INTEGER NOT NULL,
        cache_write INTEGER NOT NULL,
        cost_usd REAL NOT NULL,
        PRIMARY KEY (slot_ms, device, agent, provider, model)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE state (recorded_group INTEGER NOT NULL, alive_ms INTEGER) STRICT;
    INSERT INTO state VALUES (0, NULL);
    ", "
    -- Of all lines: their texts and 64 for each.
    ALTER TABLE state ADD COLUMN log_bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE state SET log_bytes = (SELECT coalesce(sum(octet_length(source) + octet_length(message) + 64), 0) FROM log);
    ", "
    -- A session gets a number, so that it can be listed and ended, and says where it was begun.
    ALTER TABLE session RENAME TO session_before;
    CREATE TABLE session (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        token_hash BLOB NOT NULL UNIQUE,
        user INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
        csrf_token TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        used_ms INTEGER NOT NULL,
        address TEXT NOT NULL,
        client TEXT NOT NULL
    ) STRICT;
    INSERT INTO session (token_hash, user, csrf_token, created_ms, used_ms, address, client)
        SELECT token_hash, user, csrf_token, created_ms, used_ms, '', '' FROM session_before ORDER BY created_ms;
    DROP TABLE session_before;
    CREATE INDEX session_by_user ON session (user);
    CREATE TABLE api_token (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        token_hash BLOB NOT NULL UNIQUE,
        user INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
        name TEXT NOT NULL,
        scope TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER,
        used_ms INTEGER
    ) STRICT;
    CREATE INDEX api_token_by_user ON api_token (user);
    ", "
    -- `open_`: tokens of events without a reported cost, which the price table prices. Days are days UTC.
    DROP TABLE usage_slot;
    CREATE TABLE usage_slot (
        t_ms INTEGER NOT NULL,
        device INTEGER NOT NULL,
        agent TEXT NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        messages INTEGER NOT NULL,
        input INTEGER NOT NULL,
        output INTEGER NOT NULL,
        cache_read INTEGER NOT NULL,
        cache_write INTEGER NOT NULL,
        reported_usd REAL NOT NULL,
        open_input INTEGER NOT NULL,
        open_output INTEGER NOT NULL,
        open_cache_read INTEGER NOT NULL,
        open_cache_write INTEGER NOT NULL,
        PRIMARY KEY (t_ms, device, agent, provider, model)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE usage_day (
        t_ms INTEGER NOT NULL,
        device INTEGER NOT NULL,
        agent TEXT NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        messages INTEGER NOT NULL,
        input INTEGER NOT NULL,
        output INTEGER NOT NULL,
        cache_read INTEGER NOT NULL,
        cache_write INTEGER NOT NULL,
        reported_usd REAL NOT NULL,
        open_input INTEGER NOT NULL,
        open_output INTEGER NOT NULL,
        open_cache_read INTEGER NOT NULL,
        open_cache_write INTEGER NOT NULL,
        PRIMARY KEY (t_ms, device, agent, provider, model)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO usage_slot
        SELECT t_ms - (t_ms % 900000 + 900000) % 900000, device, agent, provider, model, count(*),
            sum(input), sum(output), sum(cache_read), sum(cache_write),
            total(iif(cost_basis = 'reported', cost_usd, 0)),
            sum(iif(cost_basis = 'reported' AND cost_usd IS NOT NULL, 0, input)),
            sum(iif(cost_basis = 'reported' AND cost_usd IS NOT NULL, 0, output)),
            sum(iif(cost_basis = 'reported' AND cost_usd IS NOT NULL, 0, cache_read)),
            sum(iif(cost_basis = 'reported' AND cost_usd IS NOT NULL, 0, cache_write))
        FROM usage_event GROUP BY 1, 2, 3, 4, 5;
    INSERT INTO usage_day
        SELECT t_ms - (t_ms % 86400000 + 86400000) % 86400000, device, agent, provider, model, sum(messages),
            sum(input), sum(output), sum(cache_read), sum(cache_write), sum(reported_usd),
            sum(open_input), sum(open_output), sum(open_cache_read), sum(open_cache_write)
        FROM usage_slot GROUP BY 1, 2, 3, 4, 5;
    -- US dollars per million tokens. The row without a pattern is the default.
    CREATE TABLE price (
        provider TEXT,
        model TEXT,
        from_ms INTEGER,
        input REAL NOT NULL,
        output REAL NOT NULL,
        cache_read REAL NOT NULL,
        cache_write REAL NOT NULL
    ) STRICT;
    INSERT INTO price VALUES (NULL, NULL, NULL, 1, 1, 1, 1);
    ", "
    -- Lines that say the same share a template, whose number is its fingerprint; 0: not known yet.
    CREATE TABLE log_template (id INTEGER PRIMARY KEY, source TEXT NOT NULL, template TEXT NOT NULL) STRICT;
    ALTER TABLE log ADD COLUMN template INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX log_by_template ON log (template, t_ms, id, device, level);
    -- Which lines have which three letters in a row; the texts themselves stay in `log`.
    CREATE VIRTUAL TABLE log_text USING fts5
        (message, content = 'log', content_rowid = 'id', tokenize = 'trigram', detail = 'none', columnsize = 0);
    INSERT INTO log_text (log_text) VALUES ('rebuild');
    CREATE TRIGGER log_added AFTER INSERT ON log BEGIN
        INSERT INTO log_text (rowid, message) VALUES (new.id, new.message);
    END;
    CREATE TRIGGER log_removed AFTER DELETE ON log BEGIN
        INSERT INTO log_text (log_text, rowid, message) VALUES ('delete', old.id, old.message);
    END;
    -- Of all lines: their texts twice (row and index) and 128 for each.
    UPDATE state SET log_bytes =
        (SELECT coalesce(sum(2 * (octet_length(source) + octet_length(message)) + 128), 0) FROM log);
    ", "
    CREATE TABLE enroll_code (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        code_hash BLOB NOT NULL UNIQUE,
        name TEXT NOT NULL,
        device_type TEXT NOT NULL,
        tags TEXT NOT NULL,
        notes TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL,
        used_ms INTEGER,
        device INTEGER
    ) STRICT;
    ", "
    CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    ", "
    -- Ranges whose rows arrived much later than their time, with the event that tells of it.
    CREATE TABLE filled (
        device INTEGER NOT NULL,
        from_ms INTEGER NOT NULL,
        to_ms INTEGER NOT NULL,
        rows INTEGER NOT NULL,
        event INTEGER NOT NULL,
        PRIMARY KEY (device, from_ms)
    ) STRICT, WITHOUT ROWID;
    ", "
    -- Devices whose deletion was begun: they are not there any more, and what is left of them is still to go.
    CREATE TABLE deletion (device INTEGER PRIMARY KEY) STRICT;
    "],
};
