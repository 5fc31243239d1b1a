"""The request context of resolvers, routes and pages."""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

from afterwrite.base.refusals import Refused
from afterwrite.base.store_errors import StoreError, log_and_redact
from afterwrite.graphql_http import RequestError
from afterwrite.reads.loader import RecordLoader
from afterwrite.resources.write import Write
from afterwrite.storage.records import Records
from afterwrite.tasks.queue import TaskQueue
from afterwrite.writes.queue import WriteQueue

T = TypeVar("T")


@dataclass(slots=True)  # frozen, each request would spend more on its fields
class Context:
    """The services and the caller of one request.

    ``permit`` raises RequestError unless the caller may use this field of Query. ``wait_until`` (monotonic seconds) is
    the deadline of all waits of the request together; ``base_url`` is the server's address as seen by the client;
    ``by`` is the caller's name, None if anonymous.
    """

    records: Mapping[str, Records]
    queue: WriteQueue
    tasks: TaskQueue
    wait_until: float
    base_url: Callable[[], str] = lambda: ""
    by: str | None = None
    permit: Callable[[str], None] = lambda _field: None
    loader: RecordLoader = field(init=False)

    def __post_init__(self) -> None:
        """Create the loader, whose cache belongs to this request alone."""
        self.loader = RecordLoader(self.records)

    @property
    def wait_seconds(self) -> float:
        """The time left to wait."""
        return max(0.0, self.wait_until - time.monotonic())

    def absolute(self, url: str | None) -> str | None:
        """A URL that the client can open: a path on this server gets the server's address."""
        return self.base_url() + url if url and url[0] == "/" else url

    def receipts(self, writes: Sequence[Write]) -> Sequence[Write]:
        """Register the receipts of an answer, so that the first access reads their records in one batch."""
        self.loader.expect((write.resource, write.record_id) for write in writes)
        return writes


def answering(resolve: Callable[..., T]) -> Callable[..., T]:
    """Report refusals and an unavailable database to GraphQL clients instead of masking them."""

    @wraps(resolve)
    def resolved(*args: Any, **kwargs: Any) -> T:
        try:
            return resolve(*args, **kwargs)
        except Refused as error:
            problem = error.problems[0]
            place = {} if problem.field is None else {"field": ".".join(problem.field)}
            raise RequestError(problem.message, code=problem.code, **place) from error
        except StoreError as error:
            raise database_unavailable(error) from error

    return resolved


def database_unavailable(error: StoreError) -> RequestError:
    """The error that a client gets when the database cannot be used."""
    return RequestError(log_and_redact(error), code="DATABASE_UNAVAILABLE")


async def events_answered(events: AsyncIterator[T]) -> AsyncIterator[T]:
    """Pass events on; if the database fails, end them with an error that the client may see."""
    try:
        async with aclosing(events):  # type: ignore[type-var]
            async for event in events:
                yield event
    except StoreError as error:
        raise database_unavailable(error) from error
