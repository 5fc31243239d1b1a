-- PostgreSQL, version 3: the trace that a task belongs to, and what runs of Airflow do for the tasks of processes.

ALTER TABLE afterwrite.tasks ADD COLUMN traceparent text COLLATE "C";

-- One for each run that was asked for. Who publishes a request takes its name here first, so no two tasks have one run.
CREATE TABLE afterwrite.process_runs (
    run_id text COLLATE "C" PRIMARY KEY,
    task_id bigint NOT NULL REFERENCES afterwrite.tasks ON DELETE CASCADE,
    verdict_json text COLLATE "C",
    -- The outcome: a report, or an error.
    report_json text COLLATE "C",
    error_code text COLLATE "C",
    error_message text COLLATE "C",
    asked_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CHECK (report_json IS NULL OR error_code IS NULL),
    CHECK ((ended_at IS NOT NULL) = (report_json IS NOT NULL OR error_code IS NOT NULL))
);
CREATE INDEX process_runs_by_task ON afterwrite.process_runs (task_id);

-- The payload in parts, and what the transforming tasks make of them for the storing one, which removes it all.
CREATE TABLE afterwrite.process_parts (
    run_id text COLLATE "C" NOT NULL REFERENCES afterwrite.process_runs ON DELETE CASCADE,
    first_index bigint NOT NULL,
    items_json text COLLATE "C" NOT NULL,
    descriptions_json text COLLATE "C",
    PRIMARY KEY (run_id, first_index)
);

-- Every product that was processed; the report has those that its limit leaves room for.
CREATE TABLE afterwrite.processed_products (
    run_id text COLLATE "C" NOT NULL REFERENCES afterwrite.process_runs ON DELETE CASCADE,
    index bigint NOT NULL,
    product jsonb NOT NULL,
    PRIMARY KEY (run_id, index)
);
