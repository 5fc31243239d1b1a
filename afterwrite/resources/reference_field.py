"""The field type Reference: a record of another resource."""

import re
from collections.abc import Mapping
from typing import Any

from afterwrite.resources.field import Field, wrong_type
from afterwrite.resources.names import snake_case
from afterwrite.resources.number_fields import WHOLE_MAX

ON_DELETE = ("restrict", "cascade", "set_null")
ID_TEXT = r"^[1-9][0-9]{0,17}(?![\s\S])"
"""The pattern of an id as a text."""


is_id = re.compile(ID_TEXT).search


class Reference(Field):
    """A record of the resource ``target``: a class, or the name of one that is declared below or is the same.

    Declared as ``product``, it is stored and named ``product_id``, the id of the record, which must exist when the
    write is applied; the API has ``product`` beside it. ``on_delete`` says what deleting that record does to those that
    refer to it: ``"restrict"`` refuses the deletion, ``"cascade"`` deletes them too, ``"set_null"`` empties the field.
    The record has those that refer to it as a connection called ``reverse``; by default the plural of the resource.
    """

    stored = int
    is_ordered = False

    def __init__(self, target: Any, *, on_delete: str = "restrict", reverse: str = "", **given: Any) -> None:
        super().__init__(**given)
        self.declared_target, self.on_delete, self.reverse = target, on_delete, reverse
        self.relation = ""

    def __get__(self, record: Any, _owner: type | None = None) -> Any:
        if record is not None:
            raise AttributeError(f"{self.relation}: a record does not read others, {self.name} is the id")
        return self

    def declare(self, name: str) -> None:
        self.relation, self.name = name, f"{name}_id"

    @property
    def declared_name(self) -> str:
        return self.relation

    @property
    def target(self) -> str:
        """The name of the resource that it refers to."""
        declared = self.declared_target
        if isinstance(declared, str):
            return declared
        names: Mapping[str, str] = getattr(declared, "given_names", {})
        return names.get("name") or str(getattr(declared, "__name__", declared))

    @property
    def hint(self) -> str:  # type: ignore[override]
        """What it is the id of."""
        return f"The id of {self._one_target}"

    @property
    def _one_target(self) -> str:
        noun = snake_case(self.target).replace("_", " ")
        return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"

    @property
    def limits(self) -> Mapping[str, Any]:
        return {"target": self.target}

    def check(self, name: str, value: Any) -> int:
        number = int(value) if isinstance(value, str) and is_id(value) else value
        if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= WHOLE_MAX:
            raise wrong_type(name, value, f"the id of {self._one_target}")
        return number

    def usual(self, value: str) -> tuple[str, str]:
        is_number = f"type({value}) is int and 0 < {value} <= {WHOLE_MAX}"
        return f"{is_number} or type({value}) is str and is_id({value})", f"int({value})"

    def allows_all_of(self, limits: Mapping[str, Any]) -> bool:
        return limits.get("target") == self.target

    def wrong_limits(self) -> str | None:
        if self.on_delete not in ON_DELETE:
            return f"on_delete={self.on_delete!r} is unknown: give one of {', '.join(ON_DELETE)}"
        if self.on_delete == "set_null" and self.required:
            return 'on_delete="set_null" would empty a required field: give "restrict" or "cascade"'
        return None
