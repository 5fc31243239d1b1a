"""Compiles the resolution of a field: reads an attribute or calls the resolver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from graphene.types.resolver import dict_or_attr_resolver
from graphql import default_field_resolver
from graphql.pyutils import Path

from afterwrite.graphql_http.compiled.arguments import compile_arguments
from afterwrite.graphql_http.compiled.site import Request, Site

Resolve = Callable[[Any, Path, Request], Any]
"""Resolves a field: (object, path of the field, request) to its value."""


def attribute_of(site: Site) -> tuple[str, Any] | None:
    """The attribute and default that Graphene's default resolver reads; None for any other field."""
    resolver = site.field.resolve
    if not isinstance(resolver, partial) or resolver.func is not dict_or_attr_resolver:
        return None
    if site.field.args or len(resolver.args) != 2 or resolver.keywords:
        return None
    return resolver.args


def compile_resolver(site: Site) -> Resolve:
    """Returns the closure that resolves the field at `site`; it raises what the resolver raises."""
    attribute = attribute_of(site)
    if attribute is not None:
        return _read_attribute(*attribute)
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
