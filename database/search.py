"""Finds products by a substring of title, description and category: exactly, and from an index.

The index (FTS5, trigram, no positions) names candidates; the case-folded ``search_text`` decides. What the index
does not hold yet (``search_behind`` and every id above ``search_state.indexed_through``) is scanned.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Float,
    MetaData,
    Select,
    Subquery,
    Table,
    Text,
    column,
    select,
    table,
    union_all,
)

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
_index = table("products_fts", column("rowid"), column("products_fts"))
_behind = table("search_behind", column("product_id"), column("indexed_text"))
_state = table("search_state", column("indexed_through"))

_GRAM = 3
_MOST_GRAMS = 16  # enough to be selective; the candidates are checked in full anyway


def matching(term: str) -> Table | Subquery:
    """The products that a search finds: the table itself for an empty term, else a subquery of its columns."""
    folded = term.casefold()
    if not folded:
        return products
    match = _contains(folded)
    if len(folded) < _GRAM:  # no trigram to look up
        return select(products).where(match).subquery("found")
    return union_all(_indexed(folded, match), _changed(match), _tail(match)).subquery("found")


def _indexed(folded: str, match: ColumnElement[bool]) -> Select[Any]:
    # The id comes from the index, which yields it in order: a page by id reads no more than it needs.
    columns = [_index.c.rowid.label("id"), *(item for item in products.c if item.name != "id")]
    return (
        select(*columns)
        .select_from(_index.join(products, products.c.id == _index.c.rowid))
        .where(_index.c.products_fts.op("MATCH")(_grams(folded)), match)
        .where(_index.c.rowid.not_in(select(_behind.c.product_id)))
    )


def _changed(match: ColumnElement[bool]) -> Select[Any]:
    return select(products).join(_behind, _behind.c.product_id == products.c.id).where(match)


def _tail(match: ColumnElement[bool]) -> Select[Any]:
    return select(products).where(products.c.id > select(_state.c.indexed_through).scalar_subquery(), match)


def _contains(folded: str) -> ColumnElement[bool]:
    escaped = "".join(f"[{char}]" if char in "*?[" else char for char in folded)
    return products.c.search_text.op("GLOB", is_comparison=True)(f"*{escaped}*")


def _grams(folded: str) -> str:
    grams = {folded[start : start + _GRAM]: None for start in range(len(folded) - _GRAM + 1)}
    quoted = ['"' + gram.replace('"', '""') + '"' for gram in list(grams)[:_MOST_GRAMS]]
    return " AND ".join(quoted)
