"""The compiled form of a resource, made once at start: its record type, checks, and the effect of its writes."""

import copy
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from operator import itemgetter
from typing import Any, TypeAlias

from afterwrite.resources import first_version
from afterwrite.resources.field import Field, FieldError, FieldProblem, checked_value
from afterwrite.resources.names import plural_of, snake_case
from afterwrite.resources.operations import CompiledOperation, rejections_of
from afterwrite.resources.record_type import record_type
from afterwrite.resources.reference_field import Reference
from afterwrite.resources.resource import Derived, FollowUp, Rejected, Resource
from afterwrite.resources.text_fields import Text
from afterwrite.resources.usual_check import UsualCheck, usual_check
from afterwrite.resources.write import Operation, OperationError, Write, WriteError, WriteErrorCode

Record: TypeAlias = Any
"""A record, whose type is known when its resource is compiled."""

KEPT = ("created_at_us", "updated_at_us", "version")
"""The columns of every record after its own fields; ``id`` comes first."""
RULE_FAILED = "RULE_FAILED"
"""The code of a rule that raised something else than a Rejected that stands in it."""
FOLLOW_UPS_MAX = 100
Checked = tuple[dict[str, Any], list[FieldError]]


class CompiledResource:
    """A resource as the engine uses it.

    ``name`` is the type in the API, ``plural`` and ``table`` are in snake case. ``record`` is the type of its records:
    a named tuple of the stored values, with the values, operations and methods of the declaration as attributes.
    """

    def __init__(self, declaration: type[Resource], problems: list[str]) -> None:
        """What is wrong in the declaration is added to ``problems``, one line each."""
        given = declaration.given_names
        self.declaration, self.name = declaration, given.get("name") or declaration.__name__
        self.snake = snake_case(self.name)
        self.plural = given.get("plural") or plural_of(self.snake)
        self.table = given.get("table") or self.plural
        self.description = description_of(declaration)
        members = _members_of(declaration)
        fields = [_named(name, value) for name, value in members.items() if isinstance(value, Field)]
        self.fields = {field.name: field for field in fields}
        self.references = [field for field in fields if isinstance(field, Reference)]
        names = [field.name for field in fields]
        problems += [f"{self.name}: two fields are named {one}: rename one" for one in names if names.count(one) > 1]
        self.derived = {name: value for name, value in members.items() if isinstance(value, Derived)}
        for name, one in self.derived.items():
            if isinstance(one.kind, Field):
                one.kind = _named(name, one.kind)
            else:
                problems.append(f"{self.name}.{name}: derived needs the type of the value, such as @derived(Number)")
        problems += [
            f"{self.name}.{name} is the type {value.__name__}: write {name} = {value.__name__}()"
            for name, value in members.items()
            if isinstance(value, type) and issubclass(value, Field)
        ]
        self.operations = {
            made.code: made
            for name, value in members.items()
            if getattr(value, "is_operation", False)
            for made in [CompiledOperation(self.name, name, declaration, problems)]
        }
        self.rule_rejections = rejections_of(f"{self.name}.check", declaration, declaration.check, problems)
        self.has_rule = declaration.check is not Resource.check
        self.columns = ("id", *(field.column for field in self.fields.values()), *KEPT)
        """The stored values of a record, in the order of its tuple."""
        self.searched = tuple(field.column for field in self.fields.values() if field.search)
        self.unique = tuple(field.column for field in self.fields.values() if field.unique)
        self.of_column = {field.column: field for field in self.fields.values()}
        keys = [field for field in fields if field.unique and field.required]
        self.upsert_key = keys[0] if keys else None
        """The field by whose value an upsert finds its record: the first that is unique and required."""
        self._texts = frozenset(name for name, field in self.fields.items() if isinstance(field, Text))
        self._required = {field.column: field.required for field in self.fields.values()}
        self.not_found, self.exists = f"{self.snake.upper()}_NOT_FOUND", f"{self.snake.upper()}_EXISTS"

    # -- names ------------------------------------------------------------------------------------------------

    @property
    def noun(self) -> str:
        """The name in a sentence."""
        return self.snake.replace("_", " ")

    @property
    def article(self) -> str:
        """The article before the noun."""
        return "an" if self.noun[0] in "aeiou" else "a"

    @property
    def id_name(self) -> str:
        """The argument that names a record."""
        return f"{self.snake}_id"

    @cached_property
    def rejections(self) -> list[str]:
        """Every code with which an operation or the rule rejects."""
        codes = [code for operation in self.operations.values() for code in operation.rejections]
        return list(dict.fromkeys([*codes, *self.rule_rejections]))

    @cached_property
    def label_field(self) -> Field | None:
        """The field that names a record to people: the first required text."""
        texts = [field for field in self.fields.values() if isinstance(field, Text) and field.required]
        return texts[0] if texts else None

    def name_of(self, record: Record) -> str:
        """What people call a record: the text of its label field, or nothing."""
        return str(getattr(record, self.label_field.name)) if self.label_field else ""

    def label(self, values: Mapping[str, Any]) -> str:
        """A new record in a message, such as ``Product 'Lamp'``."""
        name = values.get(self.label_field.name) if self.label_field else None
        return f"{self.name} '{name}'" if name else self.name

    # -- records ----------------------------------------------------------------------------------------------

    @cached_property
    def record(self) -> Any:
        """The type of its records."""
        return record_type(self)

    @cached_property
    def _search_values(self) -> Callable[[Sequence[Any]], Sequence[Any]]:
        places = [self.columns.index(column) for column in self.searched]
        return lambda record: [record[place] for place in places]

    def search_text(self, record: Sequence[Any]) -> str:
        """The text of a record's row that searches match."""
        return first_version.search_text(*self._search_values(record))

    def search_texts(self, records: Sequence[Sequence[Any]]) -> list[str]:
        """The texts that searches match of new records, given as ``stored_values``."""
        if not self.searched:
            return [""] * len(records)
        places = [self.columns.index(column) - 1 for column in self.searched]
        return first_version.search_texts([record[place] for record in records] for place in places)

    @cached_property
    def stored_values(self) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
        """Takes the values of the columns between ``id`` and KEPT from what ``check_new`` returned."""
        own = self.columns[1 : -len(KEPT)]
        return itemgetter(*own) if len(own) > 1 else lambda stored: (stored[own[0]],)

    # -- checks -----------------------------------------------------------------------------------------------

    def check_new(self, values: Mapping[str, Any]) -> Checked:
        """Validate the fields of a new record and convert them to the stored form.

        ``values`` maps names of fields to what a client sent, or to a FieldError if that could not be parsed. An absent
        field gets its default. Returns the stored form and all errors in the order of the fields.
        """
        usual = self._usual(values)
        return (usual, []) if usual is not None else self.check_one_by_one(values)

    def check_one_by_one(self, values: Mapping[str, Any]) -> Checked:
        """The same as ``check_new``, field by field."""
        checked: dict[str, Any] = {}
        refused: list[FieldError] = []
        for name, field in self.fields.items():
            _check(field, values.get(name, field.default), checked, refused)
        return checked, refused

    def check_changes(self, values: Mapping[str, Any]) -> Checked:
        """Validate the fields of an update: an absent one stays unchanged, None sets an optional one to null."""
        checked: dict[str, Any] = {}
        refused: list[FieldError] = []
        for name, field in self.fields.items():
            if name not in values:
                continue
            if field.immutable:
                detail = "is set when the record is created: leave it out"
                refused.append(FieldError(name, FieldProblem.IMMUTABLE, detail))
            else:
                _check(field, values[name], checked, refused)
        return checked, refused

    def written(self, operation: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """The stored fields as a write has them: a create leaves out null where an absent field becomes null."""
        if operation != Operation.CREATE or fields.keys() <= self._always_written:
            return fields
        return {name: value for name, value in fields.items() if value is not None or name in self._always_written}

    def sent_fields(self, fields: Mapping[str, Any], sent: Mapping[str, Any]) -> Mapping[str, Any]:
        """The stored fields of a create that a client sent, without defaults: another version may have others."""
        if not self.defaults or not sent:
            return fields
        columns = self.defaults.keys() - {self.fields[name].column for name in sent.keys() & self.fields.keys()}
        return {name: value for name, value in fields.items() if name not in columns}

    def broken_rule(self, stored: Mapping[str, Any]) -> Rejected | None:
        """How a new record breaks the rule of the resource; its id is not known yet, and 0 here."""
        if not self.has_rule:
            return None
        try:
            self._new_record(0, time.time_ns() // 1_000, stored).check()
        except Rejected as rejected:
            known = rejected.code in self.rule_rejections
            return rejected if known else Rejected(RULE_FAILED, f"{rejected.code}: {rejected.message}")
        except Exception as error:  # noqa: BLE001 - any error of the application's own code
            return Rejected(RULE_FAILED, f"{self.name}.check raised {type(error).__name__}: {error}")
        return None

    @cached_property
    def _usual(self) -> UsualCheck:
        return usual_check(self.name, self.fields)

    # -- the effect of writes ---------------------------------------------------------------------------------

    def apply(self, write: Write, record: Record | None, made: list[FollowUp] | None = None) -> Record | None:
        """The record after the write, None after a delete; pure, so that a batch is computed before any SQL runs.

        ``record`` is the state before, None if it does not exist. What an operation makes is added to ``made``. Raises
        WriteError if the write can never be applied.
        """
        try:
            after = self._next_state(write, record, [] if made is None else made)
        except (TypeError, ValueError) as error:  # written by another version, or damaged
            raise _unreadable(write, error) from error
        if after is not None:
            self.check_rule(after)
        return after

    def without(self, record: Record, column: str, write: Write, *, is_changed: bool) -> Record:
        """The record with an empty reference, after the write that deletes what it refers to.

        ``is_changed``: this write has changed it before, and its version has risen.
        """
        return record._replace(**{column: None}) if is_changed else self._changed(record, {column: None}, write)

    def check_rule(self, record: Record) -> None:
        """Raises WriteError if the record breaks the rule of the resource."""
        if self.has_rule:
            self._run(record.check, "check")

    def upserted_by(self, write: Write) -> tuple[str, Any]:
        """The column and the value by which an upsert finds its record. Raises WriteError."""
        if self.upsert_key is None:
            raise _unknown(write, f"is an upsert of {self.name}")
        column = self.upsert_key.column
        if (value := _arguments(write).get(column)) is None:
            raise _unreadable(write, f"{column} is missing")
        return column, value

    def _run(self, method: Callable[[], Any], name: str) -> Any:
        """The result of a method of the application; whatever it raises becomes a WriteError."""
        try:
            return method()
        except Rejected as rejected:
            if rejected.code in self.rejections:
                raise WriteError(rejected.code, rejected.message) from rejected
            message = f"{rejected.code}: {rejected.message}"
            raise WriteError(WriteErrorCode.OPERATION_FAILED, message) from rejected
        except FieldError as error:
            raise WriteError(WriteErrorCode.CONSTRAINT_VIOLATED, f"{name} is refused: {error}") from error
        except Exception as error:
            raise OperationError(f"{self.name}.{name} raised {type(error).__name__}: {error}") from error

    def _next_state(self, write: Write, record: Record | None, made: list[FollowUp]) -> Record | None:
        if write.operation == Operation.CREATE:
            if record is not None:
                raise WriteError(self.exists, f"{self.name} {write.record_id} exists already")
            return self._new_record(write.record_id, write.accepted_at_us, self._fields_of(write))
        if write.operation == Operation.UPSERT:
            return self._upserted(write, record)
        if record is None:
            raise WriteError(self.not_found, f"{self.name} {write.record_id} does not exist; nothing was changed")
        if write.if_version is not None and write.if_version != record.version:
            raise WriteError(
                WriteErrorCode.VERSION_CONFLICT,
                f"{self.name} {write.record_id} has version {record.version}, not {write.if_version}: read it again "
                "and decide; nothing was changed",
            )
        if write.operation == Operation.DELETE:
            return None
        if write.operation == Operation.UPDATE:
            return self._changed(record, self._fields_of(write), write)
        return self._changed(self._operated(write, record, made), {}, write)

    def _upserted(self, write: Write, record: Record | None) -> Record:
        fields = self._fields_of(write)
        if record is None:
            return self._new_record(write.record_id, write.accepted_at_us, fields)
        for column, value in fields.items():
            field = self.of_column[column]
            if field.immutable and value != getattr(record, column):
                message = f"{field.name} of {self.name} {record.id} is set when it is created: leave it out"
                raise WriteError(WriteErrorCode.CONSTRAINT_VIOLATED, f"{message}; nothing was changed")
        return self._changed(record, fields, write)

    def _changed(self, record: Record, fields: Mapping[str, Any], write: Write) -> Record:
        return record._replace(**fields, updated_at_us=write.accepted_at_us, version=record.version + 1)

    def _operated(self, write: Write, record: Record, made: list[FollowUp]) -> Record:
        operation = self.operations.get(write.operation)
        if operation is None:
            raise _unknown(write, f"is the operation {write.operation} of {self.name}")
        arguments = _arguments(write)
        if unknown := arguments.keys() - operation.arguments.keys():
            raise _unknown(write, f"gives {operation.name} {', '.join(sorted(unknown))}")
        result = self._run(partial(operation.run, record, arguments, write.accepted_at_us), operation.name)
        after, *follow_ups = result if type(result) is tuple else (result,)
        is_next = type(after) is self.record and after.id == record.id
        if not is_next or not all(isinstance(one, FollowUp) for one in follow_ups):
            wanted = "self.replace(...), alone or in a tuple with FollowUps behind it"
            message = f"{self.name}.{operation.name} returned {result!r:.60}: let it return {wanted}"
            raise WriteError(WriteErrorCode.OPERATION_FAILED, message)
        if len(follow_ups) > FOLLOW_UPS_MAX:
            message = f"{self.name}.{operation.name} made {len(follow_ups)} tasks: {FOLLOW_UPS_MAX} are the limit"
            raise WriteError(WriteErrorCode.OPERATION_FAILED, message)
        made += follow_ups
        return after

    def _new_record(self, record_id: int, at_us: int, fields: Mapping[str, Any]) -> Record:
        given = {**self._absent, **fields}
        return self.record(id=record_id, created_at_us=at_us, updated_at_us=at_us, version=1, **given)

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The stored defaults by column."""
        given = [field for field in self.fields.values() if field.default is not None]
        return {field.column: field.check(field.name, field.default) for field in given}

    @cached_property
    def _absent(self) -> dict[str, Any]:
        """The stored values of the fields that a stored create may leave out."""
        return {column: None for column, required in self._required.items() if not required} | self.defaults

    @cached_property
    def _always_written(self) -> frozenset[str]:
        always = first_version.ALWAYS_WRITTEN if self.name == first_version.RESOURCE else frozenset()
        return always | self.defaults.keys()

    def _fields_of(self, write: Write) -> dict[str, Any]:
        fields = first_version.composed_texts(_arguments(write), self._texts)
        if unknown := fields.keys() - self._required.keys():
            raise _unknown(write, f"sets {', '.join(sorted(unknown))}")
        is_new = write.operation in (Operation.CREATE, Operation.UPSERT)
        if is_new and (missing := self._needed - fields.keys()):
            raise _unreadable(write, f"{', '.join(sorted(missing))} is missing")
        return fields

    @cached_property
    def _needed(self) -> frozenset[str]:
        return frozenset(column for column, required in self._required.items() if required) - self._absent.keys()

    # -- the declaration as it is recorded --------------------------------------------------------------------

    @cached_property
    def recorded(self) -> dict[str, Any]:
        """What the database remembers of the declaration, to compare the next one with."""
        fields = {
            field.column: {"type": type(field).__name__, "required": field.required, "limits": dict(field.limits)}
            for field in self.fields.values()
        }
        operations = {code: list(operation.arguments) for code, operation in self.operations.items()}
        found = {"table": self.table, "fields": fields, "searched": list(self.searched), "operations": operations}
        if self.references:
            found["on_delete"] = {field.column: field.on_delete for field in self.references}
        return found


def description_of(declaration: type[Resource]) -> str:
    """The first paragraph of its docstring."""
    text = declaration.__doc__ if declaration.__doc__ != Resource.__doc__ else None
    first = (text or "").strip().split("\n\n")[0]
    return " ".join(first.split()) or f"The resource {declaration.__name__}."


def _members_of(declaration: type[Resource]) -> dict[str, Any]:
    """The attributes of the class and of its bases, those of a base first."""
    found: dict[str, Any] = {}
    for one in reversed(declaration.__mro__):
        if one not in (object, Resource):
            found |= {name: value for name, value in vars(one).items() if not name.startswith("__")}
    return found


def _named(name: str, field: Field) -> Field:
    """The field under its name: one object may be declared under several."""
    if field.declared_name == name:
        return field
    found = copy.copy(field)
    found.declare(name)
    return found


def _check(field: Field, value: Any, checked: dict[str, Any], refused: list[FieldError]) -> None:
    try:
        checked[field.column] = checked_value(field, field.name, value)
    except FieldError as error:
        refused.append(error)


def _arguments(write: Write) -> dict[str, Any]:
    try:
        found = json.loads(write.arguments)
    except ValueError as error:
        raise _unreadable(write, error) from error
    if not isinstance(found, dict):
        raise _unreadable(write, "they are not an object")
    return found


def _unreadable(write: Write, reason: object) -> WriteError:
    return WriteError(WriteErrorCode.UNREADABLE, f"The arguments of write {write.id} cannot be read: {reason}")


def _unknown(write: Write, what: str) -> WriteError:
    return WriteError(
        WriteErrorCode.UNREADABLE,
        f"Write {write.id} {what}, which this version does not know: start the version that accepted it, and queue the "
        "write again with retryWrite",
    )
