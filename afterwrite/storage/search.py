"""Exact substring search over the searched fields of a resource, from a trigram index.

In SQLite the index (FTS5, trigram, no positions) yields candidates, and the case-folded ``search_text`` decides. Rows
not indexed yet (in ``…_search_behind``, and with an id above ``indexed_through`` in ``…_search_state``) are scanned.
PostgreSQL does the same internally: pg_trgm serves LIKE and keeps new entries in a pending list.
"""

from functools import cache

from sqlalchemy import Subquery, Table, bindparam, func, select, text

from afterwrite.base.text import folded
from afterwrite.resources.compiled import CompiledResource
from afterwrite.storage.columns import like_pattern
from afterwrite.storage.tables import table_of

_GRAM = 3
_MOST_GRAMS = 16  # selective enough; every candidate is checked in full
# CROSS JOIN and NOT INDEXED fix the plan: the search index or search_behind leads, and each of their few rows is
# looked up by id. Otherwise the planner walks the whole table by another index. All three parts are ordered by id, so
# that a page in that order reads no more rows than it returns.
_FOUND = """
    SELECT {table}_fts.rowid AS id, {beside_id}
    FROM {table}_fts CROSS JOIN {table} NOT INDEXED ON {table}.id = {table}_fts.rowid
    WHERE {table}_fts MATCH :grams AND instr({table}.search_text, :term)
      AND {table}_fts.rowid NOT IN (SELECT record_id FROM {table}_search_behind)
    UNION ALL
    SELECT {table}_search_behind.record_id, {beside_id}
    FROM {table}_search_behind CROSS JOIN {table} NOT INDEXED ON {table}.id = {table}_search_behind.record_id
    WHERE instr({table}.search_text, :term)
    UNION ALL
    SELECT {table}.id, {beside_id}
    FROM {table} NOT INDEXED
    WHERE {table}.id > (SELECT indexed_through FROM {table}_search_state) AND instr({table}.search_text, :term)
"""


class Search:
    """The searches of one resource; see ``search_of``."""

    def __init__(self, resource: CompiledResource) -> None:
        self._table = table = table_of(resource)
        beside_id = ", ".join(f'{table.name}."{column.name}"' for column in table.c if column.name != "id")
        found = _FOUND.format(table=table.name, beside_id=beside_id)
        self._found = text(found).columns(*table.c).subquery("found")
        liked = table.c.search_text.like(bindparam("pattern"), escape="\\")
        self._liked = select(table).where(liked).subquery("found")
        contained = func.instr(table.c.search_text, bindparam("term")) > 0
        self._scanned = select(table).where(contained).subquery("found")

    def matching(self, term: str, dialect: str) -> tuple[Table | Subquery, dict[str, str]]:
        """The records that match, as a selectable and its bound values.

        It is the table itself for an empty term, else a subquery with the same columns. ``dialect`` is SQLAlchemy's
        dialect name.
        """
        wanted = folded(term)
        if not wanted:
            return self._table, {}
        if dialect == "postgresql":
            return self._liked, {"pattern": like_pattern(wanted)}
        if len(wanted) < _GRAM:  # no trigram to look up
            return self._scanned, {"term": wanted}
        return self._found, {"grams": _grams(wanted), "term": wanted}


search_of = cache(Search)
"""The searches of a resource, made once."""


def _grams(wanted: str) -> str:
    grams = {wanted[start : start + _GRAM]: None for start in range(len(wanted) - _GRAM + 1)}
    quoted = ['"' + gram.replace('"', '""') + '"' for gram in list(grams)[:_MOST_GRAMS]]
    return " AND ".join(quoted)
