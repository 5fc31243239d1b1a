-- PostgreSQL, version 5: records of any resource. What there was is the resource Product; tables of others are created
-- from their declarations (storage/declared_tables.py).

ALTER TABLE afterwrite.writes RENAME COLUMN product_id TO record_id;
ALTER TABLE afterwrite.writes ADD COLUMN resource text COLLATE "C" NOT NULL DEFAULT 'Product';
ALTER TABLE afterwrite.writes ADD COLUMN if_version bigint;

ALTER TABLE afterwrite.ledger RENAME COLUMN product_id TO record_id;
ALTER TABLE afterwrite.ledger ADD COLUMN resource text COLLATE "C" NOT NULL DEFAULT 'Product';
ALTER TABLE afterwrite.ledger ADD COLUMN if_version bigint;
DROP INDEX afterwrite.ledger_by_product;
CREATE INDEX ledger_by_record ON afterwrite.ledger (resource, record_id, id);
CREATE INDEX ledger_by_resource ON afterwrite.ledger (resource, id);

ALTER SEQUENCE afterwrite.product_ids RENAME TO products_ids;

-- The declarations that the tables follow, as JSON.
CREATE TABLE afterwrite.resources (
    name text COLLATE "C" PRIMARY KEY,
    table_name text COLLATE "C" NOT NULL,
    declaration text COLLATE "C" NOT NULL
);
INSERT INTO afterwrite.resources (name, table_name, declaration) VALUES ('Product', 'products', '{}');

DROP FUNCTION afterwrite.accept_writes;

-- Accept requests, each with all of its writes or none, in one transaction. Requests are numbered from 1; the writes of
-- all of them stand one behind the other. What became of a request: ACCEPTED with the ids of its writes (consecutive from
-- ``first_id``) and of their records; KNOWN with what its key was used for; FULL with what waits.
CREATE FUNCTION afterwrite.accept_writes(
    keys text[], fingerprints text[], counts bigint[], sizes bigint[], names text[],
    resource_names text[], operations text[], given_record_ids bigint[], given_arguments text[], retries bigint[],
    if_versions bigint[],
    max_writes bigint, max_bytes bigint
) RETURNS TABLE (
    outcome text, first_id bigint, writes bigint, fingerprint text, new_record_ids bigint[], at_us bigint, size_bytes bigint
) LANGUAGE plpgsql SET lock_timeout = '15s' AS $$
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
        new_record_ids := NULL;
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
                -- No join, which could number the writes in another order.
                SELECT array_agg(coalesce(given_record_ids[at], nextval((
                        SELECT format('afterwrite.%I', r.table_name || '_ids')
                        FROM afterwrite.resources AS r WHERE r.name = resource_names[at])::regclass)) ORDER BY at)
                    INTO new_record_ids FROM generate_series(place, place + counts[number] - 1) AS at;
                first_id := ids[1];
                last_id := coalesce(ids[counts[number]], last_id);
                writes := counts[number];
                INSERT INTO afterwrite.writes (
                    id, operation, record_id, arguments, accepted_at_us, retry_of, accepted_by, resource, if_version)
                    SELECT ids[at], operations[place + at - 1], new_record_ids[at], given_arguments[place + at - 1],
                        now_us, retries[place + at - 1], names[number], resource_names[place + at - 1],
                        if_versions[place + at - 1]
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
