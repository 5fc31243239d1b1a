-- The task database, version 1: durable tasks, and the types that are paused.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- Idempotency keys for others begin with this name, so that two installations never share one.
INSERT INTO meta (name, value) VALUES ('store', lower(hex(randomblob(8))));

CREATE TABLE tasks (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED')),
    progress INTEGER NOT NULL CHECK (progress BETWEEN 0 AND 100),
    stage TEXT,
    payload_json TEXT NOT NULL,
    result_json TEXT,
    error_code TEXT,
    error_message TEXT,
    error_is_final INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    run_at_us INTEGER NOT NULL,
    -- 1: may be claimed now. PENDING and 0: waits for run_at_us.
    ready INTEGER NOT NULL CHECK (ready = 0 OR (ready = 1 AND status = 'PENDING')),
    cancel_asked INTEGER NOT NULL,
    correlation_id TEXT,
    callback_url TEXT,
    idempotency_key TEXT,
    renewals INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    locked_by TEXT,
    locked_at_us INTEGER,
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    started_at_us INTEGER,
    finished_at_us INTEGER,
    search_text TEXT NOT NULL,
    fingerprint TEXT,
    CHECK ((status = 'PROCESSING') = (locked_by IS NOT NULL)),
    CHECK ((locked_by IS NULL) = (locked_at_us IS NULL)),
    CHECK ((status IN ('COMPLETED', 'FAILED', 'CANCELLED')) = (finished_at_us IS NOT NULL))
) STRICT;
-- The order of claims: whatever else is in the table, a claim reads just the rows that it takes.
CREATE INDEX tasks_ready ON tasks (type, priority DESC, run_at_us, id) WHERE ready = 1;
CREATE INDEX tasks_scheduled ON tasks (run_at_us) WHERE status = 'PENDING' AND ready = 0;
CREATE INDEX tasks_locked ON tasks (locked_at_us) WHERE locked_by IS NOT NULL;
CREATE INDEX tasks_finished ON tasks (finished_at_us) WHERE finished_at_us IS NOT NULL;
CREATE INDEX tasks_by_status ON tasks (status, id);
CREATE INDEX tasks_by_type ON tasks (type, status, id);
CREATE INDEX tasks_of_type ON tasks (type, id);
CREATE INDEX tasks_by_correlation ON tasks (correlation_id, id) WHERE correlation_id IS NOT NULL;
CREATE UNIQUE INDEX tasks_by_key ON tasks (idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE paused_task_types (
    type TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- What came to our own webhook receiver: the last hundred tries, newest with the greatest id.
CREATE TABLE received_webhooks (
    id INTEGER PRIMARY KEY,
    received_at_us INTEGER NOT NULL,
    event_id TEXT,
    correlation_id TEXT,
    -- when the sender says that it made this try, in seconds
    timestamp INTEGER,
    verdict TEXT NOT NULL,
    body TEXT NOT NULL CHECK (length(CAST(body AS BLOB)) <= 65536)
) STRICT;
