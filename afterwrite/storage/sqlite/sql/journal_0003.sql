-- The journal, version 3: writes of any resource; those that wait are of products.

ALTER TABLE writes RENAME COLUMN product_id TO record_id;
ALTER TABLE writes ADD COLUMN resource TEXT NOT NULL DEFAULT 'Product';
ALTER TABLE writes ADD COLUMN if_version INTEGER;
