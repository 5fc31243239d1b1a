"""The base of field types: what a declaration says of a field, and why a value is refused.

A value is checked when a write is accepted, and stored as an integer, a float or a text. ``column`` is the name of the
stored form: money is stored in minor units as ``price_minor``, a time in microseconds since 1970 as ``due_us``.
"""

from collections.abc import Mapping, Sequence, Set
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from afterwrite.base.text import find_unusable, shorten

_QUOTED = 80


class FieldProblem(StrEnum):
    """Why a value was refused."""

    REQUIRED = "REQUIRED"
    WRONG_TYPE = "WRONG_TYPE"
    TOO_LONG = "TOO_LONG"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    NOT_FINITE = "NOT_FINITE"
    TOO_MANY_DECIMALS = "TOO_MANY_DECIMALS"
    INVALID_TEXT = "INVALID_TEXT"
    INVALID_URL = "INVALID_URL"
    INVALID_EMAIL = "INVALID_EMAIL"
    INVALID_TIME = "INVALID_TIME"
    NOT_A_CHOICE = "NOT_A_CHOICE"
    IMMUTABLE = "IMMUTABLE"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"


class FieldError(ValueError):
    """A refused value: the field, the reason, and ``detail`` with the value and the limit."""

    def __init__(self, field: str, problem: FieldProblem, detail: str) -> None:
        super().__init__(f"{field} {detail}")
        self.field, self.problem, self.detail = field, problem, detail

    def as_json(self) -> dict[str, str | None]:
        """``{"field", "code", "message"}``, as reports list it."""
        return {"field": self.field, "code": self.problem.value, "message": str(self)}


class Field:
    """A field of a resource, or an argument of one of its operations.

    ``required``: never null, and given at a creation unless there is a ``default``. ``unique``: no two records have the
    same value. ``search``: searches match the text. ``order``: lists can be ordered by it. ``filter``: any of
    ``"equal"``, ``"in"`` and ``"range"``. ``facet``: a query counts the records of each value; a text names it.
    ``immutable``: set at the creation only. ``aliases``: other names under which files give it, dotted for a member of
    an object, such as ``"rating.rate"``. ``help`` reaches the API's descriptions and the console's forms.
    """

    stored: type = str
    """How a value is stored: ``str``, ``int`` or ``float``."""
    suffix = ""
    """What the name of the stored form adds to the field's name."""
    is_ordered = True
    """Whether values have an order, by which lists can be ordered and ranges be filtered."""
    hint = ""
    """The format, for descriptions."""

    def __init__(
        self,
        *,
        required: bool = False,
        default: Any = None,
        unique: bool = False,
        search: bool = False,
        order: bool = False,
        filter: str | Sequence[str] = (),  # noqa: A002 - the word of a declaration
        facet: bool | str = False,
        immutable: bool = False,
        aliases: str | Sequence[str] = (),
        help: str = "",  # noqa: A002
    ) -> None:
        self.name = ""
        self.required, self.default, self.unique, self.search = required, default, unique, search
        self.order, self.facet, self.immutable, self.help = order, facet, immutable, help
        self.filters = (filter,) if isinstance(filter, str) else tuple(filter)
        self.aliases = (aliases,) if isinstance(aliases, str) else tuple(aliases)

    def __set_name__(self, _owner: type, name: str) -> None:
        self.declare(name)

    def declare(self, name: str) -> None:
        """Take the name under which the field is declared."""
        self.name = name

    @property
    def declared_name(self) -> str:
        """The name under which the field is declared."""
        return self.name

    def __get__(self, _record: Any, _owner: type | None = None) -> Any:
        """The field itself in a declaration; a record has its values in their place."""
        return self

    @property
    def column(self) -> str:
        """The name of the stored form."""
        return self.name + self.suffix

    @property
    def limits(self) -> Mapping[str, Any]:
        """The limits of a value by name."""
        return {}

    @property
    def description(self) -> str:
        """The help text, or the format."""
        return self.help or self.hint

    def check(self, name: str, value: Any) -> Any:
        """The stored form of a value that is not None. Raises FieldError, in which the field is called ``name``."""
        raise NotImplementedError

    def value_of(self, stored: Any) -> Any:
        """The value as Python code uses it."""
        return stored

    def usual(self, value: str) -> tuple[str, str]:
        """An expression that is true for an ordinary valid value, and one for its stored form.

        They are Python source for ``compiled``, in which ``value`` is a variable; it may be assigned to. False does not
        mean invalid: ``check`` decides.
        """
        raise NotImplementedError

    def usual_column(self, values: Sequence[Any], kinds: Set[type], is_plain: bool) -> Sequence[Any] | None:
        """The stored form of many values at once if all are ordinary and valid; None: ``check`` decides of each.

        None of them is None; ``kinds`` are their types. ``is_plain``: all texts are of printable ASCII characters.
        It counts only beside the ``usual`` of the same class.
        """
        return None

    def wrong_limits(self) -> str | None:
        """What is wrong with the limits themselves, or None."""
        return None

    def _wrong_whole(self, *names: str) -> str | None:
        """The limit that is no whole number, or None."""
        wrong = [name for name in names if type(getattr(self, name)) is not int]
        return f"{wrong[0]} is {getattr(self, wrong[0])!r:.40}: give a whole number" if wrong else None

    def allows_all_of(self, limits: Mapping[str, Any]) -> bool:
        """Whether every value is valid that was valid under other limits of the same type."""
        return all(_is_wider(name, self.limits.get(name), limits.get(name)) for name in {*self.limits, *limits})


def checked_value(field: Field, name: str, value: Any) -> Any:
    """The stored form of a value, None if it is None; a FieldError given as value is raised. Raises FieldError."""
    if isinstance(value, FieldError):
        raise value
    if value is None:
        if field.required:
            raise FieldError(name, FieldProblem.REQUIRED, "is required and cannot be null")
        return None
    return field.check(name, value)


def check_text(name: str, value: Any, longest: int) -> str:
    """A text of at most ``longest`` characters that both databases can store. Raises FieldError."""
    if not isinstance(value, str):
        raise wrong_type(name, value, "a text")
    if len(value) > longest:
        raise FieldError(name, FieldProblem.TOO_LONG, f"has {len(value):,} characters: {longest:,} are the limit")
    if not value.isprintable() and (found := find_unusable(value)):  # almost every text is printable
        detail = f"has the character U+{ord(found[0]):04X} at position {found.start()}: remove it"
        raise FieldError(name, FieldProblem.INVALID_TEXT, detail)
    return value


def decimal_of(text: str) -> Decimal:
    """The number in a text. Raises InvalidOperation."""
    if "_" in text:  # Decimal accepts 1_000; JSON, CSV and people do not write that
        raise InvalidOperation
    return Decimal(text.strip())


def wrong_type(name: str, value: Any, wanted: str) -> FieldError:
    """The error for a value of another type than is wanted."""
    return FieldError(name, FieldProblem.WRONG_TYPE, f"is {shorten(repr(value), _QUOTED)}: give {wanted}")


def wrong_range(least: float, most: float, widest: float) -> str | None:
    """What is wrong with a range, or None; ``widest`` can be stored."""
    if least > most:
        return f"its minimum {least} is above its maximum {most}: exchange them"
    if least < -widest or most > widest:
        return f"its range from {least} to {most} is too wide: {-widest} to {widest} can be stored"
    return None


def _is_wider(name: str, now: Any, before: Any) -> bool:
    """Whether a limit allows all that it allowed before."""
    if now == before or name == "choices":
        return set(before) <= set(now) if name == "choices" else True
    if now is None or before is None:  # no limit
        return now is None
    return bool(now <= before if name == "minimum" else now >= before)
