"""The context of one request: what resolvers, routes and pages work with."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

from afterwrite.base.refusals import Refused
from afterwrite.base.store_errors import StoreError, log_and_redact
from afterwrite.graphql_http import RequestError
from afterwrite.reads.loader import ProductLoader
from afterwrite.resources.write import Write
from afterwrite.storage.products import Products
from afterwrite.tasks.queue import TaskQueue
from afterwrite.writes.queue import WriteQueue

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """What works on one request.

    ``wait_until`` (monotonic seconds) bounds all waits of the request together; ``base_url`` is where the client
    finds the server's own pictures; ``by`` is the name of the caller, None without one.
    """

    products: Products
    queue: WriteQueue
    tasks: TaskQueue
    wait_until: float
    base_url: Callable[[], str] = lambda: ""
    by: str | None = None
    loader: ProductLoader = field(init=False)

    def __post_init__(self) -> None:
        """Make the loader, which belongs to this request alone."""
        object.__setattr__(self, "loader", ProductLoader(self.products))

    @property
    def wait_seconds(self) -> float:
        """How long the request may still wait."""
        return max(0.0, self.wait_until - time.monotonic())

    def absolute(self, url: str | None) -> str | None:
        """A URL as the client can open it: one of the server's own begins with its address."""
        return self.base_url() + url if url and url[0] == "/" else url

    def receipts(self, writes: Sequence[Write]) -> Sequence[Write]:
        """The receipts of an answer, whose products are then read together, when the first of them is asked for."""
        self.loader.expect(write.product_id for write in writes)
        return writes


def answering(resolve: Callable[..., T]) -> Callable[..., T]:
    """Tell a GraphQL client why a request was refused, or that the database is unavailable, instead of masking it."""

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


def events_answered(events: Iterator[T]) -> Iterator[T]:
    """The events; a database that cannot be used ends them with an error that the client may see."""
    try:
        yield from events
    except StoreError as error:
        raise database_unavailable(error) from error
