"""Exact substring search over the searched fields of a resource.

In SQLite an index (``sqlite/search_index.py``) yields candidates, and the case-folded ``search_text`` decides. Rows not
indexed yet (in ``…_search_behind``, and with an id above ``indexed_through`` in ``…_search_state``) are scanned.
PostgreSQL does the same internally: pg_trgm serves LIKE and keeps new entries in a pending list.

A part of the index is chosen by bounded counts of its entries. The phrases are asked first: a record with the term has
the phrase of each word that begins in the term, and of the word in which the term begins, which is one of those that
end with the beginning of the term or contain all of it. If few records have one of these, those are looked at. Else
those are that have all whole phrases of the term, or else all its trigrams, in the order of their ids.
"""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Subquery, Table, TextClause, bindparam, func, select, text

from afterwrite.base.text import folded
from afterwrite.resources.compiled import CompiledResource
from afterwrite.storage.columns import like_pattern
from afterwrite.storage.sqlite.search_index import PHRASE, WORD, WORD_END, phrases
from afterwrite.storage.tables import table_of

_GRAM = 3
_GRAMS_MAX = 16  # selective enough; every candidate is checked in full
# So many candidates are looked at: in the order of ids as they come, in others before they can be sorted.
_FEW_BY_ID, _FEW = 1_000, 3_000
_PHRASES_MAX, _WORDS_MAX = 4, 64
_LAST = "\U0010ffff"
_ONE_TO_TRIGRAMS = dict.fromkeys((0xFFFE, 0xFFFF), "\ufffd")  # the tokenizer of FTS5 does this
# CROSS JOIN and NOT INDEXED fix the plan: the search index or search_behind leads, and each of their few rows is
# looked up by id. Otherwise the planner walks the whole table by another index. All three parts are ordered by id, so
# that a page in that order reads no more rows than it returns.
_FOUND = """
    SELECT candidates.rowid AS id, {beside_id}
    FROM {candidates} AS candidates CROSS JOIN {table} NOT INDEXED ON {table}.id = candidates.rowid
    WHERE {sought} instr({table}.search_text, :term)
      AND candidates.rowid NOT IN (SELECT record_id FROM {table}_search_behind)
    UNION ALL
    SELECT {table}_search_behind.record_id, {beside_id}
    FROM {table}_search_behind CROSS JOIN {table} NOT INDEXED ON {table}.id = {table}_search_behind.record_id
    WHERE instr({table}.search_text, :term)
    UNION ALL
    SELECT {table}.id, {beside_id}
    FROM {table} NOT INDEXED
    WHERE {table}.id > (SELECT indexed_through FROM {table}_search_state) AND instr({table}.search_text, :term)
"""
_OF_CHARACTERS = "(SELECT DISTINCT doc AS rowid FROM {table}_fts_terms WHERE term BETWEEN :begin AND :end ORDER BY doc)"
# One row if there are more than the offset.
_MANY_TERMS = """
    SELECT 1 FROM json_each(?) AS begins CROSS JOIN {terms} AS terms
    WHERE terms.term BETWEEN begins.value AND begins.value || ? LIMIT 1 OFFSET ?
"""
_MANY_MATCHES = "SELECT 1 FROM {index} WHERE {index} MATCH ? LIMIT 1 OFFSET ?"
_WORDS = """
    SELECT word FROM {words}_fts AS candidates CROSS JOIN {words} ON {words}.id = candidates.rowid
    WHERE {words}_fts MATCH ? AND instr(word || ?, ?) LIMIT ?
"""


class Found(NamedTuple):
    """The records that match a term: a selectable with the columns of the table, and its bound values.

    ``walk``: they are so many that a page may rather be read by walking the table in its order; this is the condition
    on its records then, bound to the same values.
    """

    source: Table | Subquery
    values: dict[str, str]
    walk: ColumnElement[bool] | None = None


class Search:
    """The searches of one resource; see ``search_of``."""

    def __init__(self, resource: CompiledResource) -> None:
        self._table = table = table_of(resource)
        name = table.name
        self._by_grams = self._found(f"{name}_fts", f"candidates.{name}_fts MATCH :match AND")
        self._by_phrases = self._found(f"{name}_search_phrases", f"candidates.{name}_search_phrases MATCH :match AND")
        self._by_characters = self._found(_OF_CHARACTERS.format(table=name), "")
        liked = table.c.search_text.like(bindparam("pattern"), escape="\\")
        self._liked = select(table).where(liked).subquery("found")
        self._contained = func.instr(table.c.search_text, bindparam("term")) > 0
        self._scanned = select(table).where(self._contained).subquery("found")
        self._many_characters = _MANY_TERMS.format(terms=f"{name}_fts_terms")
        self._many_phrases = _MANY_TERMS.format(terms=f"{name}_search_phrases_terms")
        self._many_grams = _MANY_MATCHES.format(index=f"{name}_fts")
        self._many_of_phrases = _MANY_MATCHES.format(index=f"{name}_search_phrases")
        self._words = _WORDS.format(words=f"{name}_search_words")

    def matching(self, term: str, connection: Connection, *, by_id: bool) -> Found:
        """The records that match; ``source`` is the table itself for an empty term.

        ``by_id``: a page in the order of ids is wanted. Read it in the same transaction: with SQLite the choice
        depends on what is indexed.
        """
        wanted = folded(term)
        if not wanted:
            return Found(self._table, {})
        if connection.dialect.name == "postgresql":
            return Found(self._liked, {"pattern": like_pattern(wanted)})
        few = _FEW_BY_ID if by_id else _FEW
        if len(wanted) < _GRAM:
            begin = wanted.translate(_ONE_TO_TRIGRAMS)
            are_many = _is_true(connection, self._many_characters, json.dumps([begin]), _LAST * _GRAM, few)
            values = {"begin": begin, "end": begin + _LAST * _GRAM, "term": wanted}
            return Found(self._by_characters, values, self._contained if are_many else None)
        for begins in self._choices(wanted, connection, few) if len(wanted) > _GRAM else ():
            if not self._are_many(begins, connection, few):
                match = " OR ".join(f"{_quoted(phrase)}*" for phrase in begins) or _quoted("")
                return Found(self._by_phrases, {"match": match, "term": wanted})
        whole = [phrase for phrase in _inside(wanted) if len(phrase) == PHRASE]
        source, counting = (self._by_phrases, self._many_of_phrases) if whole else (self._by_grams, self._many_grams)
        match = " AND ".join(map(_quoted, whole[:_GRAMS_MAX])) or _grams(wanted)
        are_many = not by_id and _is_true(connection, counting, match, few)
        return Found(source, {"match": match, "term": wanted}, self._contained if are_many else None)

    def counted(self, term: str, connection: Connection) -> Found:
        """The records that match, to be counted; as ``matching``."""
        found = self.matching(term, connection, by_id=True)
        return found if found.walk is None else Found(self._scanned, found.values)

    def _choices(self, wanted: str, connection: Connection, few: int) -> Iterator[Sequence[str]]:
        """Beginnings of phrases; for each choice, every record with the text has a phrase that begins with one."""
        yield from ([phrase] for phrase in _inside(wanted)[:_PHRASES_MAX])
        head = WORD.match(wanted)
        if head is None or self._are_many(phrases(wanted)[:1], connection, few):
            return
        rest = wanted[head.end() :]
        part = head.group() + WORD_END if rest else wanted
        values = (_grams(part), WORD_END, part, _WORDS_MAX + 1)
        words = [word for (word,) in connection.exec_driver_sql(self._words, values)]
        if len(words) <= _WORDS_MAX:
            yield sorted({phrases(word + rest)[0] for word in words})

    def _are_many(self, begins: Sequence[str], connection: Connection, few: int) -> bool:
        return _is_true(connection, self._many_phrases, json.dumps(begins), _LAST * PHRASE, few)

    def _found(self, candidates: str, sought: str) -> Subquery:
        name = self._table.name
        beside_id = ", ".join(f'{name}."{column.name}"' for column in self._table.c if column.name != "id")
        statement = _FOUND.format(table=name, beside_id=beside_id, candidates=candidates, sought=sought)
        found: TextClause = text(statement)
        return found.columns(*self._table.c).subquery("found")


search_of = cache(Search)
"""The searches of a resource, made once."""


def _inside(wanted: str) -> list[str]:
    """The phrases of words that begin in a term: where one begins in it at its start, none may in a text."""
    return phrases(wanted)[1 if WORD.match(wanted) else 0 :]


def _is_true(connection: Connection, statement: str, *values: Any) -> bool:
    return connection.exec_driver_sql(statement, values).first() is not None


def _grams(wanted: str) -> str:
    grams = {wanted[start : start + _GRAM]: None for start in range(len(wanted) - _GRAM + 1)}
    return " AND ".join(_quoted(gram) for gram in list(grams)[:_GRAMS_MAX])


def _quoted(token: str) -> str:
    return '"' + token.replace('"', '""') + '"'
