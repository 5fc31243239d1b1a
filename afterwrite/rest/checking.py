"""Validates values against JSON Schemas (Draft 2020-12), with plain error messages."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from afterwrite.base.json_schema import Schema, Validator
from afterwrite.base.text import shorten
from afterwrite.rest.problems import ProblemDetails, pointer_to

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_ERRORS_SHOWN = 20
_SHOWN = 60
_NOUNS = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def _check_multiple(_validator: Any, unit: float, value: Any, _schema: Schema) -> "Iterator[ValidationError]":
    """``multipleOf`` of the decimals as they are written: in binary 0.07 is no multiple of 0.01."""
    from jsonschema.exceptions import ValidationError

    if isinstance(value, int | float) and not isinstance(value, bool) and Fraction(str(value)) % Fraction(str(unit)):
        yield ValidationError("not a multiple")


class Check:
    """Validates values against one schema; thread-safe.

    ``place`` is how a problem locates an error: "pointer" into a body, or "parameter" of the URL.
    """

    def __init__(self, schema: Schema, place: str = "pointer") -> None:
        self._validator, self._place = Validator(schema, {"multipleOf": _check_multiple}), place

    def check(self, value: Any) -> None:
        """Raises ProblemDetails (422) with every error, up to a limit."""
        found: dict[str, str] = {}
        for error in islice(self._validator.errors(value), _ERRORS_SHOWN):
            for path, detail in _explained(error):
                place = str(path[0]) if self._place == "parameter" else pointer_to("#", path)
                found.setdefault(place, detail)
        if found:
            raise _invalid([{self._place: place, "detail": detail} for place, detail in found.items()])


def _invalid(errors: list[dict[str, str]]) -> ProblemDetails:
    first = errors[0]
    place = first.get("parameter") or first["pointer"][2:] or "The body"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return ProblemDetails(422, "INVALID_REQUEST", f"{place} {first['detail']}{more}", errors)


def _explained(error: "ValidationError") -> Iterator[tuple[list[str | int], str]]:
    """The paths and messages for one error of the library."""
    path, value = list(error.absolute_path), cast(Any, error.instance)
    wanted, schema = cast(Any, error.validator_value), cast(Any, error.schema)
    match error.validator:
        case "required":
            for name in wanted:
                if name not in value:
                    yield [*path, name], "is missing"
        case "additionalProperties":
            known = ", ".join(schema["properties"])
            for name in islice((name for name in value if name not in schema["properties"]), _ERRORS_SHOWN):
                yield [*path, shorten(name)], f"is unknown: give only {known}"
        case "anyOf" if all("required" in choice for choice in wanted):
            names = " or ".join(choice["required"][0] for choice in wanted)
            yield path, f"changes nothing: give {names}"
        case _:
            yield path, _detail(error.validator, wanted, value, schema)


def _detail(keyword: Any, wanted: Any, value: Any, schema: Schema) -> str:
    match keyword:
        case "type":
            names = [wanted] if isinstance(wanted, str) else wanted
            return f"is {_quoted(value)}: give {' or '.join(_NOUNS.get(name, name) for name in names)}"
        case "minLength" | "maxLength":
            return f"has {len(value):,} characters: give {_bound(keyword)} {wanted:,}"
        case "minItems" | "maxItems":
            return f"has {len(value):,} items: give {_bound(keyword)} {wanted:,}"
        case "minimum" | "maximum":
            return f"is {_quoted(value)}: give {_bound(keyword)} {wanted:,}"
        case "multipleOf":
            return f"is {_quoted(value)}: give a multiple of {wanted}"
        case "enum":
            return f"is {_quoted(value)}: give one of {', '.join(map(str, wanted))}"
        case "const":
            return f"is {_quoted(value)}: give {wanted} here"
        case "pattern":
            return f"is {_quoted(value)}: give {schema.get('title') or f'a text that matches {wanted}'}"
    return f"is {_quoted(value)}, which does not fit {keyword}: see /openapi.json"


def _bound(keyword: str) -> str:
    return "at least" if keyword.startswith("min") else "at most"


def _quoted(value: Any) -> str:
    """A value as a message quotes it, shortened."""
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(shorten(value))
    return shorten(str(value) if isinstance(value, float) or abs(value) < 10**_SHOWN else "a huge number")
