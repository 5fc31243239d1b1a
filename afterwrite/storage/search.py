"""Finds products by a substring of title, description and category: exactly, and from an index.

In SQLite the index (FTS5, trigram, no positions) names candidates; the case-folded ``search_text`` decides. What the
index does not hold yet (``search_behind`` and every id above ``search_state.indexed_through``) is scanned. PostgreSQL
does the same by itself: its index (pg_trgm) serves LIKE, and holds what is new in a list of its own.
"""

from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    MetaData,
    Subquery,
    Table,
    Text,
    bindparam,
    func,
    select,
    text,
)

from afterwrite.base.text import folded

products = Table(
    "products",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("title", Text, nullable=False),
    Column("price_minor", BigInteger, nullable=False),
    Column("description", Text),
    Column("category", Text),
    Column("image", Text),
    Column("rating_rate", Float),
    Column("rating_count", BigInteger),
    Column("created_at_us", BigInteger, nullable=False),
    Column("updated_at_us", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("search_text", Text, nullable=False),
)

_GRAM = 3
_MOST_GRAMS = 16  # enough to be selective; the candidates are checked in full anyway

_beside_id = ", ".join(f"products.{item.name}" for item in products.c if item.name != "id")
# CROSS JOIN and NOT INDEXED fix the plan: the index or the notes lead, and each of their few rows is looked up
# by its id. Left to itself the planner walks the whole table by another index. All three parts come in the
# order of their ids, so that a page in that order reads no more than it shows.
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
_liked = (
    select(products).where(products.c.search_text.like(bindparam("pattern"), escape="\\")).subquery("found")
)
_scanned = select(products).where(func.instr(products.c.search_text, bindparam("term")) > 0).subquery("found")


class Found(NamedTuple):
    """The products that a search finds, to be selected from, and the values that go with it."""

    source: Table | Subquery
    values: dict[str, str]


def matching(term: str, dialect: str) -> Found:
    """The products that a search finds: the table itself for an empty term, else a subquery of its columns.

    ``dialect`` is SQLAlchemy's name of the database.
    """
    wanted = folded(term)
    if not wanted:
        return Found(products, {})
    if dialect == "postgresql":
        return Found(_liked, {"pattern": like_pattern(wanted)})
    if len(wanted) < _GRAM:  # no trigram to look up
        return Found(_scanned, {"term": wanted})
    return Found(_found, {"grams": _grams(wanted), "term": wanted})


def like_pattern(text: str) -> str:
    """What LIKE finds a text by, wherever it stands; a backslash goes before what would mean something else."""
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"


def _grams(wanted: str) -> str:
    grams = {wanted[start : start + _GRAM]: None for start in range(len(wanted) - _GRAM + 1)}
    quoted = ['"' + gram.replace('"', '""') + '"' for gram in list(grams)[:_MOST_GRAMS]]
    return " AND ".join(quoted)
