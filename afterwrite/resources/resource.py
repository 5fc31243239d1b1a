"""The base class of resources, and what a declaration is written with beside its fields."""

from collections.abc import Callable
from datetime import datetime
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from afterwrite.resources.field import Field

T = TypeVar("T")
Function = TypeVar("Function", bound=Callable[..., Any])


class Rejected(Exception):
    """An operation or a rule of a resource refuses: the write ends FAILED with this code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class FollowUp(NamedTuple):
    """A task that an operation makes: stored with the record if the write is applied, run afterwards by its worker.

    ``run_at`` None is at once; of several that wait, the one with the highest ``priority`` runs first. The outcome is
    posted to ``callback_url``.
    """

    type: str
    payload: Any
    run_at: datetime | None = None
    priority: int = 0
    callback_url: str | None = None


class AcceptedAt(datetime):
    """The annotation of an operation's argument that gets the time at which the write was accepted."""


class ResourceType(type):
    """Makes a class of a declaration; ``class Person(Resource, plural="people")`` gives names that are not derived."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], /, **given: str) -> "ResourceType":
        namespace.setdefault("__slots__", ())  # records are tuples, and need no other storage
        made = super().__new__(cls, name, bases, namespace)
        made.given_names = given
        return made

    given_names: dict[str, str]

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], /, **_given: str) -> None:
        super().__init__(name, bases, namespace)


class Resource(metaclass=ResourceType):
    """A kind of record that an application declares with fields, derived values, operations and rules.

    Its docstring describes it in the API. Names are derived from the class: ``OrderLine`` has ``orderLine``,
    ``orderLines`` and the table ``order_lines``; after the base class ``name="..."`` gives another type in the API, and
    ``plural="..."`` and ``table="..."`` other names in snake case.
    """

    if TYPE_CHECKING:
        id: int
        created_at: datetime  # when its creation was accepted
        updated_at: datetime  # when its last applied write was accepted
        version: int  # 1 at its creation, one more with each applied write

    def replace(self, **values: Any) -> Self:
        """The record with other values of some fields, checked as an update is, for an operation to return.

        Raises FieldError for a wrong value, with which the write ends FAILED.
        """
        raise NotImplementedError("a declaration has no records")

    def check(self) -> None:
        """The rule over several fields, if the class has one: raise Rejected if the record breaks it."""


def derived(kind: type[Field] | Field) -> Callable[[Callable[[Any], T]], T]:
    """Make a method a computed field of the API, of the type of ``kind``, such as ``Number``."""

    def mark(method: Callable[[Any], T]) -> T:
        is_type = isinstance(kind, type) and issubclass(kind, Field)
        return Derived(method, kind() if is_type else kind)  # type: ignore[return-value, operator, arg-type]

    if isinstance(kind, FunctionType):  # without the type, which stops the start with a line
        return Derived(kind, None)
    return mark


class Derived(property):
    """A computed field: a property with the kind of its value."""

    def __init__(self, method: Callable[[Any], Any], kind: Field) -> None:
        super().__init__(method)
        self.__doc__ = method.__doc__
        self.kind = kind


def operation(method: Function) -> Function:
    """Make a method an operation: a pure function from the record and its arguments to the next record.

    The one writer calls it in the order of acceptance, so no two run at once and nothing is lost. Arguments are
    annotated with ``int``, ``str``, ``float``, ``bool``, ``Decimal``, ``date``, ``datetime``, with a field that has
    limits, such as ``Annotated[int, Integer(minimum=1)]``, or with AcceptedAt. It returns ``self.replace(...)``, or a
    tuple of that and FollowUps, or raises Rejected with a code that stands there as a text.
    """
    method.is_operation = True  # type: ignore[attr-defined]
    return method
