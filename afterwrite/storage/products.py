"""Product queries: by id, pages by offset and keyset, counts, categories."""

import contextlib
import string
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, Select, Subquery, Table, bindparam, collate, func, select, tuple_

from afterwrite.base.store_errors import StoreError
from afterwrite.base.text import composed, folded
from afterwrite.resources.product import Product
from afterwrite.storage.columns import is_text
from afterwrite.storage.search import matching, products

_columns = [products.c[name] for name in Product._fields]
_SHORT_SKIP = 1_000
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_by_id = select(*_columns).where(products.c.id == bindparam("id"))
_by_ids = select(*_columns).where(products.c.id.in_(bindparam("ids", expanding=True)))
_page = select(*_columns).order_by(products.c.id).limit(bindparam("first")).offset(bindparam("skip"))
_categories = (
    select(products.c.category, func.count())
    .where(products.c.category.is_not(None))
    .group_by(products.c.category)
    .order_by(products.c.category)
)
_largest_categories = _categories.order_by(None).order_by(func.count().desc(), products.c.category)


class ProductOrder(Enum):
    """The orders of a product page; ties are ordered by id."""

    ID_ASC = ("id", False)
    ID_DESC = ("id", True)
    TITLE_ASC = ("title", False)
    TITLE_DESC = ("title", True)
    PRICE_ASC = ("price_minor", False)
    PRICE_DESC = ("price_minor", True)

    @property
    def field(self) -> str:
        """The column to order by."""
        return self.value[0]

    @property
    def descending(self) -> bool:
        """Whether the largest value comes first."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class ProductFilter:
    """A filter for products; price bounds are inclusive, in minor units."""

    search: str = ""
    category: str | None = None
    min_price_minor: int | None = None
    max_price_minor: int | None = None

    def lets_through(self, product: Product) -> bool:
        """Whether a product matches, by the same rules as in the database."""
        return (
            folded(self.search) in product.search_text
            and (self.category is None or composed(self.category) == product.category)
            and (self.min_price_minor is None or self.min_price_minor <= product.price_minor)
            and (self.max_price_minor is None or product.price_minor <= self.max_price_minor)
        )


class Position(NamedTuple):
    """The position of a product in an order: the value of the ordering field and the id."""

    value: str | int
    product_id: int


class Products:
    """Reads over one engine; every method may be called from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._dialect = engine, engine.dialect.name
        # SQLite releases the GIL at each row, and many threads lose more time handing it over than reading. So short
        # reads take turns; a long one does not, to avoid blocking them.
        in_turn = self._dialect == "sqlite"
        self._turn: contextlib.AbstractContextManager[object] = (
            threading.Lock() if in_turn else contextlib.nullcontext()
        )

    def get(self, product_id: int) -> Product | None:
        """One product, or None."""
        with self._turn:
            return next(iter(self._products(_by_id, {"id": product_id})), None)

    def get_many(self, product_ids: Sequence[int]) -> dict[int, Product]:
        """The existing products among these ids, by id."""
        return {product.id: product for product in self._products(_by_ids, {"ids": list(set(product_ids))})}

    def page(self, search: str, first: int, skip: int) -> list[Product]:
        """``first`` products by id that match the search, after skipping ``skip``."""
        if not search:
            with self._turn if skip <= _SHORT_SKIP else contextlib.nullcontext():
                return self._products(_page, {"first": first, "skip": skip})
        source, values = matching(search, self._dialect)
        statement = select(*_of(source)).order_by(source.c.id).limit(first).offset(skip)
        return self._products(statement, values)

    def after(self, wanted: ProductFilter, order: ProductOrder, position: Position | None, limit: int) -> list[Product]:
        """The ``limit`` products that follow ``position`` (None: the start) in this order."""
        return self._keyset(wanted, order, position, limit, backwards=False)

    def before(
        self, wanted: ProductFilter, order: ProductOrder, position: Position | None, limit: int
    ) -> list[Product]:
        """The ``limit`` products that precede ``position`` (None: the end), still in this order."""
        return self._keyset(wanted, order, position, limit, backwards=True)[::-1]

    def count(self, wanted: ProductFilter) -> int:
        """The number of products that match the filter."""
        source, values = matching(wanted.search, self._dialect)
        statement = select(func.count()).select_from(source).where(*_conditions(source, wanted))
        return int(self._rows(statement, values)[0][0])

    def categories(self) -> list[tuple[str, int]]:
        """Every category with its number of products, ordered by name."""
        return [(name, count) for name, count in self._rows(_categories)]

    def largest_categories(self, limit: int) -> list[tuple[str, int]]:
        """The ``limit`` largest categories, ordered by name."""
        return sorted((name, count) for name, count in self._rows(_largest_categories.limit(limit)))

    def last_id(self) -> int:
        """The largest product id; 0 if there is none."""
        return self._rows(select(func.max(products.c.id)))[0][0] or 0

    def trouble(self) -> str | None:
        """Why products cannot be read now, or None."""
        try:
            self.get(0)
        except StoreError as error:
            return str(error)
        return None

    def _keyset(
        self, wanted: ProductFilter, order: ProductOrder, position: Position | None, limit: int, *, backwards: bool
    ) -> list[Product]:
        source, values = matching(wanted.search, self._dialect)
        descending = order.descending is not backwards
        keys = _keys(source, order, self._dialect)
        statement = select(*_of(source)).where(*_conditions(source, wanted)).limit(limit)
        statement = statement.order_by(*(key.desc() if descending else key for key in keys))
        if position is not None:
            place = tuple_(*keys)
            there = _place(position, order, self._dialect) if len(keys) == 2 else (position.product_id,)
            statement = statement.where(place < there if descending else place > there)
        return self._products(statement, values)

    def _products(self, statement: Select[Any], values: Mapping[str, Any]) -> list[Product]:
        return [Product._make(row) for row in self._rows(statement, values)]

    def _rows(self, statement: Select[Any], values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        with self._engine.connect() as connection:
            return connection.execute(statement, values).all()


def _of(source: Table | Subquery) -> list[ColumnElement[Any]]:
    return [source.c[name] for name in Product._fields]


def _keys(source: Table | Subquery, order: ProductOrder, dialect: str) -> list[ColumnElement[Any]]:
    if order.field == "id":
        return [source.c.id]
    if order.field == "title":
        # Both ignore ASCII case and compare byte by byte.
        folded = collate(source.c.title, "NOCASE") if dialect == "sqlite" else func.lower(source.c.title)
        return [folded, source.c.id]
    return [source.c[order.field], source.c.id]


def _place(position: Position, order: ProductOrder, dialect: str) -> tuple[str | int, int]:
    if order.field == "title" and dialect != "sqlite":
        return str(position.value).translate(_ASCII_LOWER), position.product_id
    return position


def _conditions(source: Table | Subquery, wanted: ProductFilter) -> list[ColumnElement[bool]]:
    conditions = []
    if wanted.category is not None:
        conditions.append(is_text(source.c.category, composed(wanted.category)))
    if wanted.min_price_minor is not None:
        conditions.append(source.c.price_minor >= wanted.min_price_minor)
    if wanted.max_price_minor is not None:
        conditions.append(source.c.price_minor <= wanted.max_price_minor)
    return conditions
