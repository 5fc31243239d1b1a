"""Tables and indexes of resources, made from their declarations."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    ColumnElement,
    Double,
    FromClause,
    Integer,
    MetaData,
    Table,
    Text,
    collate,
    func,
    literal_column,
)

from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.field import Field
from afterwrite.resources.reference_field import Reference
from afterwrite.storage.driver import SCHEMA

# Texts are compared byte by byte (COLLATE "C"), as SQLite does, so the order is the same on every machine.
_TYPES: dict[type, Any] = {
    int: BigInteger().with_variant(Integer(), "sqlite"),
    float: Double().with_variant(REAL(), "sqlite"),
    str: Text(collation="C").with_variant(Text(), "sqlite"),
}


# What stands for null where records are ordered: below every value, and the same in both databases.
NULL_VALUES: dict[type, Any] = {int: -(2**63) + 1, float: -1.7976931348623157e308, str: ""}


class RecordIndex(NamedTuple):
    """An index of a resource's table: over an order of the field, over its values, or for search."""

    name: str
    field: Field | None
    ordered: bool = False
    unique: bool = False


@cache
def table_of(resource: CompiledResource) -> Table:
    """The table of a resource."""
    own = (
        Column(column, _TYPES[field.stored], nullable=not field.required)
        for column, field in resource.of_column.items()
    )
    kept = (Column(name, _TYPES[int], nullable=False) for name in ("created_at_us", "updated_at_us", "version"))
    key = Column("id", _TYPES[int], primary_key=True, autoincrement=False)
    text = Column("search_text", _TYPES[str], nullable=False)
    return Table(resource.table, MetaData(), key, *own, *kept, text, sqlite_strict=True)


def is_folded(field: Field) -> bool:
    """Whether lists are ordered by the field without regard to ASCII case."""
    return field.stored is str and not field.suffix


def indexes_of(resource: CompiledResource, dialect: str) -> Iterator[RecordIndex]:
    """The indexes beside the primary key; ``dialect`` is SQLAlchemy's name of the database."""
    for field in resource.fields.values():
        place = f"{resource.table}_{{}}_{field.name}"
        if field.order:
            yield RecordIndex(place.format("by"), field, ordered=True)
        is_compared = bool(field.filters or field.facet or isinstance(field, Reference)) and not field.unique
        if is_compared and not (field.order and field.required and not is_folded(field)):
            yield RecordIndex(place.format("of" if field.order else "by"), field)
        if field.unique:
            yield RecordIndex(place.format("unique"), field, unique=True)
    if dialect == "postgresql" and resource.searched:
        yield RecordIndex(f"{resource.table}_search", None)


def index_statement(resource: CompiledResource, index: RecordIndex, dialect: str) -> str:
    """The statement that creates an index; in PostgreSQL ``gin_trgm_ops`` stands for the operator class of pg_trgm."""
    table = resource.table if dialect == "sqlite" else f"{SCHEMA}.{resource.table}"
    field, unique = index.field, "UNIQUE " if index.unique else ""
    if field is None:
        return f"CREATE INDEX {index.name} ON {table} USING gin (search_text gin_trgm_ops)"
    key = f'"{field.column}"'
    if index.ordered and not field.required:
        null = NULL_VALUES[field.stored]
        key = f"coalesce({key}, {null!r})"
    if index.ordered and is_folded(field):
        key = f"{key} COLLATE NOCASE" if dialect == "sqlite" else f"lower({key})"
    # An entry of SQLite ends with the row's id.
    keys = key if dialect == "sqlite" or index.unique else f"({key}), id" if "(" in key else f"{key}, id"
    return f"CREATE {unique}INDEX {index.name} ON {table} ({keys})"


def order_key(field: Field, source: FromClause, dialect: str) -> ColumnElement[Any]:
    """What records are ordered by, as the index of ``indexes_of`` has it."""
    key: ColumnElement[Any] = source.c[field.column]
    if not field.required:
        key = func.coalesce(key, literal_column(repr(NULL_VALUES[field.stored])))
    if is_folded(field):  # both ignore ASCII case and compare byte by byte
        return collate(key, "NOCASE") if dialect == "sqlite" else func.lower(key)
    return key


def dangling(source: str, column: str, target: str) -> str:
    """The condition for rows of ``source`` whose reference in a column is to no row of ``target``."""
    is_there = f'SELECT 1 FROM {target} AS there WHERE there.id = {source}."{column}"'  # noqa: S608 - declared names
    return f'{source}."{column}" IS NOT NULL AND NOT EXISTS ({is_there})'


def id_sequence(table: str) -> str:
    """The sequence of PostgreSQL that gives the ids of a table; it stays when an empty table is dropped."""
    return f"{SCHEMA}.{table}_ids"


def recompute_key(resource: CompiledResource) -> str:
    """The name in ``meta`` of the id up to which searched texts are recomputed; it is there as long as some are not."""
    return f"search_text_of_{resource.table}"


def declaration_of(resource: CompiledResource) -> dict[str, Any]:
    """What the database remembers of a declaration, to know at the next start whether it changed."""
    indexes = {index.name: _form_of(index) for index in indexes_of(resource, "postgresql")}
    return {**resource.recorded, "indexes": indexes}


def _form_of(index: RecordIndex) -> list[Any]:
    field = index.field
    if field is None:
        return ["search_text"]
    return [field.column, index.unique, index.ordered, index.ordered and field.required]
