"""JSON forms of field values over REST: the JSON Schema of each field type, and the conversions both ways."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from afterwrite.resources import number_fields, text_fields, value_fields
from afterwrite.resources.field import Field, wrong_type
from afterwrite.resources.reference_field import ID_TEXT, Reference
from afterwrite.rest.schemas import TEXT, Schema, or_null

Absolute = Callable[[str | None], str | None]
# Python's spaces: a required text has at least one character that is none of them.
_SPACES = r"\t\n\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_CONTROLS = r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f"
_ANY_TEXT = rf"^[^{_CONTROLS}]*(?![\s\S])"
_NOT_BLANK = rf"^[{_SPACES}]*[^{_SPACES}{_CONTROLS}][^{_CONTROLS}]*(?![\s\S])"
_URL = rf"^[hH][tT][tT][pP][sS]?://[A-Za-z0-9._-]+(:[0-9]{{1,5}})?([/?#][^\u0000-\u001f\u007f{_SPACES}]*)?(?![\s\S])"
_LABEL = "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_EMAIL = rf"^[a-zA-Z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(\.{_LABEL})*(?![\s\S])"
_DECIMAL = r"^[+-]?[0-9]{1,40}(\.[0-9]{1,40})?(?![\s\S])"
_IN_CALENDAR = "^(?!0000|0001-01-0[12]|9999-12-3[01])"  # in every time zone
_NUMBER: Schema = {"type": "number"}
_NOT_NULL = ["object", "array", "string", "number", "boolean"]


class Form(NamedTuple):
    """How the values of a field type are written in JSON.

    ``shape`` is the schema of every value and ``limits`` makes that of the values which a field accepts; ``show`` makes
    the JSON of a value, with a function that makes a path of this server absolute, and ``take`` what the checks get
    of JSON: a value or, under the name of the field, a FieldError. Neither is called with null.
    """

    shape: Schema
    limits: Callable[[Any], Schema] = lambda _field: {}
    show: Callable[[Any, Absolute], Any] = lambda value, _absolute: value
    take: Callable[[str, Any], Any] = lambda _name, value: value


def _text_limits(field: text_fields.Text) -> Schema:
    pattern, said = (_NOT_BLANK, "a text that is not blank") if field.required else (_ANY_TEXT, "a text")
    return {"maxLength": field.max_length, "pattern": pattern, "title": f"{said}, without control characters"}


def _range_of(field: number_fields.Number | number_fields.Integer | number_fields.Money) -> dict[str, Any]:
    given = {"minimum": field.minimum, "maximum": field.maximum}
    return {name: limit for name, limit in given.items() if limit is not None}


def _whole(_name: str, value: Any) -> Any:
    """33.0 is a whole number in JSON Schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _no_text(name: str, value: Any) -> Any:
    """Python code may give an amount as a text; JSON has numbers."""
    return wrong_type(name, value, "a number") if isinstance(value, str) else value


def _text_only(name: str, value: Any) -> Any:
    """Ids are texts in JSON, as in GraphQL; Python code may give numbers."""
    return value if isinstance(value, str) else wrong_type(name, value, "an id, as a text")


def _iso(value: Any, _absolute: Absolute) -> str:
    return str(value.isoformat())


FORMS: Mapping[type[Field], Form] = {
    text_fields.Text: Form(TEXT, _text_limits),
    text_fields.Url: Form(
        TEXT,
        lambda field: {"maxLength": field.max_length, "pattern": _URL, "title": "an absolute http or https URL"},
        show=lambda value, absolute: absolute(value),
    ),
    text_fields.Email: Form(TEXT, lambda _: {"maxLength": 254, "pattern": _EMAIL, "title": "an e-mail address"}),
    text_fields.Choice: Form(TEXT, lambda field: {"enum": list(field.choices)}),
    number_fields.Integer: Form({"type": "integer"}, _range_of, take=_whole),
    number_fields.Number: Form(_NUMBER, _range_of, show=lambda value, _: float(value)),
    number_fields.Money: Form(
        _NUMBER,
        lambda field: {**_range_of(field), "multipleOf": 1 if field.scale == 1 else 1 / field.scale},
        show=lambda value, _: float(value),
        take=_no_text,
    ),
    value_fields.Boolean: Form({"type": "boolean"}),
    value_fields.Date: Form({**TEXT, "format": "date"}, show=_iso),
    value_fields.DateTime: Form(
        {**TEXT, "format": "date-time"},
        lambda _: {"pattern": _IN_CALENDAR, "title": "a time of the years 1 to 9999"},
        show=_iso,
    ),
    value_fields.Json: Form({}),
    Reference: Form(
        TEXT,
        lambda _: {"pattern": ID_TEXT, "title": "the id of a record"},
        show=lambda value, _: str(value),
        take=_text_only,
    ),
    value_fields.Exact: Form(
        {"type": ["string", "integer"]},
        lambda _: {"pattern": _DECIMAL, "title": "a decimal number"},
        show=lambda value, _: str(value),
    ),
}
"""The forms by type of field; a type without one has that of its base."""


def form_of(field: Field) -> Form:
    """The form of a field's values."""
    return next(FORMS[kind] for kind in type(field).__mro__ if kind in FORMS)


def given_schema(field: Field) -> Schema:
    """The schema of the values that a request may give for a field, null included if that empties it."""
    form = form_of(field)
    schema: dict[str, Any] = {**form.shape, **form.limits(field)}
    if field.required:
        schema |= {} if "type" in schema else {"type": _NOT_NULL}
    else:
        schema = or_null(schema)
    if field.default is not None:
        schema["default"] = _default_of(field, form)
    return described(schema, field.help or field.hint)


def shown_schema(field: Field, description: str, *, required: bool) -> Schema:
    """The schema of a field's values in responses."""
    shape = form_of(field).shape
    return described(shape if required else or_null(shape), description)


def filter_schema(field: Field) -> Schema:
    """The schema of a value to compare with; any text may be looked for."""
    form = form_of(field)
    is_any = isinstance(field, text_fields.Text | text_fields.Url)
    return form.shape if is_any else {**form.shape, **form.limits(field)}


def described(schema: Schema, description: str) -> Schema:
    """A schema with a description, if there is one."""
    return {**schema, "description": description} if description else schema


def _default_of(field: Field, form: Form) -> Any:
    return form.show(field.value_of(field.check(field.name, field.default)), lambda url: url)
