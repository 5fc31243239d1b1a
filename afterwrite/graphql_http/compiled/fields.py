"""Compiles one field: resolves its value, completes it and locates its errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from graphene.types.resolver import dict_or_attr_resolver
from graphql import TypeNameMetaFieldDef, default_field_resolver, is_leaf_type, is_non_null_type
from graphql.pyutils import Path

from afterwrite.graphql_http.compiled.arguments import compile_arguments
from afterwrite.graphql_http.compiled.completion import Complete, compile_completion
from afterwrite.graphql_http.compiled.leaves import compile_leaf
from afterwrite.graphql_http.compiled.site import Request, RunField, Site, new_tuple

if TYPE_CHECKING:
    from afterwrite.graphql_http.compiled.plan import Plan

Resolve = Callable[[Any, Path, Request], Any]
"""Resolves a field: (object, path of the field, request) to its value; raises what the resolver raises."""


def compile_field(site: Site, plan: Plan) -> RunField:
    """Returns the closure that executes the field at `site` on an object."""
    if site.field is TypeNameMetaFieldDef:
        name = site.parent_type.name
        return lambda _source, _parent_path, _request: name
    required = is_non_null_type(site.field.type)
    inner: Any = site.field.type.of_type if required else site.field.type  # type: ignore[union-attr]
    attribute = _attribute_of(site)
    resolve = _compile_resolver(site) if attribute is None else _read_attribute(*attribute)
    if not is_leaf_type(inner):
        return _run(site, resolve, compile_completion(inner, site, plan), required)
    complete, plain = compile_leaf(inner)
    if attribute is None:
        return _run(site, resolve, lambda value, _path, _request: complete(value), required)
    return _run_attribute(site, *attribute, complete, plain, required)


def _attribute_of(site: Site) -> tuple[str, Any] | None:
    """The attribute and default that Graphene's default resolver reads; None for any other field."""
    resolver = site.field.resolve
    if not isinstance(resolver, partial) or resolver.func is not dict_or_attr_resolver:
        return None
    if site.field.args or len(resolver.args) != 2 or resolver.keywords:
        return None
    return resolver.args


def _compile_resolver(site: Site) -> Resolve:
    resolver = site.field.resolve or default_field_resolver
    if resolver is default_field_resolver and not site.field.args:
        return _read_or_call(site)
    return _call(site, resolver)


def _read_attribute(name: str, default: Any) -> Resolve:
    def resolve(source: Any, _path: Path, _request: Request) -> Any:
        if isinstance(source, dict):
            return source.get(name, default)
        return getattr(source, name, default)

    return resolve


def _read_or_call(site: Site) -> Resolve:
    """graphql-core's default resolver, with an `info` only for values that are functions."""
    name = site.name

    def resolve(source: Any, path: Path, request: Request) -> Any:
        value = source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)
        return value(site.info(path, request)) if callable(value) else value

    return resolve


def _call(site: Site, resolver: Callable[..., Any]) -> Resolve:
    arguments = compile_arguments(site.field, site.nodes[0])
    if callable(arguments):
        evaluate = arguments

        def resolve(source: Any, path: Path, request: Request) -> Any:
            return resolver(source, site.info(path, request), **evaluate(request.variables))

        return resolve
    constants = arguments

    def resolve_constant(source: Any, path: Path, request: Request) -> Any:
        return resolver(source, site.info(path, request), **constants)

    return resolve_constant


def _run(site: Site, resolve: Resolve, complete: Complete, required: bool) -> RunField:
    key, type_name = site.key, site.parent_type.name

    def run(source: Any, parent_path: Path | None, request: Request) -> Any:
        path = new_tuple(Path, (parent_path, key, type_name))
        try:
            result = complete(resolve(source, path, request), path, request)
            if result is None and required:
                raise site.null_error()
        except Exception as error:  # noqa: BLE001 - any exception becomes the field's error
            site.fail(error, path, required, request)
            return None
        return result

    return run


def _run_attribute(
    site: Site, name: str, default: Any, complete: Callable[[Any], Any], plain: type, required: bool
) -> RunField:
    """The fast path for a leaf read from an attribute, the most frequent field: no path, no `info`, few calls."""

    def run(source: Any, parent_path: Path | None, request: Request) -> Any:
        try:
            value = source.get(name, default) if isinstance(source, dict) else getattr(source, name, default)
            if type(value) is plain:
                return value
            result = complete(value)
            if result is None and required:
                raise site.null_error()
        except Exception as error:  # noqa: BLE001 - any exception becomes the field's error
            site.fail(error, Path(parent_path, site.key, site.parent_type.name), required, request)
            return None
        return result

    return run
