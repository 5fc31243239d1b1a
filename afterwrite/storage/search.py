"""Exact substring search over title, description and category, from a trigram index.

In SQLite the index (FTS5, trigram, no positions) yields candidates, and the case-folded ``search_text`` decides. Rows
not indexed yet (``search_behind`` and every id above ``search_state.indexed_through``) are scanned. PostgreSQL does the
same internally: pg_trgm serves LIKE and keeps new entries in a pending list.
"""

from sqlalchemy import Column, MetaData, String, Subquery, Table, bindparam, func, select, text

from afterwrite.base.text import folded
from afterwrite.resources.product import Product
from afterwrite.storage.columns import columns_of, like_pattern

products = Table("products", MetaData(), *columns_of(Product), Column("search_text", String))

_GRAM = 3
_MOST_GRAMS = 16  # selective enough; every candidate is checked in full

_beside_id = ", ".join(f"products.{item.name}" for item in products.c if item.name != "id")
# CROSS JOIN and NOT INDEXED fix the plan: the search index or search_behind leads, and each of their few rows is
# looked up by id. Otherwise the planner walks the whole table by another index. All three parts are ordered by id, so
# that a page in that order reads no more rows than it returns.
_FOUND = f"""
    SELECT products_fts.rowid AS id, {_beside_id}
    FROM products_fts CROSS JOIN products NOT INDEXED ON products.id = products_fts.rowid
    WHERE products_fts MATCH :grams AND instr(products.search_text, :term)
      AND products_fts.rowid NOT IN (SELECT product_id FROM search_behind)
    UNION ALL
    SELECT search_behind.product_id, {_beside_id}
    FROM search_behind CROSS JOIN products NOT INDEXED ON products.id = search_behind.product_id
    WHERE instr(products.search_text, :term)
    UNION ALL
    SELECT products.id, {_beside_id}
    FROM products NOT INDEXED
    WHERE products.id > (SELECT indexed_through FROM search_state) AND instr(products.search_text, :term)
"""  # noqa: S608 - names of our own columns
_found = text(_FOUND).columns(*products.c).subquery("found")
_liked = select(products).where(products.c.search_text.like(bindparam("pattern"), escape="\\")).subquery("found")
_scanned = select(products).where(func.instr(products.c.search_text, bindparam("term")) > 0).subquery("found")


def matching(term: str, dialect: str) -> tuple[Table | Subquery, dict[str, str]]:
    """The products that match, as a selectable and its bound values.

    It is the table itself for an empty term, else a subquery with the same columns. ``dialect`` is SQLAlchemy's dialect
    name.
    """
    wanted = folded(term)
    if not wanted:
        return products, {}
    if dialect == "postgresql":
        return _liked, {"pattern": like_pattern(wanted)}
    if len(wanted) < _GRAM:  # no trigram to look up
        return _scanned, {"term": wanted}
    return _found, {"grams": _grams(wanted), "term": wanted}


def _grams(wanted: str) -> str:
    grams = {wanted[start : start + _GRAM]: None for start in range(len(wanted) - _GRAM + 1)}
    quoted = ['"' + gram.replace('"', '""') + '"' for gram in list(grams)[:_MOST_GRAMS]]
    return " AND ".join(quoted)
