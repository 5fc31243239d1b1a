"""Reads the records of files and feeds: maps their names and value formats to fields, records what was ignored."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from afterwrite.base.text import shorten
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.feed_names import Path, feed_names
from afterwrite.resources.feed_numbers import DecimalSign
from afterwrite.resources.feed_values import PLAIN, FeedValues, Read
from afterwrite.resources.names import plural_of
from afterwrite.resources.value_fields import Json

NAMES_NOTED = 50
_SHAPES_KEPT = 1_000
_NOTHING: tuple[Any, ...] = (None, "", [])


class Step(NamedTuple):
    """A field that stands under one name of an object.

    ``plain`` is the type of a value that needs no reader. ``parts`` are its names in an object that stands there, None
    if no members are read; ``is_direct``: it may stand there itself.
    """

    field: str
    key: str
    plain: type | None
    read: Read
    parts: Sequence[str] | None
    is_direct: bool

    def values(self, column: Sequence[Any]) -> Sequence[Any]:
        """What stands for the field in the values under the name; not read yet."""
        if self.parts is None:
            return column
        kinds = set(map(type, column))
        if len(self.parts) == 1 and kinds == {dict}:
            return [value.get(self.parts[0]) for value in column]
        return [self.inside(value) for value in column] if dict in kinds or not self.is_direct else column

    def inside(self, value: Any) -> Any:
        """What stands for the field in a value under the name."""
        if type(value) is dict:
            return next((value[part] for part in self.parts or () if value.get(part) is not None), None)
        return value if self.is_direct else None


class _Shape(NamedTuple):
    """How to read objects that have the same known names.

    ``steps`` are the fields that stand under one name, ``several`` those that stand under more; ``objects`` are the
    names whose members are read.
    """

    steps: list[Step]
    several: list[str]
    objects: list[str]


class FeedReader:
    """Reads the records of one resource in one feed and records what it ignored; for one thread.

    ``decimal``, ``whole`` and ``ask`` are those of ``values``. ``ignored`` has each ignored name once.
    """

    def __init__(
        self,
        resource: CompiledResource,
        decimal: DecimalSign | None = None,
        whole: Callable[[], Collection[DecimalSign]] | None = None,
        ask: str | None = None,
    ) -> None:
        self.resource, self.names = resource, feed_names(resource)
        default_ask = f'give "decimal": "point" or "comma" next to the {self.names.nouns}'
        self.values = FeedValues(decimal, whole, ask or default_ask)
        self.ignored: dict[str, None] = {}
        self._readers = {name: self.values.reader_of(field) or _same for name, field in resource.fields.items()}
        self._shapes: dict[tuple[str, ...], _Shape] = {}
        self._numbers = [
            (name, self._readers[name])
            for name, field in resource.fields.items()
            if field.stored is not str and field.suffix != "_us"
        ]

    def fields(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of one record for the check of a new one; every field without a default is present.

        A value that cannot be parsed stays as it is, to be refused later, or becomes a FieldError.
        """
        nulls = self.names.nulls
        given = tuple(item) if item.keys() <= self.names.known else self._known_names(item)
        shape = self._shapes.get(given) or self._new_shape(given)
        found: dict[str, Any] = nulls.copy()
        for name, key, plain, read, _, _ in shape.steps:
            value = item[key]
            if type(value) is not plain and value is not None:
                value = read(value)
                if value is None and name not in nulls:  # N/A, and it has a default
                    continue
            found[name] = value
        for name in shape.several:
            self._add_first_value(found, name, item)
        for key in shape.objects:
            value = item[key]
            if type(value) is dict and not value.keys() <= self.names.parts[key]:
                self._note_parts(key, value)
        return found

    def steps(self, names: Sequence[str]) -> Sequence[Step] | None:
        """How to read objects with these names; None if a field stands under several of them."""
        given = tuple(name for name in names if name in self.names.known)
        shape = self._shapes.get(given) or self._new_shape(given)
        return None if shape.several else shape.steps

    def reader(self, name: str) -> Read:
        """What reads a value of a field."""
        return self._readers[name]

    def _known_names(self, item: Mapping[str, Any]) -> tuple[str, ...]:
        for name in item:
            if name not in self.names.known:
                self.ignore(name)
        return tuple(name for name in item if name in self.names.known)

    def _new_shape(self, given: tuple[str, ...]) -> _Shape:
        shape = _Shape([], [], [name for name in given if name in self.names.parts])
        for name, paths in self.names.paths.items():
            there = [path for path in paths if path[0] in given]
            if len({path[0] for path in there}) > 1 or any(len(path) > 2 for path in there):
                shape.several.append(name)
            elif there:
                shape.steps.append(self._step(name, there))
        if len(self._shapes) >= _SHAPES_KEPT:
            self._shapes.clear()
        self._shapes[given] = shape
        return shape

    def _step(self, name: str, paths: list[Path]) -> Step:
        """How to read a field that stands under one name, or in the object there."""
        key, read, parts = paths[0][0], self._readers[name], [path[1] for path in paths if len(path) > 1]
        plain = PLAIN.get(type(self.resource.fields[name])) if len(paths[0]) == 1 else None
        is_direct = any(len(path) == 1 for path in paths)
        if not parts and key not in self.names.parts:
            return Step(name, key, plain, read, None, is_direct)

        def read_inside(value: Any) -> Any:
            value = step.inside(value)
            return value if value is None else read(value)

        step = Step(name, key, plain, read_inside, parts, is_direct)
        return step

    def exported_fields(self, item: dict[str, Any]) -> dict[str, Any]:
        """The fields of a record of our own export: texts as they are, numbers as people may have changed them."""
        for name, read in self._numbers:
            if type(item.get(name)) is str:
                item[name] = read(item[name])
        return item

    def ignore(self, name: str) -> None:
        """Record an ignored name, up to NAMES_NOTED of them."""
        if len(self.ignored) < NAMES_NOTED:
            self.ignored[shorten(name if name.isprintable() else repr(name)[1:-1])] = None
        else:
            self.ignored["…"] = None

    def notes(self) -> list[str]:
        """What was ignored, one sentence for each kind."""
        found = [f"Columns ignored: {', '.join(self.ignored)}"] if self.ignored else []
        for field, counts in self.values.currencies.items():
            amounts = plural_of(field.replace("_", " ")).capitalize()
            if len(counts) == 1:
                found.append(f"{amounts} are in {next(iter(counts))}. Only the amounts were kept")
            else:
                listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
                found.append(
                    f"{amounts} are in several currencies ({listed}). Only the amounts were kept, nothing was "
                    "converted: load one file per currency"
                )
        return found

    def _note_parts(self, name: str, value: Mapping[str, Any]) -> None:
        for part in value:
            if part not in self.names.parts[name]:
                self.ignore(f"{name}.{part}")

    def _add_first_value(self, found: dict[str, Any], name: str, item: Mapping[str, Any]) -> None:
        """Add the first value of a field that stands under several names; others that differ are ignored."""
        read, chosen = self._readers[name], None
        for path in self.names.paths[name]:
            raw = self._value_at(item, path, name)
            if chosen is None and raw not in _NOTHING and (value := read(raw)) is not None:
                found[name], chosen = value, raw
            elif chosen is not None and raw not in _NOTHING and raw != chosen:
                self.ignore(".".join(path))
        if chosen is None and name in item:  # an explicit null or an empty text, unlike N/A
            own = self._value_at(item, (name,), name)
            value = None if own is None else read(own)
            if value is not None or item[name] is None:
                found[name] = value

    def _value_at(self, item: Mapping[str, Any], path: Path, name: str) -> Any:
        """The value at a path; an object whose members dotted aliases read is a value for Json only."""
        value: Any = item
        for part in path:
            if type(value) is not dict:
                return None
            value = value.get(part)
        is_container = type(value) is dict and len(path) == 1 and path[0] in self.names.parts
        return None if is_container and not isinstance(self.resource.fields[name], Json) else value


def _same(value: Any) -> Any:
    return value
