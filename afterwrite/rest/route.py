"""Declaration of REST routes, read by Flask, request validation, OpenAPI and the access table."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from flask import Response

from afterwrite.access.roles import Role
from afterwrite.base.refusals import Refused
from afterwrite.rest.problems import json_answer, problem_of
from afterwrite.rest.reading import JSON, Given
from afterwrite.rest.schemas import IDEMPOTENCY_KEY, Schema

Answering = TypeVar("Answering", bound=Callable[..., Any])
_NONE: Mapping[str, Any] = MappingProxyType({})
ANY_JSON = ""  # a body that no schema describes
KEYED: Mapping[str, Any] = {
    "Idempotency-Key": {
        "description": "Makes a retry safe: the same key and request give the same response",
        "schema": IDEMPOTENCY_KEY,
    }
}


class Takes(NamedTuple):
    """The input of a route: the name of the body's schema, an example body, query parameters, and headers.

    ``pointers`` map the arguments of a task or a write to their places in the body, whose types are ``media``.
    """

    body: str | None = None
    example: Any = None
    query: Mapping[str, Schema] = _NONE
    headers: Mapping[str, Any] = _NONE
    pointers: Mapping[str, str] = _NONE
    media: tuple[str, ...] = (JSON,)


class Gives(NamedTuple):
    """A response: its schema or the name of it (None: no body), what it says, and its headers beside Location."""

    schema: str | Schema | None
    description: str
    headers: tuple[str, ...] = ()


_NOTHING = Takes()
Answers = Mapping[int, Gives]  # by status


class Route(NamedTuple):
    """One method of one path.

    ``role`` is the one that it needs, or the act of a resource, to which the application gives a role. The first status
    in ``gives`` is that of success; 201 and 202 have a Location. ``refuses`` are the statuses of problems that do not
    follow from ``path`` and ``takes``. ``name`` is that of the endpoint and, in camel case, of the OpenAPI operation.
    """

    method: str
    path: str
    role: Role | str
    gives: Answers
    takes: Takes
    refuses: tuple[int, ...]
    tag: str
    answer: Callable[..., Any]
    name: str
    summary: str

    @property
    def rule(self) -> str:
        """Its name in the table of roles."""
        return f"{self.method} {self.path}"

    def view(self, given: Given) -> Callable[..., Any]:
        """The Flask view function."""
        status = next(iter(self.gives))

        def view(**variables: str) -> Any:
            try:
                answer = self.answer(given, **variables)
            except Refused as error:
                raise problem_of(error, self.takes.pointers) from error
            if isinstance(answer, dict):
                return json_answer(answer, status)
            if status == 200 or isinstance(answer, Response):
                return answer
            made = json_answer(answer[0], status)
            made.headers["Location"] = answer[1]
            return made

        return view


class Routes(list[Route]):
    """The routes of one OpenAPI tag; ``refuses`` applies to each of them."""

    def __init__(self, tag: str, *refuses: int) -> None:
        super().__init__()
        self._tag, self._refuses = tag, refuses

    def route(
        self, method: str, path: str, role: Role, gives: Answers, takes: Takes = _NOTHING, *refuses: int
    ) -> Callable[[Answering], Answering]:
        """Declare the route of the decorated function, whose docstring is the summary of the operation.

        The function gets a Given and the variables of the path. It returns the JSON of the response, a pair of that and
        its Location, or any Flask response.
        """

        def declared(answer: Answering) -> Answering:
            statuses = (*self._refuses, *refuses)
            name, summary = answer.__name__, (answer.__doc__ or "").partition("\n")[0].removesuffix(".")
            self.append(Route(method, path, role, gives, takes, statuses, self._tag, answer, name, summary))
            return answer

        return declared
