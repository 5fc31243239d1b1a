-- The product database, version 6: the search index has other parts. It is made again for each resource
-- (storage/sqlite/declared.py), and follows the records in the background; until then searches scan them.

DROP TABLE products_fts;
