"""Says what the resolvers of one GraphQL request work with."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from async_db import WriteQueue
from database.errors import StoreError, told
from database.products import Products
from graphql_http import RequestError
from product import Product
from tasks.queue import TaskQueue

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """What the resolvers of one request work with.

    ``wait_until`` (monotonic seconds) bounds all waits of the request together; ``base_url`` tells where the
    client finds our own pictures; ``private_callbacks`` lets a callback URL lead into a private network; ``by`` is
    the name of the caller, None of one who gave none.
    """

    products: Products
    queue: WriteQueue
    tasks: TaskQueue
    wait_until: float
    base_url: Callable[[], str]
    private_callbacks: bool = False
    by: str | None = None

    @property
    def wait_seconds(self) -> float:
        """How long the request may still wait."""
        return max(0.0, self.wait_until - time.monotonic())

    def shown(self, product: Product) -> Product:
        """The product as a client sees it."""
        if product.image and product.image[0] == "/":
            return product._replace(image=self.base_url() + product.image)
        return product


def reading(resolve: Callable[..., T]) -> Callable[..., T]:
    """Tell the client when the database cannot be used, instead of masking it as an internal error."""

    @wraps(resolve)
    def resolved(*args: Any, **kwargs: Any) -> T:
        try:
            return resolve(*args, **kwargs)
        except StoreError as error:
            raise database_unavailable(error) from error

    return resolved


def database_unavailable(error: StoreError) -> RequestError:
    """What a client is told when the database cannot be used."""
    return RequestError(told(error), code="DATABASE_UNAVAILABLE")
