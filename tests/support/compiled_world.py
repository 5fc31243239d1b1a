"""Objects that misbehave in every way, the same ones for the same seed."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Iterator
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    Undefined,
    is_abstract_type,
    is_list_type,
    is_non_null_type,
)


class RoleEnum(enum.Enum):
    """The values behind `Role`."""

    ADMIN = "admin"
    EDITOR = 2
    GUEST = "guest"


class World:
    """Makes the same objects for the same seed, whoever asks; `trouble` of them in a hundred misbehave."""

    def __init__(self, schema: GraphQLSchema, seed: int, trouble: int) -> None:
        self.schema = schema
        self.seed = seed
        self.trouble = trouble

    def value(self, tag: str, output_type: Any) -> Any:
        """What the field or item at `tag`, of `output_type`, has as its value; may raise if in trouble."""
        rng = random.Random(f"{self.seed} {tag}")
        if rng.randrange(100) < self.trouble:
            return self._trouble(rng, tag)
        if is_non_null_type(output_type):
            output_type = output_type.of_type
        elif rng.randrange(6) == 0:
            return None
        if is_list_type(output_type):
            return self._list(rng, tag, output_type.of_type)
        if isinstance(output_type, GraphQLScalarType | GraphQLEnumType):
            return _leaf(rng, tag, output_type.name)
        if is_abstract_type(output_type):
            output_type = rng.choice(self.schema.get_possible_types(output_type))
        return self._object(rng, tag, output_type)

    def _list(self, rng: random.Random, tag: str, item_type: Any) -> Any:
        tags = [f"{tag}[{index}]" for index in range(rng.choice([0, 1, 2, 3]))]
        make: Callable[[list[Any]], Any] = rng.choice([list, tuple, Items])
        return make([self._item(tag, item_type) for tag in tags])

    def _item(self, tag: str, item_type: Any) -> Any:
        try:
            return self.value(tag, item_type)
        except Exception as error:  # noqa: BLE001 - an error can be an item of a list
            return error

    def _object(self, rng: random.Random, tag: str, object_type: GraphQLObjectType) -> Any:
        thing = Thing(self, tag, object_type)
        if rng.randrange(4):
            return thing
        found: dict[str, Any] = {"__typename": object_type.name}
        for name, field in object_type.fields.items():
            if rng.randrange(8) and tag.count(".") < 3:
                found[name] = self._item(f"{tag}.{name}", field.type)
        return found

    def _trouble(self, rng: random.Random, tag: str) -> Any:
        errors: list[Exception] = [
            ValueError(f"wrong at {tag}"),
            KeyError(tag),
            AttributeError(tag),
            GraphQLError(f"refused at {tag}", extensions={"code": "NO"}),
            GraphQLError("elsewhere", path=["other", 1]),
            RecursionError("too deep"),
            Undefined,
        ]
        error = rng.choice(errors)
        if rng.randrange(2):
            raise error
        odd: list[Any] = [None, "text", 7, 2.5, float("nan"), 2**40, True, {}, [], [None], ["x", 1], (3,), b"b"]
        return rng.choice([*odd, error, Undefined, {"a": 1}, {"__typename": "Nope"}, {"__typename": "Role"}])


def _leaf(rng: random.Random, tag: str, name: str) -> Any:
    values: dict[str, list[Any]] = {
        "String": [f"text {tag}", "", 5, 2.5, True],
        "Int": [7, -3, 2.0, True, "12", 0],
        "Float": [1.5, 3, "2.5", False],
        "Boolean": [True, False, 1, 0.0],
        "ID": ["id", 12, 3.0, "0"],
        "Role": [*RoleEnum, RoleEnum.ADMIN, "ADMIN", "admin"],
        "JSON": [{"a": [1, None]}, [1, 2], "x", 3],
    }
    expected = 1 if rng.randrange(4) else len(values[name])
    return rng.choice(values[name][:expected] if name != "Role" else values[name][:4])


class Items(list[Any]):
    """A list of which the items can be read only once; unlike an iterator, its `repr` is always the same."""

    def __iter__(self) -> Iterator[Any]:
        items = list(super().__iter__())
        self.clear()
        return iter(items)


class Thing:
    """An object of `object_type` whose attributes come from its world."""

    def __init__(self, world: World, tag: str, object_type: GraphQLObjectType) -> None:
        self.world = world
        self.tag = tag
        self.object_type = object_type
        if len(tag) % 6:
            self.__typename = object_type.name

    def __repr__(self) -> str:
        return f"<{self.object_type.name} {self.tag}>"

    def __getattr__(self, name: str) -> Any:
        field = self.object_type.fields.get(name.rstrip("_"))
        if field is None:
            raise AttributeError(name)
        value = self.world.value(f"{self.tag}.{name}", field.type)
        if isinstance(value, str) and self.world.seed % 3 == 0 and not hasattr(self.object_type, "graphene_type"):
            return lambda _info, **arguments: f"{value} {arguments}"
        return value
