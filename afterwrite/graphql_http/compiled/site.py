"""A field's position in an operation, for its errors and its resolver's `info`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import FieldNode, GraphQLError, GraphQLField, GraphQLObjectType, GraphQLResolveInfo, located_error
from graphql.pyutils import Path

new_tuple = tuple.__new__


class Request:
    """The state of one execution: its variables, its errors so far, and the tail of every `info`."""

    __slots__ = ("errors", "info_tail", "variables")

    def __init__(self, variables: dict[str, Any], info_tail: tuple[Any, ...]) -> None:
        self.variables = variables
        self.info_tail = info_tail
        self.errors: list[GraphQLError] = []


RunField = Callable[[Any, Path | None, Request], Any]
"""Executes one field of an object: (object, path of the object, request) to its completed value."""

Fields = list[tuple[str, RunField]]
"""The fields of one selection by response key, in the order of the response."""


class Site:
    """One response key of one selection, with all nodes merged into it."""

    __slots__ = ("field", "info_head", "key", "name", "nodes", "parent_type")

    def __init__(self, key: str, nodes: list[FieldNode], field: GraphQLField, parent_type: GraphQLObjectType) -> None:
        self.key = key
        self.name = nodes[0].name.value
        self.nodes = nodes
        self.field = field
        self.parent_type = parent_type
        self.info_head = (self.name, nodes, field.type, parent_type)

    def info(self, path: Path, request: Request) -> GraphQLResolveInfo:
        """The `info` that graphql-core would pass to the resolver of this field at `path`."""
        return new_tuple(GraphQLResolveInfo, (*self.info_head, path, *request.info_tail))

    def fail(self, error: Exception, path: Path, required: bool, request: Request) -> None:
        """Records `error` of the value at `path`; raises it, located, if that value may not be null."""
        located = located_error(error, self.nodes, path.as_list())
        if required:
            raise located
        request.errors.append(located)

    def null_error(self) -> TypeError:
        """The error of a null in a non-nullable field."""
        return TypeError(f"Cannot return null for non-nullable field {self.parent_type.name}.{self.name}.")


def never_awaitable(_value: Any) -> bool:
    """Tells graphql-core that resolvers are synchronous."""
    return False
