-- The task database, version 3: the trace that a task belongs to (W3C Trace Context).

ALTER TABLE tasks ADD COLUMN traceparent TEXT;
