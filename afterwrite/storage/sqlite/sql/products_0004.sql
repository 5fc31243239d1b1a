-- The product database, version 4: records of any resource. What it has been is the resource Product; tables of others
-- are created from their declarations (storage/declared_tables.py).

ALTER TABLE ledger RENAME COLUMN product_id TO record_id;
ALTER TABLE ledger ADD COLUMN resource TEXT NOT NULL DEFAULT 'Product';
ALTER TABLE ledger ADD COLUMN if_version INTEGER;
DROP INDEX ledger_by_product;
CREATE INDEX ledger_by_record ON ledger (resource, record_id);
CREATE INDEX ledger_by_resource ON ledger (resource);

ALTER TABLE search_state RENAME TO products_search_state;
ALTER TABLE search_behind RENAME TO products_search_behind;
ALTER TABLE products_search_behind RENAME COLUMN product_id TO record_id;

-- The declarations that the tables follow, as JSON.
CREATE TABLE resources (
    name TEXT PRIMARY KEY,
    table_name TEXT NOT NULL,
    declaration TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO resources (name, table_name, declaration) VALUES ('Product', 'products', '{}');
