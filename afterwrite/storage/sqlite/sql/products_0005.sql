-- The product database, version 5: the tasks that applied writes made, as a JSON array, until the task database has them.

CREATE TABLE outbox (
    write_id INTEGER PRIMARY KEY,
    tasks TEXT NOT NULL
) STRICT;
