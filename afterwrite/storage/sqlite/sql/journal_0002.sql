-- The journal, version 2: who had a write accepted.

ALTER TABLE writes ADD COLUMN accepted_by TEXT;
