"""Updates the search index of a resource asynchronously, in batches between the writes.

The index has three parts, all over the folded text of a record:

- ``…_fts``: its trigrams, and two for its last two characters, which begin none otherwise.
- ``…_search_phrases``: where each word begins, the next characters of the text, across words.
- ``…_search_words``: every word that any record has had, with the trigrams of the words. No word is ever removed.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import aiosqlite

PHRASE = 16
"""The most characters of a phrase."""
TEXT_END = "\x1f\x1f"
"""What stands after an indexed text, so that a trigram begins at each of its characters."""
WORD_END = "\x1f\x1f"
"""What stands after an indexed word: so words that end with a text, be it one letter, have trigrams of their own."""

# Fixed ranges: those of ``\\w`` grow with each version of Unicode, and an index outlives them. Scripts that put no
# spaces between words are left out; their trigrams are rare enough.
_LETTER = "0-9a-z\xc0-\u0dff\u10a0-\u1fff\uac00-\ud7ff"
_BETWEEN = "\x1e"  # between the phrases of a record; in no stored text, and a phrase ends before it
WORD = re.compile(f"[{_LETTER}]+")
"""A word of a folded text."""
_PHRASES = re.compile(f"(?<![{_LETTER}])(?=([{_LETTER}][^\0{_BETWEEN}]{{0,{PHRASE - 1}}}))")
_TOKEN_CHARACTERS = "".join(chr(code) for code in range(1, 128) if chr(code) != _BETWEEN)


def phrases(text: str) -> list[str]:
    """The phrases of a folded text, in their order, for each word one."""
    return _PHRASES.findall(text)


def index_tables(table: str) -> list[str]:
    """The statements that create the search index of a table.

    The index follows the records in batches of its own. It holds every record up to ``indexed_through`` as it was when
    it was indexed; ``…_search_behind`` names those of them that have changed since, with the text that the index still
    holds (null: none).
    """
    trigrams = "trigram case_sensitive 1"
    between = "ascii tokenchars '" + _TOKEN_CHARACTERS.replace("'", "''") + "'"
    words = f"{table}_search_words"
    return [
        _full_text(f"{table}_fts", trigrams),
        f"CREATE VIRTUAL TABLE {table}_fts_terms USING fts5vocab({table}_fts, instance)",
        _full_text(f"{table}_search_phrases", between),
        f"CREATE VIRTUAL TABLE {table}_search_phrases_terms USING fts5vocab({table}_search_phrases, instance)",
        f"CREATE TABLE {words} (id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE) STRICT",
        _full_text(f"{words}_fts", trigrams),
        f"CREATE TABLE {table}_search_state (one INTEGER PRIMARY KEY CHECK (one = 1), "
        "indexed_through INTEGER NOT NULL) STRICT",
        f"INSERT INTO {table}_search_state (one, indexed_through) VALUES (1, 0)",  # noqa: S608 - a declared name
        f"CREATE TABLE {table}_search_behind (record_id INTEGER PRIMARY KEY, indexed_text TEXT) STRICT",
    ]


def index_names(table: str) -> list[str]:
    """The tables of the search index of a table, in an order in which they can be dropped."""
    names = ("fts_terms", "search_phrases_terms", "fts", "search_phrases", "search_words_fts", "search_words")
    return [f"{table}_{name}" for name in (*names, "search_state", "search_behind")]


def _full_text(name: str, tokenizer: str) -> str:
    """The statement for an FTS5 table that holds for each token the records that have it."""
    quoted = tokenizer.replace('"', '""')
    options = f"content = '', columnsize = 0, detail = none, tokenize = \"{quoted}\""
    return f"CREATE VIRTUAL TABLE {name} USING fts5(search_text, {options})"


class _Entries(NamedTuple):
    """What the index holds of some texts."""

    trigrams: list[tuple[int, str]]
    phrases: list[tuple[int, str]]
    words: list[tuple[str]]


class SearchIndex:
    """The search index of one table, in an open transaction."""

    def __init__(self, table: str) -> None:
        state, behind = f"{table}_search_state", f"{table}_search_behind"
        parts, words = (f"{table}_fts", f"{table}_search_phrases"), f"{table}_search_words"
        self._through = f"SELECT indexed_through FROM {state}"  # noqa: S608 - declared names, here and below
        # Keep an existing record: it has the text that is in the index.
        self._note = (
            f"INSERT INTO {behind} (record_id, indexed_text) "  # noqa: S608
            f"VALUES (?, (SELECT search_text FROM {table} WHERE id = ?)) ON CONFLICT DO NOTHING"
        )
        self._stale = (
            f"SELECT record_id, indexed_text, search_text FROM {behind} "  # noqa: S608
            f"LEFT JOIN {table} ON id = record_id ORDER BY record_id LIMIT ?"
        )
        self._tail = f"SELECT id, search_text FROM {table} WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608
        self._drop = [f"INSERT INTO {part} ({part}, rowid, search_text) VALUES ('delete', ?, ?)" for part in parts]  # noqa: S608
        self._add = [f"INSERT INTO {part} (rowid, search_text) VALUES (?, ?)" for part in parts]  # noqa: S608
        self._last_word = f"SELECT coalesce(max(id), 0) FROM {words}"  # noqa: S608
        self._add_word = f"INSERT INTO {words} (word) VALUES (?) ON CONFLICT DO NOTHING"  # noqa: S608
        self._add_trigrams_of_words = (
            f"INSERT INTO {words}_fts (rowid, search_text) SELECT id, word || ? FROM {words} WHERE id > ?"  # noqa: S608
        )
        self._forget = f"DELETE FROM {behind} WHERE record_id <= ?"  # noqa: S608
        self._advance = f"UPDATE {state} SET indexed_through = ?"  # noqa: S608

    async def note_stale(self, db: aiosqlite.Connection, record_ids: Iterable[int]) -> None:
        """Record what is about to change, with its indexed text; call it in the same transaction, first.

        Records above ``indexed_through`` need no note: every search scans that tail.
        """
        indexed_through = await self._indexed_through(db)
        noted = [(record_id, record_id) for record_id in record_ids if record_id <= indexed_through]
        if noted:
            await db.executemany(self._note, noted)

    async def index_next(self, db: aiosqlite.Connection, limit: int) -> int:
        """Index up to ``limit`` changed records, or else of the tail; return their number."""
        return await self._index_changes(db, limit) or await self._index_tail(db, limit)

    async def _index_changes(self, db: aiosqlite.Connection, limit: int) -> int:
        rows = list(await db.execute_fetchall(self._stale, (limit,)))
        if not rows:
            return 0
        before = _entries([(row[0], row[1]) for row in rows if row[1] is not None])
        for drop, entries in zip(self._drop, before[:2], strict=True):
            await db.executemany(drop, entries)
        await self._add_texts(db, [(row[0], row[2]) for row in rows if row[2] is not None])
        await db.execute(self._forget, (rows[-1][0],))
        return len(rows)

    async def _index_tail(self, db: aiosqlite.Connection, limit: int) -> int:
        rows = list(await db.execute_fetchall(self._tail, (await self._indexed_through(db), limit)))
        if rows:
            await self._add_texts(db, [(row[0], row[1]) for row in rows])
            await db.execute(self._advance, (rows[-1][0],))
        return len(rows)

    async def _add_texts(self, db: aiosqlite.Connection, texts: Sequence[tuple[int, str]]) -> None:
        added = _entries(texts)
        for add, entries in zip(self._add, added[:2], strict=True):
            await db.executemany(add, entries)
        [(last_word,)] = await db.execute_fetchall(self._last_word)
        await db.executemany(self._add_word, added.words)
        await db.execute(self._add_trigrams_of_words, (WORD_END, last_word))

    async def _indexed_through(self, db: aiosqlite.Connection) -> int:
        [(value,)] = await db.execute_fetchall(self._through)
        return int(value)


def _entries(texts: Sequence[tuple[int, str]]) -> _Entries:
    """The entries of texts, given with the ids of their records."""
    words: set[str] = set()
    for _, text in texts:
        words.update(WORD.findall(text))
    return _Entries(
        [(record_id, text + TEXT_END) for record_id, text in texts],
        [(record_id, _BETWEEN.join(set(phrases(text)))) for record_id, text in texts],
        [(word,) for word in sorted(words)],
    )
