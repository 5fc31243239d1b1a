"""REST routes of a declared resource: list, one, create, update, delete and operations."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from afterwrite.base.text import camel_case
from afterwrite.resources.compiled import CompiledResource
from afterwrite.resources.value_fields import Json
from afterwrite.rest.conditions import IF_MATCH, IF_NONE_MATCH, PREFER
from afterwrite.rest.reading import JSON
from afterwrite.rest.resource_answers import ResourceAnswers
from afterwrite.rest.resource_schemas import (
    AFTER_WRITE,
    arguments_name,
    change_name,
    list_parameters,
    new_name,
    page_name,
)
from afterwrite.rest.route import KEYED, Answers, Gives, Route, Takes

READ = "read"
_WRITING = {**KEYED, **PREFER}
_CHANGING = {**_WRITING, **IF_MATCH}
_RECEIPT = Gives("Write", "Accepted: the receipt")
_WAITED = "Applied within the time of Prefer"
_MERGE_PATCH = "application/merge-patch+json"


def routes_of(resource: CompiledResource) -> list[Route]:
    """The routes of a resource; each needs the role that the application gives its act."""
    declared = _Declared(resource)
    return [*declared.reading(), *declared.writing(), *declared.operating()]


class _Declared:
    """The routes of one resource."""

    def __init__(self, resource: CompiledResource) -> None:
        self._resource, self._answers = resource, ResourceAnswers(resource)
        self._all = self._answers.path
        self._one = f"{self._all}/<{resource.id_name}>"
        self._named = f"{resource.article} {resource.noun}"

    def reading(self) -> Iterator[Route]:
        resource, answers = self._resource, self._answers
        page = Gives(page_name(resource), "A page", ("Link",))
        plural = resource.plural.replace("_", " ")
        parameters = Takes(query=list_parameters(resource))
        yield self._route(
            "GET", self._all, READ, {200: page}, parameters, answers.list, f"list_{resource.plural}", f"List {plural}"
        )
        found = {
            200: Gives(resource.name, f"The {resource.noun}", ("ETag",)),
            304: Gives(None, "It still has that ETag", ("ETag",)),
        }
        conditions = Takes(query=AFTER_WRITE, headers=IF_NONE_MATCH)
        name = f"get_{resource.snake}"
        yield self._route("GET", self._one, READ, found, conditions, answers.get, name, f"Get {self._named}")

    def writing(self) -> Iterator[Route]:
        resource, answers = self._resource, self._answers
        pointers = _pointers(resource.fields)
        created = {202: _RECEIPT, 201: self._record()}
        new = Takes(new_name(resource), headers=_WRITING, pointers=pointers)
        name, said = f"create_{resource.snake}", f"Create {self._named}"
        yield self._route("POST", self._all, "create", created, new, answers.create, name, said, 409)
        changed = {202: _RECEIPT, 200: self._record()}
        # A merge patch changes members of an object that a Json field holds, where this replaces the object.
        has_json = any(isinstance(field, Json) for field in resource.fields.values())
        media = (JSON,) if has_json else (JSON, _MERGE_PATCH)
        change = Takes(change_name(resource), headers=_CHANGING, pointers=pointers, media=media)
        name, said = f"update_{resource.snake}", f"Change fields of {self._named}; null empties an optional one"
        yield self._route("PATCH", self._one, "update", changed, change, answers.update, name, said, 409, 412)
        gone = {202: _RECEIPT, 204: Gives(None, _WAITED, ("Preference-Applied",))}
        name, said, refuses = f"delete_{resource.snake}", f"Delete {self._named}", (400, 409, 412, 422)
        yield self._route(
            "DELETE", self._one, "delete", gone, Takes(headers=_CHANGING), answers.delete, name, said, *refuses
        )

    def operating(self) -> Iterator[Route]:
        resource, answers = self._resource, self._answers
        for operation in resource.operations.values():
            path = f"{self._one}/{operation.name.replace('_', '-')}"
            pointers = _pointers(operation.arguments)
            given = Takes(arguments_name(resource, operation), headers=_CHANGING, pointers=pointers)
            done = {202: _RECEIPT, 200: self._record()}
            answer, name = partial(answers.operate, operation), f"{operation.name}_{resource.snake}"
            said = operation.description.splitlines()[0].removesuffix(".")
            yield self._route("POST", path, operation.name, done, given, answer, name, said, 409, 412)

    def _record(self) -> Gives:
        return Gives(self._resource.name, _WAITED, ("ETag", "Preference-Applied"))

    def _route(
        self,
        method: str,
        path: str,
        act: str,
        gives: Answers,
        takes: Takes,
        answer: Callable[..., Any],
        name: str,
        summary: str,
        *refuses: int,
    ) -> Route:
        tag = self._resource.plural.replace("_", " ")
        return Route(method, path, act, gives, takes, (500, 503, *refuses), tag, answer, name, summary)


def _pointers(names: Iterable[str]) -> dict[str, str]:
    return {camel_case(name): f"#/{camel_case(name)}" for name in names}
