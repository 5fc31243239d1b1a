-- PostgreSQL, version 2: who waits to accept says so after a time, instead of holding its request up for ever.

ALTER FUNCTION afterwrite.accept_writes SET lock_timeout = '15s';
