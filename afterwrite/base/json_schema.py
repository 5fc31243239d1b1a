"""Validators for JSON Schemas (Draft 2020-12).

jsonschema takes 3 MB and 40 ms, and a server may never need it: it is imported when a value is first validated.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from afterwrite.base.missing_packages import require

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

require("jsonschema")

Schema = Mapping[str, Any]


class Validator:
    """Validates values against one schema; thread-safe.

    ``keywords`` are other checks for these keywords, as jsonschema's ``extend`` takes them.
    """

    def __init__(self, schema: Schema, keywords: Mapping[str, Any] | None = None) -> None:
        self._schema, self._keywords = schema, keywords

    @cached_property
    def _made(self) -> Any:
        from jsonschema import Draft202012Validator
        from jsonschema.validators import extend

        kind = Draft202012Validator
        if self._keywords is not None:
            kind = extend(kind, self._keywords)  # type: ignore[no-untyped-call]
        return kind(self._schema)

    def errors(self, value: Any) -> "Iterator[ValidationError]":
        """The errors of a value, in no order."""
        found: Iterator[ValidationError] = self._made.iter_errors(value)
        return found

    def main_error(self, value: Any) -> "ValidationError | None":
        """The error that explains best why a value is invalid; None if it is valid."""
        from jsonschema.exceptions import best_match

        found: ValidationError | None = best_match(self.errors(value))
        return found


def check_schema(schema: Schema) -> None:
    """Raise ValueError, with the reason, for a schema that is none."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    try:
        validator_for(schema, default=Draft202012Validator).check_schema(dict(schema))
    except SchemaError as error:
        raise ValueError(error.message) from error
