"""Compiles the completion of composite values: lists, objects, interfaces and unions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from graphql import (
    GraphQLAbstractType,
    GraphQLError,
    GraphQLLeafType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    default_type_resolver,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)
from graphql.execution.execute import invalid_return_type_error
from graphql.pyutils import Path, is_iterable

from afterwrite.graphql_http.compiled.leaves import compile_leaf
from afterwrite.graphql_http.compiled.site import Fields, Request, Site, new_tuple

if TYPE_CHECKING:
    from afterwrite.graphql_http.compiled.plan import Plan

Complete = Callable[[Any, Path, Request], Any]
"""Completes a value: (value, its path, request) to its part of the response, None for null.

Raises the error of a value that cannot be completed; errors of nullable values inside it go into the request.
"""


def compile_completion(output_type: GraphQLOutputType, site: Site, plan: Plan) -> Complete:
    """Returns the function that completes a value of `output_type`, a nullable list or composite type."""
    if is_list_type(output_type):
        return _complete_list(cast(GraphQLList[Any], output_type), site, plan)
    if is_abstract_type(output_type):
        return _complete_abstract(cast(GraphQLAbstractType, output_type), site, plan)
    return _complete_object(cast(GraphQLObjectType, output_type), site, plan)


def _complete_list(list_type: GraphQLList[Any], site: Site, plan: Plan) -> Complete:
    required = is_non_null_type(list_type.of_type)
    item_type = list_type.of_type.of_type if required else list_type.of_type
    if is_leaf_type(item_type):
        return _complete_leaf_list(item_type, site, required)
    complete_item = compile_completion(item_type, site, plan)

    def complete(value: Any, path: Path, request: Request) -> Any:
        if value is None:
            return None
        results: list[Any] = []
        for index, item in enumerate(_items(value, site)):
            item_path = new_tuple(Path, (path, index, None))
            try:
                result = complete_item(item, item_path, request)
                if result is None and required:
                    raise site.null_error()
            except Exception as error:  # noqa: BLE001 - any exception becomes the item's error
                site.fail(error, item_path, required, request)
                result = None
            results.append(result)
        return results

    return complete


def _complete_leaf_list(leaf_type: GraphQLLeafType, site: Site, required: bool) -> Complete:
    complete_leaf, plain = compile_leaf(leaf_type)

    def complete(value: Any, path: Path, request: Request) -> Any:
        if value is None:
            return None
        results: list[Any] = []
        for index, item in enumerate(_items(value, site)):
            if type(item) is plain:
                results.append(item)
                continue
            try:
                result = complete_leaf(item)
                if result is None and required:
                    raise site.null_error()
            except Exception as error:  # noqa: BLE001 - any exception becomes the item's error
                site.fail(error, Path(path, index, None), required, request)
                result = None
            results.append(result)
        return results

    return complete


def _items(value: Any, site: Site) -> Iterable[Any]:
    if type(value) is list or type(value) is tuple:
        return cast(Iterable[Any], value)
    if isinstance(value, Exception):
        raise value
    if not is_iterable(value):
        raise GraphQLError(f"Expected Iterable, but did not find one for field '{site.parent_type.name}.{site.name}'.")
    return cast(Iterable[Any], value)


def _complete_object(object_type: GraphQLObjectType, site: Site, plan: Plan) -> Complete:
    """Executes the selections on an object, which are compiled for the first object."""
    is_type_of = object_type.is_type_of
    fields: Fields | None = None

    def complete(value: Any, path: Path, request: Request) -> Any:
        nonlocal fields
        if value is None:
            return None
        if isinstance(value, Exception):
            raise value
        if fields is None:
            fields = plan.fields_of(object_type, site.nodes)
        if is_type_of and not is_type_of(value, site.info(_field_path(path), request)):
            raise invalid_return_type_error(object_type, value, site.nodes)
        results = {}
        for key, run in fields:
            results[key] = run(value, path, request)
        return results

    return complete


def _complete_abstract(abstract_type: GraphQLAbstractType, site: Site, plan: Plan) -> Complete:
    resolve_type = abstract_type.resolve_type or default_type_resolver
    known: dict[str, Complete] = {}

    def complete(value: Any, path: Path, request: Request) -> Any:
        if value is None:
            return None
        if isinstance(value, Exception):
            raise value
        info = site.info(_field_path(path), request)
        name = resolve_type(value, info, abstract_type)
        complete_object = known.get(name) if type(name) is str else None
        if complete_object is None:
            object_type = plan.runtime_type(name, abstract_type, site.nodes, info, value)
            complete_object = known[object_type.name] = _complete_object(object_type, site, plan)
        return complete_object(value, path, request)

    return complete


def _field_path(path: Path) -> Path:
    """The path of the field whose list holds the item at `path`: an `info` has the field's path, even for items."""
    while path.typename is None:
        path = path.prev
    return path
