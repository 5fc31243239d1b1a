"""The pages of a resource: their paths, the roles that they require, and the names that their templates show."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

from flask import url_for

from afterwrite.access.control import may
from afterwrite.resources.compiled import CompiledResource, Record

_RECORD = "<int:record_id>"


class RecordPages:
    """The pages of one resource, for its routes and templates.

    ``path`` is that of the list, ``record`` the rule of one record's page; ``place`` is the endpoint of the list.
    """

    def __init__(self, resource: CompiledResource) -> None:
        self.resource = resource
        self.path = f"/{_kebab(resource.plural)}"
        self.record = f"{self.path}/{_RECORD}"
        self.place = self.endpoint("list")
        self.plural = resource.plural.replace("_", " ")

    def endpoint(self, name: str) -> str:
        """The endpoint of a page, which no function's name can be."""
        return f"{self.resource.name}-{name}"

    def rule(self, act: str) -> str:
        """The rule of what deletes or operates on a record."""
        return f"{self.record}/{_kebab(act)}"

    def url(self, *steps: object) -> str:
        """The URL of the list, or of a page below it: ``url(17, "delete")``."""
        return "/".join([url_for(f"console.{self.place}"), *(_kebab(str(step)) for step in steps)])

    def url_with(self, query: Mapping[str, str], *steps: object, **more: str | None) -> str:
        """The same with a query, such as the filters of the list."""
        asked = urlencode({**query, **more})
        return f"{self.url(*steps)}?{asked}" if asked else self.url(*steps)

    def may(self, act: str) -> bool:
        """Whether the caller may read, create, update, delete, or use this operation."""
        if act == "read":
            return may(f"GET {self.path}")
        rules = {"create": self.path, "update": self.record}
        return may(f"POST {rules.get(act) or self.rule(act)}")

    def own_template(self, name: str) -> str:
        """The template with which an application replaces a page: ``console/parcels/list.html``."""
        return f"console/{self.resource.plural}/{name}.html"

    def name_of(self, record: Record) -> str:
        """What pages call a record."""
        return self.resource.name_of(record) or f"{self.resource.noun.capitalize()} {record.id}"


def page_roles(resource: CompiledResource) -> Iterator[tuple[str, str]]:
    """The routes of a resource's pages, each with the act whose role it requires."""
    pages = RecordPages(resource)
    yield from ((f"GET {rule}", "read") for rule in (pages.path, f"{pages.path}/export.<kind>", pages.record))
    yield from ((f"GET {pages.path}/{step}", "create") for step in ("new", "upload"))
    yield from ((f"POST {rule}", "create") for rule in (pages.path, f"{pages.path}/upload"))
    yield f"POST {pages.record}", "update"
    for act in ("delete", *(operation.name for operation in resource.operations.values())):
        yield from ((f"{method} {pages.rule(act)}", act) for method in ("GET", "POST"))


def _kebab(name: str) -> str:
    return name.replace("_", "-")
