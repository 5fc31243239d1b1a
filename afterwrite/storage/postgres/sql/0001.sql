-- PostgreSQL, version 1: products, journal, ledger, tasks and the processes at work, in a schema of its own.
-- Texts are compared byte by byte (COLLATE "C"), as SQLite does: so the order is the same on every machine.

CREATE TABLE afterwrite.meta (
    name text COLLATE "C" PRIMARY KEY,
    value text COLLATE "C" NOT NULL
);
INSERT INTO afterwrite.meta (name, value) VALUES
    ('catalogue', replace(gen_random_uuid()::text, '-', '')),
    -- Idempotency keys for others begin with this name, so that two installations never share one.
    ('store', left(replace(gen_random_uuid()::text, '-', ''), 16));

-- Made once and shared by every process: what signs webhooks and sessions.
CREATE TABLE afterwrite.secrets (
    name text COLLATE "C" PRIMARY KEY,
    value text COLLATE "C" NOT NULL
);

CREATE TABLE afterwrite.ended_sessions (
    id text COLLATE "C" PRIMARY KEY,
    ended_at_us bigint NOT NULL
);

-- Products -----------------------------------------------------------------------------------------------------

CREATE SEQUENCE afterwrite.product_ids;
CREATE TABLE afterwrite.products (
    id bigint PRIMARY KEY,
    title text COLLATE "C" NOT NULL CHECK (title <> ''),
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    description text COLLATE "C",
    category text COLLATE "C",
    image text COLLATE "C",
    rating_rate double precision CHECK (rating_rate BETWEEN 0 AND 5),
    rating_count bigint CHECK (rating_count >= 0),
    created_at_us bigint NOT NULL,
    updated_at_us bigint NOT NULL,
    version bigint NOT NULL,
    search_text text COLLATE "C" NOT NULL
);
CREATE INDEX products_by_category ON afterwrite.products (category, id);
CREATE INDEX products_by_price ON afterwrite.products (price_minor, id);
CREATE INDEX products_by_title ON afterwrite.products (lower(title), id);
CREATE INDEX products_search ON afterwrite.products USING gin (search_text gin_trgm_ops);

-- Writes -------------------------------------------------------------------------------------------------------

-- The journal: accepted writes that wait. A write leaves it in the transaction that puts it into the ledger.
CREATE SEQUENCE afterwrite.write_ids;
CREATE TABLE afterwrite.writes (
    id bigint PRIMARY KEY,
    operation text COLLATE "C" NOT NULL,
    product_id bigint NOT NULL,
    arguments text COLLATE "C" NOT NULL,
    accepted_at_us bigint NOT NULL,
    retry_of bigint,
    accepted_by text COLLATE "C"
);

-- One request has one key; its writes have consecutive ids.
CREATE TABLE afterwrite.idempotency_keys (
    key text COLLATE "C" PRIMARY KEY,
    fingerprint text COLLATE "C" NOT NULL,
    first_write_id bigint NOT NULL,
    writes bigint NOT NULL,
    used_at_us bigint NOT NULL
);
CREATE INDEX idempotency_keys_by_age ON afterwrite.idempotency_keys (used_at_us);

-- What ever came into the journal, and what was settled: the difference waits. Who accepts holds the first row
-- until its commit, so ids are given and become visible in one order; who drains writes the second one.
CREATE TABLE afterwrite.journal_accepted (
    one int PRIMARY KEY CHECK (one = 1),
    writes bigint NOT NULL,
    size_bytes bigint NOT NULL,
    last_write_id bigint NOT NULL
);
INSERT INTO afterwrite.journal_accepted VALUES (1, 0, 0, 0);
CREATE TABLE afterwrite.journal_settled (
    one int PRIMARY KEY CHECK (one = 1),
    writes bigint NOT NULL,
    size_bytes bigint NOT NULL,
    through bigint NOT NULL,
    -- Who drains, until when it may be thought alive, and whether it sleeps until it is told of a write.
    drainer text COLLATE "C",
    until_us bigint NOT NULL,
    sleeps boolean NOT NULL
);
INSERT INTO afterwrite.journal_settled VALUES (1, 0, 0, 0, NULL, 0, true);

CREATE TABLE afterwrite.ledger (
    id bigint PRIMARY KEY,
    operation text COLLATE "C" NOT NULL,
    product_id bigint NOT NULL,
    arguments text COLLATE "C" NOT NULL,
    accepted_at_us bigint NOT NULL,
    retry_of bigint,
    status text COLLATE "C" NOT NULL CHECK (status IN ('APPLIED', 'FAILED')),
    error_code text COLLATE "C",
    error_message text COLLATE "C",
    settled_at_us bigint NOT NULL,
    accepted_by text COLLATE "C"
);
CREATE INDEX ledger_by_product ON afterwrite.ledger (product_id, id);
CREATE INDEX ledger_failed ON afterwrite.ledger (id) WHERE status = 'FAILED';
CREATE INDEX ledger_by_name ON afterwrite.ledger (accepted_by, id) WHERE accepted_by IS NOT NULL;
CREATE INDEX ledger_failed_by_name ON afterwrite.ledger (accepted_by, id)
    WHERE accepted_by IS NOT NULL AND status = 'FAILED';
CREATE TABLE afterwrite.ledger_totals (
    status text COLLATE "C" PRIMARY KEY,
    writes bigint NOT NULL
);
INSERT INTO afterwrite.ledger_totals (status, writes) VALUES ('APPLIED', 0), ('FAILED', 0);

-- The figures of the last minutes, for charts: of each bucket of seconds what was settled in it, by whichever process.
CREATE TABLE afterwrite.recent_figures (
    bucket bigint NOT NULL,
    process text COLLATE "C" NOT NULL,
    figures text COLLATE "C" NOT NULL,
    PRIMARY KEY (bucket, process)
);

-- Accept requests, each with all of its writes or none, in one transaction. Requests are numbered from 1; the writes of
-- all of them stand one behind the other. What became of a request: ACCEPTED with the ids of its writes (consecutive from
-- ``first_id``) and of their products; KNOWN with what its key was used for; FULL with what waits.
CREATE FUNCTION afterwrite.accept_writes(
    keys text[], fingerprints text[], counts bigint[], sizes bigint[], names text[],
    operations text[], given_product_ids bigint[], given_arguments text[], retries bigint[],
    max_writes bigint, max_bytes bigint
) RETURNS TABLE (
    outcome text, first_id bigint, writes bigint, fingerprint text, new_product_ids bigint[], at_us bigint, size_bytes bigint
) LANGUAGE plpgsql AS $$
DECLARE
    waiting bigint;
    waiting_bytes bigint;
    added bigint := 0;
    added_bytes bigint := 0;
    is_asleep boolean;
    now_us bigint;
    place bigint := 1;
    ids bigint[];
    last_id bigint;
BEGIN
    PERFORM 1 FROM afterwrite.journal_accepted FOR UPDATE;
    -- After the lock: who held it before has committed.
    SELECT a.writes - s.writes, a.size_bytes - s.size_bytes, s.sleeps
        INTO waiting, waiting_bytes, is_asleep
        FROM afterwrite.journal_accepted AS a, afterwrite.journal_settled AS s;
    now_us := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
    FOR number IN 1 .. cardinality(counts) LOOP
        at_us := now_us;
        fingerprint := NULL;
        new_product_ids := NULL;
        size_bytes := NULL;
        outcome := NULL;
        IF keys[number] IS NOT NULL THEN
            SELECT 'KNOWN', k.first_write_id, k.writes, k.fingerprint
                INTO outcome, first_id, writes, fingerprint
                FROM afterwrite.idempotency_keys AS k WHERE k.key = keys[number];
        END IF;
        IF outcome IS NULL THEN
            IF waiting + added + counts[number] > max_writes OR waiting_bytes + added_bytes + sizes[number] > max_bytes THEN
                outcome := 'FULL';
                first_id := NULL;
                writes := waiting + added;
                size_bytes := waiting_bytes + added_bytes;
            ELSE
                outcome := 'ACCEPTED';
                SELECT coalesce(array_agg(nextval('afterwrite.write_ids')), '{}') INTO ids
                    FROM generate_series(1, counts[number]);
                SELECT array_agg(coalesce(given_product_ids[at], nextval('afterwrite.product_ids')) ORDER BY at)
                    INTO new_product_ids FROM generate_series(place, place + counts[number] - 1) AS at;
                first_id := ids[1];
                last_id := coalesce(ids[counts[number]], last_id);
                writes := counts[number];
                INSERT INTO afterwrite.writes
                    SELECT ids[at], operations[place + at - 1], new_product_ids[at], given_arguments[place + at - 1],
                        now_us, retries[place + at - 1], names[number]
                    FROM generate_series(1, counts[number]) AS at;
                IF keys[number] IS NOT NULL AND counts[number] > 0 THEN
                    INSERT INTO afterwrite.idempotency_keys
                        VALUES (keys[number], fingerprints[number], first_id, counts[number], now_us);
                END IF;
                added := added + counts[number];
                added_bytes := added_bytes + sizes[number];
            END IF;
        END IF;
        place := place + counts[number];
        RETURN NEXT;
    END LOOP;
    IF added > 0 THEN
        UPDATE afterwrite.journal_accepted AS a SET
            writes = a.writes + added,
            size_bytes = a.size_bytes + added_bytes,
            last_write_id = last_id;
        IF is_asleep THEN
            PERFORM pg_notify('afterwrite_accepted', '');
        END IF;
    END IF;
END $$;

-- Let the drainer sleep unless a write waits; whoever is accepting one at this moment is waited for.
CREATE FUNCTION afterwrite.let_drainer_sleep(who text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    last_accepted bigint;
BEGIN
    SELECT last_write_id INTO last_accepted FROM afterwrite.journal_accepted FOR UPDATE;
    UPDATE afterwrite.journal_settled SET sleeps = true WHERE drainer = who AND through >= last_accepted;
    RETURN FOUND;
END $$;

-- Tasks --------------------------------------------------------------------------------------------------------

CREATE SEQUENCE afterwrite.task_ids;
CREATE TABLE afterwrite.tasks (
    id bigint PRIMARY KEY,
    type text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL
        CHECK (status IN ('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED', 'CANCELLED')),
    progress bigint NOT NULL CHECK (progress BETWEEN 0 AND 100),
    stage text COLLATE "C",
    payload_json text COLLATE "C" NOT NULL,
    result_json text COLLATE "C",
    error_code text COLLATE "C",
    error_message text COLLATE "C",
    error_is_final bigint NOT NULL,
    attempt bigint NOT NULL,
    max_attempts bigint NOT NULL,
    priority bigint NOT NULL,
    run_at_us bigint NOT NULL,
    -- 1: may be claimed now. PENDING and 0: waits for run_at_us.
    ready bigint NOT NULL CHECK (ready = 0 OR (ready = 1 AND status = 'PENDING')),
    cancel_asked bigint NOT NULL,
    correlation_id text COLLATE "C",
    callback_url text COLLATE "C",
    idempotency_key text COLLATE "C",
    renewals bigint NOT NULL,
    claim bigint NOT NULL,
    locked_by text COLLATE "C",
    locked_at_us bigint,
    created_at_us bigint NOT NULL,
    updated_at_us bigint NOT NULL,
    started_at_us bigint,
    finished_at_us bigint,
    search_text text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C",
    created_by text COLLATE "C",
    CHECK ((status = 'PROCESSING') = (locked_by IS NOT NULL)),
    CHECK ((locked_by IS NULL) = (locked_at_us IS NULL)),
    CHECK ((status IN ('COMPLETED', 'FAILED', 'CANCELLED')) = (finished_at_us IS NOT NULL))
);
-- The order of claims: whatever else is in the table, a claim reads just the rows that it takes.
CREATE INDEX tasks_ready ON afterwrite.tasks (type, priority DESC, run_at_us, id) WHERE ready = 1;
CREATE INDEX tasks_scheduled ON afterwrite.tasks (run_at_us) WHERE status = 'PENDING' AND ready = 0;
CREATE INDEX tasks_locked ON afterwrite.tasks (locked_at_us) WHERE locked_by IS NOT NULL;
CREATE INDEX tasks_finished ON afterwrite.tasks (finished_at_us) WHERE finished_at_us IS NOT NULL;
CREATE INDEX tasks_by_status ON afterwrite.tasks (status, id);
CREATE INDEX tasks_by_type ON afterwrite.tasks (type, status, id);
CREATE INDEX tasks_by_correlation ON afterwrite.tasks (correlation_id, id) WHERE correlation_id IS NOT NULL;
CREATE UNIQUE INDEX tasks_by_key ON afterwrite.tasks (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX tasks_by_creator ON afterwrite.tasks (created_by, id) WHERE created_by IS NOT NULL;

-- Once for a statement, however many tasks it adds: a type that may be claimed, and the earliest time of those that wait.
CREATE FUNCTION afterwrite.tell_of_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('afterwrite_tasks', 'ready ' || found.type)
        FROM (SELECT DISTINCT type FROM added WHERE ready = 1) AS found;
    PERFORM pg_notify('afterwrite_tasks', 'due ' || found.earliest)
        FROM (SELECT min(run_at_us) AS earliest FROM added WHERE ready = 0) AS found
        WHERE found.earliest IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER tasks_added AFTER INSERT ON afterwrite.tasks
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION afterwrite.tell_of_tasks();

CREATE TABLE afterwrite.paused_task_types (
    type text COLLATE "C" PRIMARY KEY,
    paused_by text COLLATE "C",
    paused_at_us bigint
);

-- Without a task: what was done to a type; without a type too: to tasks of every type.
CREATE SEQUENCE afterwrite.task_action_ids;
CREATE TABLE afterwrite.task_actions (
    id bigint PRIMARY KEY,
    task_id bigint,
    type text COLLATE "C",
    action text COLLATE "C" NOT NULL
        CHECK (action IN ('CANCEL', 'RETRY', 'EDIT', 'PAUSE', 'RESUME', 'PRUNE')),
    "by" text COLLATE "C",
    at_us bigint NOT NULL,
    CHECK (task_id IS NULL OR type IS NOT NULL)
);
CREATE INDEX task_actions_of_task ON afterwrite.task_actions (task_id, id);
CREATE INDEX task_actions_by_name ON afterwrite.task_actions ("by", id);

-- What came to our own webhook receiver: the last hundred tries, newest with the greatest id.
CREATE TABLE afterwrite.received_webhooks (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    received_at_us bigint NOT NULL,
    event_id text COLLATE "C",
    correlation_id text COLLATE "C",
    -- when the sender says that it made this try, in seconds
    timestamp bigint,
    verdict text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL CHECK (octet_length(body) <= 65536)
);

-- Processes ----------------------------------------------------------------------------------------------------

-- One row for each process; who has not written it for a while is gone.
CREATE TABLE afterwrite.processes (
    name text COLLATE "C" PRIMARY KEY,
    role text COLLATE "C" NOT NULL,
    host text COLLATE "C" NOT NULL,
    pid bigint NOT NULL,
    version text COLLATE "C" NOT NULL,
    started_at_us bigint NOT NULL,
    beat_at_us bigint NOT NULL,
    doing text COLLATE "C" NOT NULL
);
