-- PostgreSQL, version 4: texts are composed (NFC), so that all spellings of a text are one. What was stored as it was sent
-- is brought into that form. Only UTF8 can hold another one that PostgreSQL can tell.

DO $$
BEGIN
    IF current_setting('server_encoding') = 'UTF8' THEN
        UPDATE afterwrite.products SET
            title = normalize(title),
            description = normalize(description),
            category = normalize(category),
            search_text = normalize(search_text)
            WHERE title IS NOT NORMALIZED OR description IS NOT NORMALIZED OR category IS NOT NORMALIZED
                OR search_text IS NOT NORMALIZED;
        UPDATE afterwrite.tasks SET search_text = normalize(search_text) WHERE search_text IS NOT NORMALIZED;
    END IF;
END $$;
