"""Operations of a resource, compiled: arguments, the codes with which they reject, and a check that they are pure.

An operation may run again after a crash and must then do the same, so one that reads a clock, draws a number or reaches
outside is refused at the start. The check reads the bytecode of the operation and of the methods of its class that it
calls, not of other functions.
"""

import builtins
import copy
import dis
import inspect
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple, Union, get_args, get_origin

from afterwrite.base.times import from_microseconds
from afterwrite.resources.field import Field, FieldError, FieldProblem, checked_value
from afterwrite.resources.number_fields import Integer, Number
from afterwrite.resources.resource import AcceptedAt, Resource
from afterwrite.resources.text_fields import Text
from afterwrite.resources.value_fields import Boolean, Date, DateTime, Exact

_KINDS: Mapping[Any, type[Field]] = {
    int: Integer,
    str: Text,
    float: Number,
    bool: Boolean,
    Decimal: Exact,
    date: Date,
    datetime: DateTime,
}
_MODULES = """
asyncio async_db os random secrets socket sqlite3 subprocess sys threading time urllib uuid httpx requests sqlalchemy
"""
_IMPURE_MODULES = frozenset(_MODULES.split())
_IMPURE_NAMES = frozenset({"now", "today", "utcnow", "uuid1", "uuid4", "time_ns", "monotonic"})
_IMPURE_BUILTINS = frozenset({"open", "input", "print", "exec", "eval", "__import__", "id", "hash"})
_REMEDY = "take it as an argument; one annotated with AcceptedAt gets the time of acceptance"


class Argument(NamedTuple):
    """An argument of an operation, which the caller must give, or may leave out or give as null."""

    name: str
    field: Field
    has_default: bool

    @property
    def is_needed(self) -> bool:
        """Whether the caller must give it."""
        return self.field.required and not self.has_default


class CompiledOperation:
    """An operation: ``name`` as declared, ``code`` as in the ledger."""

    def __init__(self, owner: str, name: str, declaration: type, problems: list[str]) -> None:
        """``owner`` is the name of the resource; what is wrong is added to ``problems``, one line each."""
        method: Callable[..., Any] = getattr(declaration, name)
        self.name, self.code, self.method = name, name.upper(), method
        self.description = inspect.cleandoc(method.__doc__ or f"Queue {name.replace('_', ' ')} of a record.")
        self.arguments: dict[str, Argument] = {}
        self._times: list[str] = []
        place = f"{owner}.{name}"
        self._read_signature(place, problems)
        self.rejections = rejections_of(place, declaration, method, problems)
        for one in _called(declaration, method):
            problems += [f"{place} {impurity}: {_REMEDY}" for impurity in _impurities(one)]

    def check(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[FieldError]]:
        """The stored form of the arguments, and all errors in their order."""
        checked: dict[str, Any] = {}
        refused: list[FieldError] = []
        for name, argument in self.arguments.items():
            if name not in values and argument.has_default:
                continue
            try:
                checked[name] = checked_value(argument.field, name, values.get(name))
            except FieldError as error:
                refused.append(error)
        unknown, detail = sorted(values.keys() - self.arguments.keys()), f"is no argument of {self.name}: remove it"
        refused += [FieldError(name, FieldProblem.UNKNOWN_FIELD, detail) for name in unknown]
        return checked, refused

    def run(self, record: Any, stored: Mapping[str, Any], accepted_at_us: int) -> Any:
        """The next record. Raises Rejected, FieldError, or whatever else the operation raises."""
        given: dict[str, Any] = {name: from_microseconds(accepted_at_us) for name in self._times}
        for name, value in stored.items():
            given[name] = None if value is None else self.arguments[name].field.value_of(value)
        return self.method(record, **given)

    def _read_signature(self, place: str, problems: list[str]) -> None:
        parameters = list(inspect.signature(self.method).parameters.values())
        if not parameters or parameters[0].kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
            problems.append(f"{place} takes no record: give it self")
        for parameter in parameters[1:]:
            name = parameter.name
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                said = "/" if parameter.kind is parameter.POSITIONAL_ONLY else f"*{name}"
                problems.append(f"{place} takes {said}: name every argument and annotate it")
                continue
            if name in ("idempotency_key", "if_version"):
                problems.append(f"{place} has the argument {name}, which every operation has: give it another name")
                continue
            try:
                annotation = _evaluated(parameter.annotation, self.method)
            except Exception as error:  # noqa: BLE001 - any error of the application's own code
                problems.append(f"{place}: the annotation of {name} cannot be read: {error}")
                continue
            kind, may_be_null = _without_none(annotation)
            if kind is AcceptedAt:
                self._times.append(name)
            else:
                self._add(place, parameter, kind, may_be_null, problems)

    def _add(self, place: str, parameter: inspect.Parameter, kind: Any, may_be_null: bool, problems: list[str]) -> None:
        name, may_be_left_out = parameter.name, parameter.default is not parameter.empty
        if isinstance(kind, Field):
            field = copy.copy(kind)
        elif isinstance(kind, type) and issubclass(kind, Field):
            field = kind()
        elif declared := [one for one in getattr(kind, "__metadata__", ()) if isinstance(one, Field)]:
            field = copy.copy(declared[0])
        elif kind in _KINDS:
            field = _KINDS[kind]()
        else:
            wanted = ", ".join(one.__name__ for one in _KINDS)
            problems.append(f"{place}: {name} needs the annotation of a type: give one of {wanted}, or a field")
            return
        field.name, field.required = name, not may_be_null and parameter.default is not None
        field.default = parameter.default if may_be_left_out else None
        self.arguments[name] = Argument(name, field, may_be_left_out)


def rejections_of(place: str, declaration: type, method: Callable[..., Any], problems: list[str]) -> list[str]:
    """The codes of ``Rejected`` in a method and the methods of its class that it calls.

    One that is not a text there is added to ``problems``.
    """
    found: list[str] = []
    for one in _called(declaration, method):
        found += [code for code in _rejections_in(place, one, problems) if code not in found]
    return found


def _called(declaration: type, method: Callable[..., Any]) -> list[Callable[..., Any]]:
    """The method, and the methods of its class that it calls, directly or not."""
    found = [method]
    for one in found:
        names = {after.argval for _, after, *_ in _loads(_code_of(one)) if after.opname in ("LOAD_ATTR", "LOAD_METHOD")}
        for name in sorted(names - vars(Resource).keys()):
            called = inspect.getattr_static(declaration, name, None)
            if isinstance(called, FunctionType) and called not in found:
                found.append(called)
    return found


def _rejections_in(place: str, method: Callable[..., Any], problems: list[str]) -> list[str]:
    found: list[str] = []
    for _, instruction, first, second in _loads(_code_of(method)):
        if instruction.argval != "Rejected" or not instruction.opname.startswith("LOAD_"):
            continue
        code = first.argval if first.opname == "LOAD_CONST" else _globals_of(method).get(first.argval)
        if not isinstance(code, str) or second.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            problems.append(f"{place} raises Rejected without a code that stands there as a text: write the code there")
        elif not (code.isidentifier() and code == code.upper() and not code.startswith("__")):
            problems.append(f"{place} rejects with the code {code!r}: give capital letters, digits and _")
        elif code not in found:
            found.append(code)
    return found


def _impurities(method: Callable[..., Any]) -> Iterator[str]:
    code = _code_of(method)
    if code.co_flags & (inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
        yield "is a coroutine or a generator"
    seen = set()
    for before, instruction, *_ in _loads(code):
        name = instruction.argval
        is_of_record = before.opname.startswith("LOAD_FAST") and before.argval == code.co_varnames[0]
        if not isinstance(name, str) or name in seen or is_of_record:
            continue
        if instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            seen.add(name)
            yield f"changes the global {name}"
        elif _is_impure(instruction.opname, name, method):
            seen.add(name)
            yield f"uses {name}, which is not the same each time"


def _is_impure(opname: str, name: str, method: Callable[..., Any]) -> bool:
    if opname == "IMPORT_NAME":
        return name.partition(".")[0] in _IMPURE_MODULES
    if opname in ("LOAD_ATTR", "LOAD_METHOD"):
        return name in _IMPURE_NAMES
    if opname != "LOAD_GLOBAL":
        return False
    if name not in _globals_of(method):
        return name in _IMPURE_BUILTINS and hasattr(builtins, name)
    value = _globals_of(method)[name]
    if isinstance(value, ModuleType):
        return value.__name__.partition(".")[0] in _IMPURE_MODULES
    owner = getattr(value, "__self__", None)
    home = getattr(value, "__module__", None) or type(owner).__module__
    return str(home).partition(".")[0] in _IMPURE_MODULES and not isinstance(value, type)


def _loads(code: CodeType) -> Iterator[tuple[dis.Instruction, dis.Instruction, dis.Instruction, dis.Instruction]]:
    """Each instruction that loads or stores, after the one before it; with the next two. Of inner functions too."""
    found = [
        one for one in dis.get_instructions(code) if one.opname.startswith(("LOAD_", "STORE_", "DELETE_", "IMPORT_"))
    ]
    ends = [*found, *found[-1:], *found[-1:]]
    yield from zip([*found[:1], *found], found, ends[1:], ends[2:], strict=False)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _loads(constant)


def _evaluated(annotation: Any, method: Callable[..., Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    return eval(annotation, _globals_of(method), inspect.getclosurevars(method).nonlocals)  # noqa: S307 - its own code


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """The annotation without ``None``, and whether it had it."""
    options = get_args(annotation)
    if type(None) not in options or (get_origin(annotation) is not Union and "UnionType" not in str(type(annotation))):
        return annotation, False
    others = [option for option in options if option is not type(None)]
    return (others[0] if len(others) == 1 else annotation), True


def _code_of(method: Callable[..., Any]) -> CodeType:
    code: CodeType = inspect.unwrap(method).__code__
    return code


def _globals_of(method: Callable[..., Any]) -> dict[str, Any]:
    found: dict[str, Any] = inspect.unwrap(method).__globals__
    return found
