"""A small site around the view: its schema knows nothing of products, and its server is a real one."""

# mypy: disallow-subclassing-any=False
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import graphene
from flask import Flask
from graphene.types.generic import GenericScalar
from graphql import GraphQLError
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from afterwrite.graphql_http import KEEP_ALIVE, GraphQLView, RequestError

ROOT = Path(__file__).resolve().parents[2]


class Source:
    """What the tests know of a subscription's iterator: whether it began, and whether it was closed."""

    def __init__(self) -> None:
        self.opened = Event()
        self.closed = Event()

    def wait_until_closed(self) -> Iterator[Any]:
        """Yields keep-alives until the stream is closed, as a quiet source does."""
        try:
            yield "first"
            while True:
                self.opened.set()
                self.closed.wait(0.01)
                yield KEEP_ALIVE
        finally:
            self.closed.set()


class Colour(graphene.Enum):
    RED = 1
    GREEN = 2


class Filter(graphene.InputObjectType):
    text = graphene.String()
    inner = graphene.List(lambda: Filter)


class Node(graphene.Interface):
    id = graphene.ID(required=True)


class Item(graphene.ObjectType):
    class Meta:
        interfaces = (Node,)

    name = graphene.String()
    needed = graphene.String(required=True)
    again = graphene.Field(lambda: Item)
    items = graphene.List(lambda: Item, first=graphene.Int(default_value=10), last=graphene.Int())
    pages = graphene.List(lambda: Item, first=graphene.Int())

    def resolve_id(self, _info: Any) -> str:
        return "1"

    def resolve_name(self, _info: Any) -> str:
        return "name"

    def resolve_needed(self, _info: Any) -> None:
        return None

    def resolve_again(self, _info: Any) -> Item:
        return Item()

    def resolve_items(self, _info: Any, first: int, last: int | None = None) -> list[Item]:
        return [Item() for _ in range(min(first, 20))]

    def resolve_pages(self, _info: Any, first: int | None = None) -> list[Item]:
        return [Item()]


class Query(graphene.ObjectType):
    hello = graphene.String(name=graphene.String(default_value="you"))
    item = graphene.Field(Item)
    items = graphene.List(Item, first=graphene.Int(default_value=10), last=graphene.Int())
    echo = graphene.String(
        integer=graphene.Int(),
        number=graphene.Float(),
        id=graphene.ID(),
        yes=graphene.Boolean(),
        colour=Colour(),
        filter=Filter(),
        any=graphene.JSONString(),
        texts=graphene.List(graphene.String),
    )
    required = graphene.String(text=graphene.String(required=True))
    rows = graphene.Int(rows=graphene.List(Filter))
    wrong = graphene.String()
    refused = graphene.String()
    bare_error = graphene.String()
    coded_error = graphene.String()
    not_json = graphene.Field(GenericScalar)
    context = graphene.String()
    bad_int = graphene.Int()

    def resolve_hello(self, _info: Any, name: str) -> str:
        return f"Hello {name}"

    def resolve_item(self, _info: Any) -> Item:
        return Item()

    def resolve_items(self, _info: Any, first: int, last: int | None = None) -> list[Item]:
        return [Item() for _ in range(min(first, 20))]

    def resolve_echo(self, _info: Any, **arguments: Any) -> str:
        return repr(sorted(arguments))

    def resolve_required(self, _info: Any, text: str) -> str:
        return text

    def resolve_rows(self, _info: Any, rows: list[Any]) -> int:
        return len(rows)

    def resolve_wrong(self, _info: Any) -> str:
        raise KeyError("a secret")

    def resolve_refused(self, _info: Any) -> str:
        raise RequestError("The name 'x' is taken. Choose another.", "NAME_TAKEN", name="x")

    def resolve_bare_error(self, _info: Any) -> str:
        raise GraphQLError("a secret")

    def resolve_coded_error(self, _info: Any) -> str:
        raise GraphQLError("not a secret", extensions={"code": "MINE"})

    def resolve_not_json(self, _info: Any) -> Any:
        return {"a": {1, 2}}

    def resolve_context(self, info: Any) -> str:
        return str(info.context)

    def resolve_bad_int(self, _info: Any) -> str:
        return "a secret"


class Rename(graphene.Mutation):
    class Arguments:
        name = graphene.String()

    name = graphene.String()

    def mutate(self, _info: Any, name: str = "none") -> Rename:
        return Rename(name=name)


class Mutation(graphene.ObjectType):
    rename = Rename.Field()


class Subscription(graphene.ObjectType):
    count = graphene.Int(to=graphene.Int(required=True))
    quiet = graphene.String()
    breaks = graphene.Int()
    refuses = graphene.Int(later=graphene.Boolean(default_value=False))
    not_iterable = graphene.Int()

    def subscribe_count(self, _info: Any, to: int) -> Iterator[Any]:
        for number in range(1, to + 1):
            yield KEEP_ALIVE
            yield number

    def subscribe_quiet(self, info: Any) -> Iterator[Any]:
        return info.context.wait_until_closed()  # type: ignore[no-any-return]

    def subscribe_breaks(self, _info: Any) -> Iterator[Any]:
        yield 1
        raise KeyError("a secret")

    def subscribe_refuses(self, _info: Any, later: bool) -> Iterator[Any]:
        if not later:
            raise RequestError("Not for you.", "FORBIDDEN")
        return iter([_raise()])

    def subscribe_not_iterable(self, _info: Any) -> int:
        return 5


def _raise() -> Any:
    raise RequestError("Not for you.", "FORBIDDEN")


SCHEMA = graphene.Schema(query=Query, mutation=Mutation, subscription=Subscription, types=[Item])


def make_app(**options: Any) -> Flask:
    """Returns an application with the view at /graphql, and the project's own static files."""
    app = Flask("site", static_folder=str(ROOT / "afterwrite" / "static"))
    app.add_url_rule("/graphql", view_func=GraphQLView.as_view("graphql", schema=SCHEMA, **options))
    return app


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the name is werkzeug's
        """Keeps the access log out of the tests' output."""


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Serves `app` on a free port of this machine and gives its base URL."""
    server = ThreadedWSGIServer("127.0.0.1", 0, app, _QuietHandler)
    server.daemon_threads = False
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
