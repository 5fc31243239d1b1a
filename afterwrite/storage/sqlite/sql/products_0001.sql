-- The product database, version 1: products with their search index, and the ledger of settled writes.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
-- The journal remembers this name, so that it is never drained into another catalogue.
INSERT INTO meta (name, value) VALUES ('catalogue', lower(hex(randomblob(16))));

CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL CHECK (title <> ''),
    price_minor INTEGER NOT NULL CHECK (price_minor >= 0),
    description TEXT,
    category TEXT,
    image TEXT,
    rating_rate REAL CHECK (rating_rate BETWEEN 0 AND 5),
    rating_count INTEGER CHECK (rating_count >= 0),
    created_at_us INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    version INTEGER NOT NULL,
    search_text TEXT NOT NULL
) STRICT;
CREATE INDEX products_by_category ON products (category);
CREATE INDEX products_by_price ON products (price_minor);
CREATE INDEX products_by_title ON products (title COLLATE NOCASE);

-- The search index follows the products in batches of its own. It holds every product up to
-- search_state.indexed_through as it was when it was indexed; search_behind names those of them that have
-- changed since, with the text that the index still holds (null: none).
CREATE VIRTUAL TABLE products_fts USING fts5(
    search_text, content = '', columnsize = 0, detail = none, tokenize = "trigram case_sensitive 1"
);
CREATE TABLE search_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    indexed_through INTEGER NOT NULL
) STRICT;
INSERT INTO search_state (one, indexed_through) VALUES (1, 0);
CREATE TABLE search_behind (
    product_id INTEGER PRIMARY KEY,
    indexed_text TEXT
) STRICT;

CREATE TABLE ledger (
    id INTEGER PRIMARY KEY,
    operation TEXT NOT NULL,
    product_id INTEGER NOT NULL,
    arguments TEXT NOT NULL,
    accepted_at_us INTEGER NOT NULL,
    retry_of INTEGER,
    status TEXT NOT NULL CHECK (status IN ('APPLIED', 'FAILED')),
    error_code TEXT,
    error_message TEXT,
    settled_at_us INTEGER NOT NULL
) STRICT;
CREATE INDEX ledger_by_product ON ledger (product_id);
CREATE INDEX ledger_failed ON ledger (id) WHERE status = 'FAILED';
CREATE TABLE ledger_totals (
    status TEXT PRIMARY KEY,
    writes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO ledger_totals (status, writes) VALUES ('APPLIED', 0), ('FAILED', 0);
