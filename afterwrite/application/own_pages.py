"""Checks the blueprints and pages of an application before it serves."""

from collections.abc import Mapping, Sequence

from flask import Blueprint, Flask

from afterwrite.base.settings import SettingsError
from afterwrite.console import OwnPage

_TAKEN = ("console", "rest_api")


def own_pages(blueprints: Sequence[Blueprint], pages: Mapping[str, str]) -> list[OwnPage]:
    """The pages of the application, by label and endpoint, as the navigation shows them.

    Raises SettingsError where blueprints conflict, or an endpoint is none of a page.
    """
    probe = Flask(__name__, static_folder=None)
    for blueprint in blueprints:
        if blueprint.name in _TAKEN:
            raise SettingsError(f"blueprints has the name {blueprint.name!r}, which is taken: give it another name")
        try:
            probe.register_blueprint(blueprint)
        except (ValueError, AssertionError) as error:
            raise SettingsError(f"blueprints has {blueprint.name!r}, which cannot be registered: {error}") from error
    shown = {
        rule.endpoint: rule.rule
        for rule in probe.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not rule.arguments
    }
    for label, endpoint in pages.items():
        if endpoint not in shown:
            known = ", ".join(sorted(shown)) or "a route of a blueprint in blueprints"
            raise SettingsError(
                f"pages has the endpoint {endpoint!r} for {label!r}, which answers no GET without arguments: "
                f"give {known}"
            )
    return [OwnPage(label, endpoint, f"GET {shown[endpoint]}") for label, endpoint in pages.items()]


def blueprints_of(pages: Sequence[OwnPage]) -> set[str]:
    """The names of the blueprints that have a page."""
    return {page.endpoint.rpartition(".")[0] for page in pages}
