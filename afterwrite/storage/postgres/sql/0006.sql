-- Schema version 6: the tasks that applied writes made, as a JSON array, until they are in the queue; ``outbox_through`` is
-- the id of the last write whose tasks are there.

CREATE TABLE afterwrite.outbox (
    write_id bigint PRIMARY KEY,
    tasks text NOT NULL
);
INSERT INTO afterwrite.meta (name, value) VALUES ('outbox_through', '0');
