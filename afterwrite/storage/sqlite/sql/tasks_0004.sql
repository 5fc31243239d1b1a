-- The task database, version 4: what searches look in is composed (NFC), as what is searched for.

UPDATE tasks SET search_text = composed(search_text) WHERE NOT are_composed(search_text);
