-- The task database, version 5: the id of the last write whose tasks it has.

INSERT INTO meta (name, value) VALUES ('outbox_through', '0');
