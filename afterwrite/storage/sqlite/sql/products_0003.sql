-- The product database, version 3: texts are composed (NFC), so that all spellings of a text are one. What was stored as
-- it was sent is brought into that form, and noted for the search index, which holds the old one.
-- composed, are_composed and search_text are ours (database/sqlite/migrations.py).

CREATE TEMP TABLE uncomposed AS
    SELECT id FROM products WHERE NOT are_composed(title, description, category, search_text);
INSERT INTO search_behind (product_id, indexed_text)
    SELECT id, search_text FROM products
    WHERE id IN (SELECT id FROM uncomposed) AND id <= (SELECT indexed_through FROM search_state)
    ON CONFLICT DO NOTHING;
UPDATE products SET
    title = composed(title),
    description = composed(description),
    category = composed(category),
    search_text = search_text(title, description, category)
    WHERE id IN (SELECT id FROM uncomposed);
DROP TABLE uncomposed;
