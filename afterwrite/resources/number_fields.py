"""Field types of numbers: Integer, Number and Money."""

import math
import re
from collections.abc import Mapping, Sequence, Set
from decimal import Decimal, InvalidOperation
from operator import eq
from typing import Any

from afterwrite.base.text import shorten
from afterwrite.resources.field import Field, FieldError, FieldProblem, decimal_of, wrong_range, wrong_type

INT_MAX = 2**31 - 1  # of GraphQL's Int
WHOLE_MAX = 2**63 - 1  # of both databases
MONEY_MAX_MINOR = 10**13  # at 100 billion a Float still distinguishes every cent

_QUOTED = 80
_SMALL = 2**53
_INT, _NUMBERS = frozenset({int}), frozenset({int, float})
_DECIMALS = ("no decimals", "one decimal", "two decimals", "three decimals", "four decimals")
# The currencies of ISO 4217 whose minor unit is not a hundredth.
_WHOLE_UNITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THOUSANDTHS = "BHD IQD JOD KWD LYD OMR TND"
_MINOR_UNITS = {
    **dict.fromkeys(_WHOLE_UNITS.split(), 0),
    **dict.fromkeys(_THOUSANDTHS.split(), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


class Integer(Field):
    """A whole number from ``minimum`` to ``maximum``; the default limits are those of 32 bits."""

    stored = int

    def __init__(self, *, minimum: int = -INT_MAX - 1, maximum: int = INT_MAX, **given: Any) -> None:
        super().__init__(**given)
        self.minimum, self.maximum = minimum, maximum

    @property
    def limits(self) -> Mapping[str, Any]:
        return {"minimum": self.minimum, "maximum": self.maximum}

    @property
    def is_big(self) -> bool:
        """Whether GraphQL's Int cannot hold every value."""
        return self.minimum < -INT_MAX - 1 or self.maximum > INT_MAX

    def check(self, name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(name, value, "a whole number")
        if not self.minimum <= value <= self.maximum:
            detail = f"is {value}: give a whole number from {self.minimum} to {self.maximum}"
            raise FieldError(name, FieldProblem.OUT_OF_RANGE, detail)
        return value

    def usual(self, value: str) -> tuple[str, str]:
        return f"type({value}) is int and {self.minimum} <= {value} <= {self.maximum}", value

    def usual_column(self, values: Sequence[Any], kinds: Set[type], is_plain: bool) -> Sequence[Any] | None:
        return values if kinds == _INT and self.minimum <= min(values) and max(values) <= self.maximum else None

    def wrong_limits(self) -> str | None:
        return self._wrong_whole("minimum", "maximum") or wrong_range(self.minimum, self.maximum, WHOLE_MAX)


class Number(Field):
    """A finite number from ``minimum`` to ``maximum``; None: without that limit."""

    stored = float

    def __init__(self, *, minimum: float | None = None, maximum: float | None = None, **given: Any) -> None:
        super().__init__(**given)
        self.minimum, self.maximum = minimum, maximum

    @property
    def limits(self) -> Mapping[str, Any]:
        return {"minimum": self.minimum, "maximum": self.maximum}

    @property
    def hint(self) -> str:  # type: ignore[override]
        """The range."""
        wanted = self._wanted
        return wanted.removeprefix("a number ").removeprefix("of ").capitalize() if self.minimum is not None else ""

    def check(self, name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type(name, value, self._wanted)
        try:
            number = float(value)
        except OverflowError:  # a larger integer
            number = math.inf
        is_in = (self.minimum is None or number >= self.minimum) and (self.maximum is None or number <= self.maximum)
        if not is_in:  # nor is NaN, unless there is no limit
            raise FieldError(name, FieldProblem.OUT_OF_RANGE, f"is {value}: give {self._wanted}")
        if not math.isfinite(number):
            raise FieldError(name, FieldProblem.NOT_FINITE, f"is {shorten(str(value))}: give a finite number")
        return number

    @property
    def _wanted(self) -> str:
        match self.minimum, self.maximum:
            case None, None:
                return "a number"
            case least, None:
                return f"a number of {least} or more"
            case None, most:
                return f"a number of {most} or less"
        return f"a number from {self.minimum} to {self.maximum}"

    def usual(self, value: str) -> tuple[str, str]:
        least = "-inf < " if self.minimum is None else f"{self.minimum!r} <= "
        most = " < inf" if self.maximum is None else f" <= {self.maximum!r}"
        return f"type({value}) is float and {least}{value}{most}", value

    def usual_column(self, values: Sequence[Any], kinds: Set[type], is_plain: bool) -> Sequence[Any] | None:
        if not kinds <= _NUMBERS or not _is_small(values):
            return None
        is_above = self.minimum is None or self.minimum <= min(values)
        is_in = is_above and (self.maximum is None or max(values) <= self.maximum)
        return (list(map(float, values)) if int in kinds else values) if is_in else None

    def wrong_limits(self) -> str | None:
        for name in ("minimum", "maximum"):
            limit = getattr(self, name)
            if limit is not None and (type(limit) not in (int, float) or not math.isfinite(limit)):
                return f"{name} is {limit!r:.40}: give a number, or leave it out"
        least, most = self.minimum, self.maximum
        return None if least is None or most is None else wrong_range(least, most, math.inf)


class Money(Field):
    """An amount, held exactly in minor units: ``decimals`` are those of ``currency`` in ISO 4217, else two.

    ``minimum`` and ``maximum`` are in major units. Code uses a Decimal; the API, a number.
    """

    stored, suffix = int, "_minor"

    def __init__(
        self,
        *,
        currency: str | None = None,
        decimals: int | None = None,
        minimum: int = 0,
        maximum: int | None = None,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        self.currency = currency
        self.decimals = _MINOR_UNITS.get(currency or "", 2) if decimals is None else decimals
        digits = self.decimals if self.decimals in range(len(_DECIMALS)) else 2  # any other is refused at the start
        self.scale: int = 10**digits
        self.minimum, self.maximum = minimum, MONEY_MAX_MINOR // self.scale if maximum is None else maximum
        self._unit = Decimal(1).scaleb(-digits)

    @property
    def limits(self) -> Mapping[str, Any]:
        return {"minimum": self.minimum, "maximum": self.maximum, "decimals": self.decimals}

    @property
    def hint(self) -> str:  # type: ignore[override]
        """The decimals and the currency."""
        said = f"At most {_DECIMALS[self.decimals]}" if self.decimals else "A whole number"
        return f"{said}, in {self.currency}" if self.currency else said

    def check(self, name: str, value: Any) -> int:
        if isinstance(value, float):
            return self._check_float(name, value)
        if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
            raise wrong_type(name, value, "a number")
        try:
            amount = decimal_of(value) if isinstance(value, str) else Decimal(value)
        except InvalidOperation:
            raise wrong_type(name, value, "a number") from None
        if not amount.is_finite():
            raise FieldError(name, FieldProblem.NOT_FINITE, f"is {value}: give a finite number")
        self._check_range(name, amount, value)
        exact = amount.quantize(self._unit)
        if exact != amount:  # exact for any number of digits
            raise self._too_many_decimals(name, value)
        return int(exact.scaleb(self.decimals))

    def value_of(self, stored: int) -> Decimal:
        return Decimal(stored).scaleb(-self.decimals)

    def usual(self, value: str) -> tuple[str, str]:
        minor = f"{value}_minor"
        within = f"type({value}) is float and {self.minimum} <= {value} <= {self.maximum}"
        # Division rounds correctly, so it returns the same float only if that had no more decimals.
        return f"{within} and ({minor} := round({value} * {self.scale})) / {self.scale} == {value}", minor

    def usual_column(self, values: Sequence[Any], kinds: Set[type], is_plain: bool) -> Sequence[Any] | None:
        is_number = kinds <= _NUMBERS and _is_small(values)
        if not is_number or min(values) < self.minimum or max(values) > self.maximum:
            return None
        scale = self.scale
        minors = [round(value * scale) for value in values]
        return minors if all(map(eq, [minor / scale for minor in minors], values)) else None

    def wrong_limits(self) -> str | None:
        if wrong := self._wrong_whole("minimum", "maximum", "decimals"):
            return wrong
        if not 0 <= self.decimals < len(_DECIMALS):
            return f"decimals is {self.decimals}: give 0 to {len(_DECIMALS) - 1}"
        if self.currency is not None and not re.fullmatch("[A-Z]{3}", self.currency):
            return f"currency is {self.currency!r}: give a code of ISO 4217, such as EUR"
        return wrong_range(self.minimum, self.maximum, MONEY_MAX_MINOR // self.scale)

    def allows_all_of(self, limits: Mapping[str, Any]) -> bool:
        return limits.get("decimals") == self.decimals and super().allows_all_of(limits)

    def _check_float(self, name: str, value: float) -> int:
        if not math.isfinite(value):
            raise FieldError(name, FieldProblem.NOT_FINITE, f"is {value}: give a finite number")
        self._check_range(name, value, value)
        minor = round(value * self.scale)
        if minor / self.scale != value:
            raise self._too_many_decimals(name, value)
        return minor

    def _check_range(self, name: str, amount: float | Decimal, value: Any) -> None:
        if not self.minimum <= amount <= self.maximum:
            shown = shorten(str(value), _QUOTED)
            detail = f"is {shown}: give a number from {self.minimum} to {self.maximum}"
            raise FieldError(name, FieldProblem.OUT_OF_RANGE, detail)

    def _too_many_decimals(self, name: str, value: Any) -> FieldError:
        wanted = f"at most {_DECIMALS[self.decimals]}" if self.decimals else "a whole number"
        return FieldError(name, FieldProblem.TOO_MANY_DECIMALS, f"is {shorten(str(value), _QUOTED)}: give {wanted}")


def _is_small(values: Sequence[float]) -> bool:
    """Whether all are numbers that a float holds exactly or as JSON gave them; NaN and infinity are not."""
    return abs(min(values)) < _SMALL and abs(max(values)) < _SMALL and not math.isnan(sum(values))
