"""Answers requests for the records of one resource over REST."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from afterwrite.base.text import camel_case, shorten
from afterwrite.reads.connections import Page, id_or_none
from afterwrite.reads.filters import filters_of, order_of, record_filter
from afterwrite.reads.pages import records_page
from afterwrite.resources.api_names import rest_path
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.resources.field import Field
from afterwrite.resources.operations import CompiledOperation
from afterwrite.rest.conditions import etag_of, wanted_version
from afterwrite.rest.problems import ProblemDetails, json_answer, pointer_to
from afterwrite.rest.reading import Given
from afterwrite.rest.value_forms import form_of
from afterwrite.rest.write_answers import answer_to
from afterwrite.service.context import Context
from afterwrite.writes import requests
from afterwrite.writes.requests import await_write

_UNKNOWN_SHOWN = 20
_OF_ONE_PAGE = frozenset({"after", "before", "afterWrite"})
_Takers = Mapping[str, tuple[str, Callable[[str, Any], Any]]]
"""By the name in JSON: the declared name, and what makes a value for the checks."""


class ResourceAnswers:
    """The functions behind the routes of a resource; what each request needs of the declaration is made here once."""

    def __init__(self, resource: CompiledResource) -> None:
        self.resource, self.path = resource, rest_path(resource)
        self._filters = filters_of(resource)
        kinds = {**resource.fields, **{name: one.kind for name, one in resource.derived.items()}}
        self._shown = [(name, camel_case(name), form_of(kind).show) for name, kind in kinds.items()]
        self._fields = _by_name(resource.fields)
        self._arguments = {
            code: _by_name({name: one.field for name, one in operation.arguments.items()})
            for code, operation in resource.operations.items()
        }

    # -- reads --------------------------------------------------------------------------------------------------------

    def list(self, given: Given) -> Response:
        """A page of records, with links to those beside it."""
        given.require_known()
        asked, context = given.parameters(), given.context()
        after, before, limit = asked.get("after"), asked.get("before"), asked["limit"]
        if after is not None and before is not None:
            detail = "after and before are given together: give one of them"
            places = [{"parameter": name, "detail": detail} for name in ("after", "before")]
            raise ProblemDetails(422, "INVALID_REQUEST", detail, places)
        await_write(context.queue, asked.get("afterWrite"), context.wait_seconds)
        conditions = {name: asked.get(camel_case(name)) for name in self._filters}
        wanted = record_filter(self._filters, asked.get("search"), conditions)
        order = order_of(self.resource, asked["orderBy"])
        first, last = (limit, None) if before is None else (None, limit)
        page = records_page(context.records[self.resource.name], wanted, order, first, after, last, before)
        records = [self._json_of(record, context) for record in page.nodes]
        answer = json_answer({camel_case(self.resource.plural): records})
        if links := ", ".join(self._links(page)):
            answer.headers["Link"] = links
        return answer

    def _links(self, page: Page) -> Iterator[str]:
        """The pages beside this one, of the same filters and order (RFC 8288)."""
        info = page.page_info
        kept = [(name, text) for name, text in request.args.items(multi=True) if name not in _OF_ONE_PAGE]
        beside = [
            ("next", "after", info.has_next_page, info.end_cursor),
            ("prev", "before", info.has_previous_page, info.start_cursor),
        ]
        for rel, name, is_there, cursor in beside:
            if is_there and cursor is not None:
                yield f'<{self.path}?{urlencode([*kept, (name, cursor)])}>; rel="{rel}"'

    def get(self, given: Given, **variables: str) -> Response:
        """One record; 304 if the caller has its version."""
        number, context = self._number(variables), given.context()
        await_write(context.queue, given.parameters().get("afterWrite"), context.wait_seconds)
        record = context.records[self.resource.name].get(int(number))
        if record is None:
            raise self._not_found(number)
        if request.if_none_match.contains_weak(str(record.version)):
            return Response(status=304, headers={"ETag": etag_of(record.version)})
        return self._answer_with(context, record)

    # -- writes -------------------------------------------------------------------------------------------------------

    def create(self, given: Given) -> Response:
        """Accept a new record."""
        context, key = given.context(), given.idempotency_key()
        fields = _taken(self._fields, given.body(), f"field of {self.resource.name}")
        write = requests.create(context.queue, self.resource, fields, key, context.by)
        return answer_to(context, self.resource, write, partial(self._answer_with, context))

    def update(self, given: Given, **variables: str) -> Response:
        """Accept a change of the given fields."""
        number, context, key = self._number(variables), given.context(), given.idempotency_key()
        fields = _taken(self._fields, given.body(), f"field of {self.resource.name}")
        version = wanted_version(request.headers)
        write = requests.update(context.queue, self.resource, number, fields, key, context.by, version)
        return answer_to(context, self.resource, write, partial(self._answer_with, context))

    def delete(self, given: Given, **variables: str) -> Response:
        """Accept a deletion."""
        number, context, key = self._number(variables), given.context(), given.idempotency_key()
        version = wanted_version(request.headers)
        write = requests.delete(context.queue, self.resource, number, key, context.by, version)
        return answer_to(context, self.resource, write, partial(self._answer_with, context))

    def operate(self, operation: CompiledOperation, given: Given, **variables: str) -> Response:
        """Accept an operation."""
        number, context, key = self._number(variables), given.context(), given.idempotency_key()
        arguments = _taken(self._arguments[operation.code], given.body(), f"argument of {operation.name}")
        version = wanted_version(request.headers)
        write = requests.operate(context.queue, self.resource, operation, number, arguments, key, context.by, version)
        return answer_to(context, self.resource, write, partial(self._answer_with, context))

    # -- records ------------------------------------------------------------------------------------------------------

    def _answer_with(self, context: Context, record: Record) -> Response:
        answer = json_answer(self._json_of(record, context))
        answer.headers["ETag"] = etag_of(record.version)
        return answer

    def _json_of(self, record: Record, context: Context) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": str(record.id)}
        for name, said, show in self._shown:
            value = getattr(record, name)
            shown[said] = None if value is None else show(value, context.absolute)
        shown["createdAt"], shown["updatedAt"] = record.created_at.isoformat(), record.updated_at.isoformat()
        shown["version"] = record.version
        return shown

    def _number(self, variables: Mapping[str, str]) -> str:
        """The id in the path. Raises ProblemDetails (404) if no record can have it."""
        text = variables[self.resource.id_name]
        if id_or_none(text) is None:
            raise self._not_found(text)
        return text

    def _not_found(self, record_id: str) -> ProblemDetails:
        detail = f"There is no {self.resource.noun} {record_id[:60]}: GET {self.path} lists them"
        return ProblemDetails(404, self.resource.not_found, detail)


def _by_name(fields: Mapping[str, Field]) -> _Takers:
    return {camel_case(name): (name, form_of(field).take) for name, field in fields.items()}


def _taken(names: _Takers, body: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The values of a JSON object as checks take them. Raises ProblemDetails for a name that is not in ``names``."""
    if unknown := list(islice((shorten(name) for name in body if name not in names), _UNKNOWN_SHOWN)):
        detail = f"is no {what}: give only {', '.join(names) or 'nothing'}"
        places = [{"pointer": pointer_to("#", [name]), "detail": detail} for name in unknown]
        raise ProblemDetails(422, "UNKNOWN_FIELD", f"{unknown[0]} {detail}", places)
    taken: dict[str, Any] = {}
    for name, value in body.items():
        own_name, take = names[name]
        taken[own_name] = None if value is None else take(own_name, value)
    return taken
