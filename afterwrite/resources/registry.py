"""The declared resources of an application, compiled; finds everything that is wrong in their declarations."""

import keyword
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from afterwrite.resources.api_names import name_clashes
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.field import Field, FieldError
from afterwrite.resources.reference_field import Reference
from afterwrite.resources.resource import Resource
from afterwrite.resources.text_fields import Text
from afterwrite.resources.value_fields import Exact

_FILTERS = ("equal", "in", "range")
_OWN = """
id created_at updated_at version created_at_us updated_at_us search_text node_id required replace check count index
search first skip after before last order_by after_write if_version idempotency_key given_names
"""
_OWN_NAMES = frozenset(_OWN.split())
# The types of the schema that are not made of resources.
_OTHERS = """
Query Mutation Subscription Write WriteError WriteErrorCode WriteOperation WriteStatus Queue QueueState Record Node
Task TaskAction TaskActionKind TaskCount TaskError TaskStatus TaskType PrunedTasks Entry EntryStatus UserError
UserErrorCode PageInfo JSON BigInt DateTime Date Decimal String Int Float Boolean ID RetryWrite Resource ResourceName
OnError
"""
_TYPES = frozenset(_OTHERS.split())
_TABLES = re.compile(
    "(sqlite_|pg_).*|.*_(fts|fts_terms|rebuilt)|.*_search_(state|behind|words|words_fts|phrases|phrases_terms)|"
    "meta|resources|ledger|ledger_totals|writes|idempotency_keys|tasks|outbox|"
    "journal_.*|task_actions|paused_task_types|received_webhooks|processes|secrets|ended_sessions|recent_figures|"
    "schema_versions|process_runs|process_parts|processed_products"
)
# Reserved words of SQLite and PostgreSQL, which no table can have as its name.
_RESERVED = """
add after all alter analyse analyze and any array as asc asymmetric attach authorization autoincrement before begin
between binary both by cascade case cast check collate column commit conflict constraint create cross current_catalog
current_date current_role current_schema current_time current_timestamp current_user database default deferrable
deferred delete desc detach distinct do drop each else end escape except exclusive exists explain fail false fetch for
foreign freeze from full glob grant group having if ignore ilike immediate in index indexed initially inner insert
instead intersect into is isnull join key leading left like limit localtime localtimestamp match natural new not
notnull null of off offset old on only or order outer over overlaps placing plan pragma primary query raise references
reindex rename replace restrict returning right rollback row select session_user set similar some symmetric table temp
temporary then to trailing transaction trigger true union unique update user using vacuum values variadic verbose view
virtual when where window with
"""
_SQL_WORDS = frozenset(_RESERVED.split())
# The first steps of the server's own paths, below which no resource can have its pages.
_OWN_PATHS = """
api console entries graphql health metrics process ready sign_in sign_out static task_types tasks webhook writes
"""
_PATHS = frozenset(_OWN_PATHS.split())
_NAME = re.compile("[a-z](?:_?[a-z0-9]){0,50}")
_INDEXED_CHARACTERS = 650  # of four bytes each; an entry of an index in PostgreSQL has at most 2,704 bytes
_IDENTIFIER_MAX = 63  # in PostgreSQL
_OPERATIONS = ("create", "read", "update", "upsert", "delete")


class WrongDeclaration(Exception):
    """A declaration is wrong; ``problems`` has a line for each mistake: the class, the field, and what to do."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class Resources(Mapping[str, CompiledResource]):
    """The compiled resources of an application by name, in the order of their declaration."""

    def __init__(self, declarations: Sequence[type[Resource] | CompiledResource]) -> None:
        """Raises WrongDeclaration with every problem of every declaration."""
        problems: list[str] = []
        self._by_name: dict[str, CompiledResource] = {}
        for declaration in declarations:
            try:
                resource = compiled(declaration)
            except WrongDeclaration as wrong:
                problems += wrong.problems
                continue
            if resource.name in self._by_name:
                problems.append(f"{resource.name} is declared twice: give one of the classes another name")
            self._by_name[resource.name] = resource
        named = {getattr(declaration, "__name__", "") for declaration in declarations}
        problems += _unknown_targets(self._by_name, named)
        problems += name_clashes(list(self._by_name.values()))
        if problems:
            raise WrongDeclaration(problems)

    def __getitem__(self, name: str) -> CompiledResource:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)


_COMPILED: dict[type[Resource], CompiledResource] = {}


def compiled(resource: type[Resource] | CompiledResource) -> CompiledResource:
    """The compiled form of a declaration, made once for each class. Raises WrongDeclaration."""
    if isinstance(resource, CompiledResource):
        return resource
    if resource not in _COMPILED:
        if not (isinstance(resource, type) and issubclass(resource, Resource) and resource is not Resource):
            raise WrongDeclaration([f"{resource!r} is no resource: give a class that is derived from Resource"])
        problems: list[str] = []
        made = CompiledResource(resource, problems)
        problems += _problems_of(made)
        if problems:
            raise WrongDeclaration(problems)
        _COMPILED[resource] = made
    return _COMPILED[resource]


def _problems_of(resource: CompiledResource) -> Iterator[str]:
    name = resource.name
    if not re.fullmatch("[A-Z][A-Za-z0-9]{0,59}", name):
        yield f"{name}: a resource is named with a capital and letters or digits: rename the class"
    if name in _TYPES:
        yield f"{name} is a type of the API already: rename the class"
    for word, given in (("plural", resource.plural), ("table", resource.table)):
        if not _NAME.fullmatch(given):
            yield f"{name}: the {word} {given!r} is no name in snake case: give {word}=... after the base class"
    if _TABLES.fullmatch(resource.table) or resource.table in _SQL_WORDS:
        what = "a word of SQL" if resource.table in _SQL_WORDS else "one of the engine"
        yield f"{name}: the table {resource.table} is {what}: give table=... after the base class"
    if resource.plural == resource.snake:
        yield f"{name}: its plural is its singular, {resource.plural}: give plural=... after the base class"
    if resource.plural in _PATHS:
        path = resource.plural.replace("_", "-")
        yield f"{name}: its pages would be at /{path}, a path of the server: give plural=... after the base class"
    for unknown in resource.declaration.given_names.keys() - {"name", "plural", "table"}:
        yield f"{name} gives {unknown}=...: name, plural and table can be given"
    if not resource.fields:
        yield f"{name} declares no field: give it one, such as title = Text(required=True)"
    columns = list(resource.columns)
    for column in sorted({column for column in columns if columns.count(column) > 1}):
        yield f"{name}: two fields are stored as {column}: rename one of them"
    for field_name, field in resource.fields.items():
        yield from (f"{name}.{field_name}: {problem}" for problem in _problems_of_field(resource, field))
    yield from _problems_of_aliases(resource)
    yield from _problems_of_operations(resource)


def _problems_of_aliases(resource: CompiledResource) -> Iterator[str]:
    owners = {name.lower(): name for name in resource.fields}
    for name, field in resource.fields.items():
        for alias in field.aliases:
            place = f"{resource.name}.{name}: its alias {alias!r}"
            if not isinstance(alias, str) or not all(part.strip() == part != "" for part in alias.split(".")):
                yield f"{place} is no name: give a text without space around it, such as 'rating.rate'"
            elif (owner := owners.setdefault(alias.lower(), name)) != name:
                yield f"{place} is a name of {owner} already: leave one of them out"


def _problems_of_operations(resource: CompiledResource) -> Iterator[str]:
    for operation in resource.operations.values():
        place = f"{resource.name}.{operation.name}"
        if operation.name in _OPERATIONS or not _NAME.fullmatch(operation.name):
            yield f"{place}: every resource has {', '.join(_OPERATIONS)}: give a name in snake case of its own"
        for name, argument in operation.arguments.items():
            if name == resource.id_name or not _NAME.fullmatch(name):
                yield f"{place}.{name}: every operation has this argument, or it is not in snake case: rename it"
            if isinstance(argument.field, Reference):
                yield f"{place}.{name}: an operation reads no other record: annotate it with int"
            yield from (f"{place}.{name}: {text}" for text in _wrong_values(argument.field, argument.field.default))


def _problems_of_field(resource: CompiledResource, field: Field) -> Iterator[str]:
    if not _NAME.fullmatch(field.name) or keyword.iskeyword(field.name) or field.name.endswith("_float"):
        yield "a field is named in snake case, by no keyword, and does not end with _float: rename it"
    if field.name in _OWN_NAMES or field.declared_name in _OWN_NAMES or field.name == resource.id_name:
        yield "every record or query has something of this name already: rename it"
    if isinstance(field, Exact):
        yield "Exact is for arguments of operations: give Money or Number"
    if field.search and not isinstance(field, Text):
        yield f"search=True is for Text, and it is {type(field).__name__}: leave it out, or filter by it"
    if field.order and not field.is_ordered:
        yield f"{type(field).__name__} has no order: leave order=True out"
    for wanted in field.filters:
        if wanted not in _FILTERS:
            yield f"filter={wanted!r} is unknown: give any of {', '.join(_FILTERS)}"
    if "range" in field.filters and (not field.is_ordered or (field.stored is str and not field.suffix)):
        yield f'{type(field).__name__} has no ranges: leave filter="range" out'
    if field.suffix == "_json" and (field.filters or field.unique or field.facet):
        yield "Json cannot be filtered, unique or a facet: leave that out"
    is_indexed = field.order or field.unique or field.filters or field.facet
    if is_indexed and field.limits.get("max_length", 0) > _INDEXED_CHARACTERS:
        yield f"an index takes at most {_INDEXED_CHARACTERS} characters: give max_length={_INDEXED_CHARACTERS} or less"
    if is_indexed and len(f"{resource.table}_unique_{field.name}") > _IDENTIFIER_MAX:
        yield f"its name and that of the table {resource.table} are too long for an index: shorten one of them"
    if field.facet and field.stored is not str:
        yield f"facet is for texts, and it is {type(field).__name__}: leave it out"
    if isinstance(field, Reference) and field.reverse:
        if not _NAME.fullmatch(field.reverse):
            yield f"reverse={field.reverse!r} is no name in snake case: rename it"
        if field.reverse in _OWN_NAMES:
            yield f"reverse={field.reverse!r} is a field of every record: rename it"
    yield from _wrong_values(field, field.default)


def _unknown_targets(resources: Mapping[str, CompiledResource], named: Collection[str]) -> Iterator[str]:
    """References to what is not a resource of the application; ``named`` are classes with problems of their own."""
    for resource in resources.values():
        for field in resource.references:
            if field.target not in resources and field.target not in named:
                place = f"{resource.name}.{field.relation}"
                yield f"{place} refers to {field.target}, which is not among the resources: name it in Application"


def _wrong_values(field: Field, default: Any) -> Iterator[str]:
    """What is wrong with the limits and the default."""
    if wrong := field.wrong_limits():
        yield wrong
    elif default is not None:
        try:
            field.check(field.name, default)
        except FieldError as error:
            yield f"its default {error.detail}"
