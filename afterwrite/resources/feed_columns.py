"""Reads and checks the ordinary records of a feed by column: what a whole column has in common is seen once."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, NamedTuple, TypeAlias

from afterwrite.resources.compiled import KEPT
from afterwrite.resources.feed_fields import FeedReader, Step
from afterwrite.resources.feed_values import keeps_texts, plain_numbers, reads_numbers
from afterwrite.resources.field import Field, FieldError, checked_value
from afterwrite.resources.text_fields import Url

Stored: TypeAlias = tuple[Any, ...] | None
"""The stored values of a record, as ``CompiledResource.stored_values`` takes them; None: read it by itself."""

_MISSED = object()
_MAY_NEST = frozenset({dict, list})
_NAMES_KEPT = 1_000
_DEEPEST = 100  # lists and objects in each other


class Group(NamedTuple):
    """Records with the same names: their places in the batch, the names, and a column of values for each."""

    places: Sequence[int]
    names: tuple[str, ...]
    columns: Mapping[str, Sequence[Any]]

    @property
    def texts(self) -> int:
        """How many texts and names they hold."""
        return len(self.names) * len(self.places) + sum(map(texts_in, self.columns.values()))


def grouped(items: Sequence[Mapping[str, Any] | None]) -> list[Group]:
    """The records by their names; those that are None are left out."""
    names = [None if item is None else tuple(item) for item in items]
    if len(set(names)) == 1 and names[0]:
        return [_group(range(len(items)), names[0], items)]
    places = defaultdict(list)
    for place, given in enumerate(names):
        if given:
            places[given].append(place)
    return [_group(found, given, [items[place] for place in found]) for given, found in places.items()]


def _group(places: Sequence[int], names: tuple[str, ...], items: Sequence[Any]) -> Group:
    return Group(places, names, dict(zip(names, zip(*map(dict.values, items), strict=True), strict=True)))


def texts_in(values: Sequence[Any], depth: int = 1) -> int:
    """How many texts and names stand in values of JSON. Raises RecursionError where they nest deeply."""
    kinds = set(map(type, values))
    if kinds == {str}:
        return len(values)
    if depth > _DEEPEST:
        raise RecursionError(f"nested more than {_DEEPEST} lists or objects deep")
    found = sum(type(value) is str for value in values) if str in kinds else 0
    if dict in kinds:
        objects = [value for value in values if type(value) is dict]
        found += sum(map(len, objects))
        found += texts_in(list(chain.from_iterable(map(dict.values, objects))), depth + 1)
    if list in kinds:
        lists = (value for value in values if type(value) is list)
        found += texts_in(list(chain.from_iterable(lists)), depth + 1)
    return found


class FeedColumns:
    """Reads the records of a feed as ``FeedReader.fields`` and ``check_new`` together do, as far as they are ordinary.

    A record is left to them if anything of it is refused, must be noted, or depends on the rest of the feed. For one
    thread.
    """

    def __init__(self, reader: FeedReader) -> None:
        self._reader, self._resource = reader, reader.resource
        self._checks = {name: _ColumnCheck(reader, field) for name, field in reader.resource.fields.items()}
        self._columns = self._resource.columns[1 : -len(KEPT)]
        self._noted: set[tuple[str, ...]] = set()

    def stored(
        self, groups: Iterable[Group], rows: int, is_plain: bool, is_exact: Callable[[], bool] = lambda: True
    ) -> list[Stored]:
        """The stored values of a batch of ``rows`` records.

        ``is_plain``: all of their texts are of printable ASCII characters. ``is_exact`` tells whether every number was
        read exactly; it is asked where one may not have been.
        """
        found: list[Stored] = [None] * rows
        for group in groups:
            stored = self._stored(group, is_plain, is_exact)
            if len(group.places) == rows:
                return stored
            for place, values in zip(group.places, stored, strict=True):
                found[place] = values
        return found

    def _stored(self, group: Group, is_plain: bool, is_exact: Callable[[], bool]) -> list[Stored]:
        rows = len(group.places)
        steps = self._reader.steps(group.names)
        if steps is None:
            return [None] * rows
        missed = self._places_to_note(group, steps)
        columns: dict[str, Iterable[Any]] = {}
        for step in steps:
            column = self._checks[step.field].stored(step.values(group.columns[step.key]), is_plain, is_exact)
            columns[step.field] = column
            if _MISSED in column:
                missed.update(place for place, value in enumerate(column) if value is _MISSED)
        for name in self._checks.keys() - columns.keys():
            absent = self._checks[name].absent
            if absent is _MISSED:
                return [None] * rows
            columns[name] = repeat(absent, rows)
        found: list[Stored] = list(zip(*[columns[name] for name in self._checks], strict=True))
        for place in missed:
            found[place] = None
        return [self._obeying(values) for values in found] if self._resource.has_rule else found

    def _places_to_note(self, group: Group, steps: Sequence[Step]) -> set[int]:
        """The first records with names that were not seen before: the reader notes those that it ignores."""
        found = set[int]()
        if len(self._noted) > _NAMES_KEPT:
            self._noted.clear()
        if group.names not in self._noted:
            self._noted.add(group.names)
            found.add(0)
        for key in {step.key for step in steps if step.parts is not None}:
            inner = [(key, *value) if type(value) is dict else () for value in group.columns[key]]
            for names in set(inner) - self._noted - {()}:
                self._noted.add(names)
                found.add(inner.index(names))
        return found

    def _obeying(self, values: Stored) -> Stored:
        """The values, if they obey the rule of the resource."""
        if values is None or self._resource.broken_rule(dict(zip(self._columns, values, strict=True))):
            return None
        return values


class _ColumnCheck:
    """Reads and checks columns of one field."""

    def __init__(self, reader: FeedReader, field: Field) -> None:
        self._field, self._read = field, reader.reader(field.name)
        self._keeps_texts, self._reads_numbers = keeps_texts(field), reads_numbers(field)
        self._usual_column = field.usual_column if _is_of_one_class(type(field)) else lambda *_: None
        self._null = None if not field.required and field.default is None else _MISSED
        self.absent = self._null if field.default is None else field.check(field.name, field.default)

    def stored(self, values: Sequence[Any], is_plain: bool, is_exact: Callable[[], bool]) -> Sequence[Any]:
        """The stored values, _MISSED for those that are not ordinary."""
        kinds = set(map(type, values))
        if type(None) in kinds:
            given = [value for value in values if value is not None]
            checked = iter(self.stored(given, is_plain, is_exact) if given else ())
            return [self._null if value is None else next(checked) for value in values]
        is_doubtful = not kinds.isdisjoint(_MAY_NEST) or (float in kinds and 0.0 in values)
        if is_doubtful and not is_exact():
            return [_MISSED] * len(values)
        if kinds == {str}:
            if self._reads_numbers and (numbers := plain_numbers(self._field, values)):
                return self.stored(numbers, is_plain, lambda: True)
            if isinstance(self._field, Url) and "".join(values).count("://") > len(values):  # several in one text
                return [self._one(value) for value in values]
        usual = self._usual_column(values, kinds, is_plain)
        return [self._one(value) for value in values] if usual is None else usual

    def _one(self, value: Any) -> Any:
        """The stored value of one that is not None."""
        if type(value) is str and self._reads_numbers:
            numbers = plain_numbers(self._field, [value])
            if numbers is None:
                return _MISSED
            value = numbers[0]
        elif not (type(value) is str and self._keeps_texts):
            value = self._read(value)
        try:
            return self._null if value is None else checked_value(self._field, self._field.name, value)
        except FieldError:
            return _MISSED


def _is_of_one_class(kind: type[Field]) -> bool:
    """Whether ``usual_column`` stands in the class whose ``check`` and ``usual`` are in use."""
    homes = {next(one for one in kind.__mro__ if name in vars(one)) for name in ("check", "usual", "usual_column")}
    return len(homes) == 1
