"""What an application brings besides resources and workers: checked before it serves, named in the table of roles."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from flask import Blueprint, Flask

from afterwrite.access.table import Table
from afterwrite.application.roles import split_roles
from afterwrite.base.settings import SettingsError
from afterwrite.console import OwnPage
from afterwrite.resources.compiled import CompiledResource
from afterwrite.rest import ROLES

if TYPE_CHECKING:
    from graphql import GraphQLSchema

    from afterwrite.application.application import Application

Roles = Mapping[str, str | Mapping[str, str]]
_TAKEN = ("console", "rest_api")


def check_parts(application: "Application") -> None:
    """Raise SettingsError for a schema, blueprints, pages or roles with which the application cannot serve."""
    own_pages(application.blueprints, application.pages)
    try:
        schema = application.schema
    except (TypeError, ValueError, AssertionError) as error:
        raise SettingsError(f"the GraphQL schema cannot be built: {error}") from error
    try:
        routes = routes_of(_probe(application.blueprints))
        fill_table(Table(), application.resources, schema, list(routes), application.roles)
    except ValueError as error:
        raise SettingsError(str(error)) from error


def fill_table(
    table: Table,
    resources: Mapping[str, CompiledResource],
    schema: "GraphQLSchema",
    routes: Sequence[str],
    roles: Roles,
) -> None:
    """Add the roles of REST, of the resources, and of the application's own ``routes`` and root fields.

    Raises ValueError for a route that the server has already, and for wrong ``roles``.
    """
    given = split_roles(resources, roles)
    table.add(ROLES)
    table.add(given.of_resources)
    for name in routes:
        if name in table:
            raise ValueError(f"blueprints has {name}, which the server has already: give the route another path")
    table.add_own([*root_fields(schema), *routes], given.others)


def root_fields(schema: "GraphQLSchema") -> Iterator[str]:
    """The root fields by their names in the table of roles, such as ``Query.write``."""
    roots = (("Query", schema.query_type), ("Mutation", schema.mutation_type))
    for name, root in (*roots, ("Subscription", schema.subscription_type)):
        yield from (f"{name}.{field}" for field in (root.fields if root else ()))


def routes_of(app: Flask, known: frozenset[str] = frozenset()) -> Iterator[str]:
    """The routes outside of ``known`` endpoints, by their names in the table of roles, such as ``GET /reports``."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint not in known:
            yield from (f"{method} {rule.rule}" for method in (rule.methods or set()) - {"HEAD", "OPTIONS"})


def own_pages(blueprints: Sequence[Blueprint], pages: Mapping[str, str]) -> list[OwnPage]:
    """The pages of the application, by label and endpoint, as the navigation shows them.

    Raises SettingsError where blueprints conflict, or an endpoint is none of a page.
    """
    rules = _probe(blueprints).url_map.iter_rules()
    shown = {rule.endpoint: rule.rule for rule in rules if "GET" in (rule.methods or ()) and not rule.arguments}
    for label, endpoint in pages.items():
        if endpoint not in shown:
            known = ", ".join(sorted(shown)) or "one of a blueprint in blueprints"
            raise SettingsError(
                f"pages has the endpoint {endpoint!r} for {label!r}, which answers no GET without arguments: "
                f"give {known}"
            )
    return [OwnPage(label, endpoint, f"GET {shown[endpoint]}") for label, endpoint in pages.items()]


def blueprints_of(pages: Sequence[OwnPage]) -> set[str]:
    """The names of the blueprints that have a page."""
    return {page.endpoint.rpartition(".")[0] for page in pages}


def _probe(blueprints: Sequence[Blueprint]) -> Flask:
    """A Flask application of the blueprints alone."""
    probe = Flask(__name__, static_folder=None)
    for blueprint in blueprints:
        if not isinstance(blueprint, Blueprint) or blueprint.name in _TAKEN:
            raise SettingsError(f"blueprints has {blueprint!r}: give Flask blueprints, not named {' or '.join(_TAKEN)}")
        try:
            probe.register_blueprint(blueprint)
        except (ValueError, AssertionError) as error:
            raise SettingsError(f"blueprints has {blueprint.name!r}, which cannot be registered: {error}") from error
    return probe
