-- The journal, version 1: accepted writes that wait, and the idempotency keys that were used.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE writes (
    id INTEGER PRIMARY KEY,
    operation TEXT NOT NULL,
    product_id INTEGER NOT NULL,
    arguments TEXT NOT NULL,
    accepted_at_us INTEGER NOT NULL,
    retry_of INTEGER
) STRICT;

-- One request has one key; its writes have consecutive ids.
CREATE TABLE idempotency_keys (
    key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    first_write_id INTEGER NOT NULL,
    writes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (first_write_id);
