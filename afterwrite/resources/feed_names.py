"""The names under which files and feeds give the fields of a resource."""

import textwrap
from collections.abc import Collection, Iterator
from functools import cache
from itertools import chain

from afterwrite.base.text import camel_case
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.field import Field
from afterwrite.resources.number_fields import Money
from afterwrite.resources.text_fields import Choice, Url
from afterwrite.resources.value_fields import Boolean, Json

Path = tuple[str, ...]
"""The way to a value: a name, and for a dotted alias the names within objects."""

_LISTS = ("items", "data", "results", "nodes")
_WIDTH, _INDENT = 118, "  "


class FeedNames:
    """The names of one resource's fields, compiled once.

    ``own`` are the names of the fields, ``known`` the first names of all ``paths`` to them. ``parts`` has the known
    members of each object that dotted aliases read. ``nulls`` has None for each field without a default;
    ``with_default`` are the names of the others. ``needed`` are the fields that every record must give. ``lists`` are
    the names under which a JSON object may wrap the records. Cells of ``json_columns`` hold JSON, those of
    ``object_columns`` may.
    """

    def __init__(self, resource: CompiledResource) -> None:
        self.noun, self.nouns = resource.noun, resource.plural.replace("_", " ")
        self.own = frozenset(resource.fields)
        self.nulls = {name: None for name, field in resource.fields.items() if field.default is None}
        self.paths = {name: tuple(_paths_of(field)) for name, field in resource.fields.items()}
        self.known = frozenset(path[0] for paths in self.paths.values() for path in paths)
        with_default = (paths for name, paths in self.paths.items() if name not in self.nulls)
        self.with_default = frozenset(path[0] for path in chain.from_iterable(with_default))
        self.needed = tuple(name for name in self.nulls if resource.fields[name].required)
        self.lists = tuple(dict.fromkeys((camel_case(resource.plural), resource.plural, *_LISTS)))
        self.json_columns = frozenset(self._plain_names(resource, Json))
        self.parts: dict[str, set[str]] = {}
        for first, *rest in chain.from_iterable(self.paths.values()):
            if rest and first not in self.json_columns:
                self.parts.setdefault(first, set()).add(rest[0])
        urls = self._plain_names(resource, Url)
        self.object_columns = frozenset((*self.parts, *urls))
        self._columns = {name.lower(): name for name in chain(self.known, self.own)}
        for name, paths in self.paths.items():
            self._columns |= {".".join(path).lower(): name for path in paths if len(path) > 1}
        for name in urls:
            self._columns |= {f"{name}[0]".lower(): name, f"{name}.0".lower(): name}
        self._resource = resource

    def _plain_names(self, resource: CompiledResource, kind: type[Field]) -> list[str]:
        of_kind = [name for name, field in resource.fields.items() if isinstance(field, kind)]
        return [path[0] for name in of_kind for path in self.paths[name] if len(path) == 1]

    def column(self, header: str) -> str | None:
        """The name for a CSV header, case-insensitive; None if the column is ignored."""
        return self._columns.get(header.strip().lower())

    def missing(self, given: Collection[str | None]) -> list[str]:
        """The needed fields that none of the given names is for, each with its aliases."""
        return [
            self._with_aliases(name) for name in self.needed if not any(path[0] in given for path in self.paths[name])
        ]

    def _with_aliases(self, name: str) -> str:
        aliases = self._resource.fields[name].aliases
        return f"{name} (or {', '.join(aliases)})" if aliases else name

    @property
    def least(self) -> str:
        """What an object must have at least, for messages."""
        return f"an object with at least {' and '.join(self.needed)}" if self.needed else "an object"

    def accepted(self) -> str:
        """A line for each field with its names and the form of its values, for descriptions."""
        width = max(map(len, self.own)) + len(_INDENT)
        lines = []
        for name, field in self._resource.fields.items():
            names = ", ".join(".".join(path) for path in self.paths[name])
            form = _form_of(field)
            start = f"{_INDENT}{name:<{width}}"
            text = f"{names}: {form}" if form else names
            lines += textwrap.wrap(
                text, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False
            )
        return "\n".join(lines)


@cache
def feed_names(resource: CompiledResource) -> FeedNames:
    """The names of a resource, made once for each."""
    return FeedNames(resource)


def _paths_of(field: Field) -> Iterator[Path]:
    """The own name, its form in the API, and the aliases: the first one with a value wins."""
    for name in dict.fromkeys((field.name, camel_case(field.name), *field.aliases)):
        yield tuple(name.split("."))


def _form_of(field: Field) -> str:
    if isinstance(field, Money):
        return f'a number, or a text such as "19.99", "1.234,50" or "15.00 {field.currency or "USD"}"'
    if isinstance(field, Url):
        return f'a URL, or {{"src": ...}}; of several the first, {[field.name, *field.aliases][-1]}[0] in CSV'
    if isinstance(field, Choice):
        return " or ".join(field.choices)
    if isinstance(field, Boolean):
        return "true or false, yes or no, 1 or 0"
    if isinstance(field, Json):
        return "any JSON"
    return field.hint[:1].lower() + field.hint[1:]
