-- The product database, version 2: who had a write accepted. An index ends with the row's id, so a page of one
-- name or one product, newest first, is read as it stands there.

ALTER TABLE ledger ADD COLUMN accepted_by TEXT;
CREATE INDEX ledger_by_name ON ledger (accepted_by) WHERE accepted_by IS NOT NULL;
CREATE INDEX ledger_failed_by_name ON ledger (accepted_by) WHERE accepted_by IS NOT NULL AND status = 'FAILED';
