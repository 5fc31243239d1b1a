"""Compiles one field: resolves its value, completes it and locates its errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from graphql import TypeNameMetaFieldDef, is_leaf_type, is_non_null_type
from graphql.pyutils import Path

from afterwrite.graphql_http.compiled.completion import Complete, compile_completion
from afterwrite.graphql_http.compiled.leaves import compile_leaf
from afterwrite.graphql_http.compiled.resolvers import Resolve, attribute_of, compile_resolver
from afterwrite.graphql_http.compiled.site import Request, RunField, Site, new_tuple

if TYPE_CHECKING:
    from afterwrite.graphql_http.compiled.plan import Plan


def compile_field(site: Site, plan: Plan) -> RunField:
    """Returns the closure that executes the field at `site` on an object."""
    if site.field is TypeNameMetaFieldDef:
        return _run_typename(site)
    required = is_non_null_type(site.field.type)
    inner: Any = site.field.type.of_type if required else site.field.type  # type: ignore[union-attr]
    if not is_leaf_type(inner):
        return _run_composite(site, compile_resolver(site), compile_completion(inner, site, plan), required)
    complete, plain = compile_leaf(inner)
    attribute = attribute_of(site)
    if attribute is None:
        return _run_leaf(site, compile_resolver(site), complete, required)
    return _run_attribute(site, *attribute, complete, plain, required)


def _run_typename(site: Site) -> RunField:
    name = site.parent_type.name

    def run(_source: Any, _parent_path: Path | None, _request: Request) -> Any:
        return name

    return run


def _run_composite(site: Site, resolve: Resolve, complete: Complete, required: bool) -> RunField:
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


def _run_leaf(site: Site, resolve: Resolve, complete: Callable[[Any], Any], required: bool) -> RunField:
    def complete_leaf(value: Any, _path: Path, _request: Request) -> Any:
        return complete(value)

    return _run_composite(site, resolve, complete_leaf, required)


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
            site.fail(error, site.path(parent_path), required, request)
            return None
        return result

    return run
