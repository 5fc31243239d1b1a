"""The Flask view that answers GraphQL requests."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, ClassVar

from flask import Request, Response, request
from flask.typing import ResponseReturnValue
from flask.views import View
from graphene import Schema
from graphql import ExecutionResult, GraphQLError, GraphQLSchema
from werkzeug.exceptions import HTTPException

from afterwrite.graphql_http import graphiql as graphiql_page
from afterwrite.graphql_http.accept import EVENT_STREAM, GRAPHQL_RESPONSE, HTML, negotiate
from afterwrite.graphql_http.documents import DocumentStore, Operation
from afterwrite.graphql_http.errors import BAD_REQUEST, GraphQLRefusal, HttpRefusal, RequestError, masked, new_incident
from afterwrite.graphql_http.limits import Limits
from afterwrite.graphql_http.persisted import PersistedQueries
from afterwrite.graphql_http.request import Parameters, parameters_of, read_get, read_post
from afterwrite.graphql_http.responses import (
    encoded,
    not_acceptable,
    refusal_status,
    refuse,
    respond,
    respond_json,
    respond_with_stream,
)
from afterwrite.graphql_http.shared_answers import SharedAnswers
from afterwrite.graphql_http.streams import (
    CARRIER,
    COMPLETE,
    SOCKET,
    EventSource,
    EventStream,
    LoopStream,
    StreamSlots,
    next_event,
    subscribe,
)
from afterwrite.graphql_http.transport_ws import OperationRefused
from afterwrite.graphql_http.websocket_endpoint import ConnectionOperations, WebSocketEndpoint, from_thread

logger = logging.getLogger(__name__)

_ALLOWED = (("Allow", "GET, HEAD, POST, OPTIONS"),)


def _nothing(*_: object) -> None:
    """The default of the functions that an application may give."""


def _call_both(first: Callable[[], None], second: Callable[[], None]) -> None:
    first()
    second()


def _no_loop(coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
    coroutine.close()
    raise TypeError("An asynchronous iterator of events needs GraphQLView's argument `submit`")


class GraphQLView(View):
    """Answers GraphQL over HTTP: queries, mutations and, as event streams, subscriptions.

    Mount it with `app.add_url_rule("/graphql", view_func=GraphQLView.as_view("graphql", schema=schema))`.

    Args:
        schema: a Graphene or a graphql-core schema. Its resolvers are synchronous; each `subscribe_x` returns an
            asynchronous iterator of events, or a synchronous one, which holds a thread of the server. Both may yield
            `KEEP_ALIVE` where they only waited.
        graphiql: serve GraphiQL to a browser that opens the endpoint.
        limits: the limits of one request.
        introspection: off refuses `__schema` and `__type`, and turns suggestions and GraphiQL off.
        context: makes the context value of a request; may raise `RequestError`.
        permit: called with the request, the kind of operation ("query", "mutation" or "subscription") and the names
            of its root fields before execution; raises `HttpRefusal` to refuse.
        permit_still: called the same way before each event and keep-alive of a stream; raises `RequestError` to end it.
        max_streams: maximum number of open event streams.
        max_stream_threads: maximum number of open event streams that hold a thread of the server: those of synchronous
            iterators, and all of them under a server that puts no `CARRIER` into the environ.
        submit: runs a coroutine on the asyncio loop of asynchronous iterators, from any thread.
        audience: requests with an equal value are told the same of an event if they ask the same.
        check_origin: called with the handshake of a WebSocket; raises HttpRefusal to refuse it.
        sign_in: called with the handshake and the payload of `connection_init`; raises HttpRefusal to refuse it.
        count: called before each operation of a WebSocket; raises HttpRefusal to refuse it.
        on_stop: called with a function that closes all WebSockets when the server begins to stop.
        stream_holder: names the holder of a request's stream, who may have half of `max_streams`, at least one. None is
            not limited.
        examples: documents that GraphiQL opens as tabs.
        home: the name and the path of the page that GraphiQL's logo links to.
        csrf_token: makes the token that GraphiQL's page sends as `X-CSRF-Token`; an empty one is not sent.
        compiled: off executes every operation with graphql-core, to measure the gain of compiling.

    Specifications: https://graphql.github.io/graphql-over-http/draft/ and, for event streams,
    https://github.com/graphql/graphql-sse/blob/main/PROTOCOL.md (distinct connections mode).
    """

    # Other methods would get Flask's HTML page instead of our 405.
    methods: ClassVar[Sequence[str]] = [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "CONNECT",
        "QUERY",
        "PROPFIND",
    ]
    init_every_request = False

    def __init__(
        self,
        schema: Schema | GraphQLSchema,
        *,
        graphiql: bool = False,
        limits: Limits | None = None,
        introspection: bool = True,
        context: Callable[[Request], Any] = _nothing,
        max_streams: int = 8,
        max_stream_threads: int = 8,
        submit: Callable[[Coroutine[Any, Any, Any]], Future[Any]] = _no_loop,
        audience: Callable[[Request], Hashable] = id,
        check_origin: Callable[[Request], None] = _nothing,
        sign_in: Callable[[Request, Mapping[str, Any]], None] = _nothing,
        count: Callable[[Request], None] = _nothing,
        on_stop: Callable[[Callable[[], None]], None] = _nothing,
        examples: Sequence[str] = (),
        permit: Callable[[Request, str, Collection[str]], None] = _nothing,
        permit_still: Callable[[Request, str, Collection[str]], None] = _nothing,
        stream_holder: Callable[[Request], str | None] = _nothing,
        csrf_token: Callable[[], str] = lambda: "",
        home: tuple[str, str] | None = None,
        compiled: bool = True,
    ) -> None:
        core = schema if isinstance(schema, GraphQLSchema) else schema.graphql_schema
        self._limits = limits or Limits()
        self._documents = DocumentStore(core, self._limits, introspection=introspection, compiled=compiled)
        self._persisted = PersistedQueries(self._limits.document_cache_size)
        self._graphiql = graphiql and introspection
        self._context = context
        self._examples = tuple(examples)
        self._slots = StreamSlots(max_streams)
        self._thread_slots = StreamSlots(min(max_streams, max_stream_threads))
        self._submit = submit
        self._audience = audience
        self._shared_answers = SharedAnswers()
        self._sockets = WebSocketEndpoint(self, submit, check_origin=check_origin, sign_in=sign_in, count=count)
        on_stop(self._sockets.announce_stop)
        self._permit = permit
        self._permit_still = permit_still
        self._stream_holder = stream_holder
        self._csrf_token = csrf_token
        self._home = home

    def dispatch_request(self) -> ResponseReturnValue:
        """Answers one request; errors are JSON or an event."""
        http: Request = request._get_current_object()  # type: ignore[attr-defined]
        environ = http.environ
        method = environ["REQUEST_METHOD"]
        reads = method in ("GET", "HEAD")
        media_type = negotiate(environ.get("HTTP_ACCEPT"), html=self._graphiql and reads)
        try:
            if method == "OPTIONS":
                return Response(status=204, headers=list(_ALLOWED))
            if SOCKET in environ and method == "GET":
                return self._sockets.answer(http)
            if media_type is None:
                raise not_acceptable(environ)
            if media_type == HTML:
                return self._page(http)
            return self._run(http, self._parameters(environ, method), media_type, reads)
        except GraphQLRefusal as refusal:
            return refuse(refusal.errors, media_type, refusal.status)
        except RequestError as error:
            return refuse([{"message": error.message, "extensions": error.extensions}], media_type)
        except HttpRefusal as refusal:
            return respond_json(refusal.status, [refusal.error], media_type, refusal.headers)
        except HTTPException as error:  # Flask's way to refuse, from the function that makes the context
            message = {"message": error.description or error.name, "extensions": {"code": BAD_REQUEST}}
            return respond_json(error.code or 400, [message], media_type)
        except Exception:
            incident = new_incident()
            logger.exception("incident %s: a request failed", incident)
            return respond_json(500, [masked(incident)], media_type)

    def _parameters(self, environ: Mapping[str, Any], method: str) -> Parameters:
        if method == "POST":
            return read_post(environ, self._limits.max_body_bytes)
        if method in ("GET", "HEAD"):
            return read_get(environ)
        raise HttpRefusal(405, f"{method} is not answered here. Use GET or POST.", headers=_ALLOWED)

    def _run(self, http: Request, parameters: Parameters, media_type: str, reads: bool) -> Response:
        operation = self._checked(http, parameters)
        variables = parameters.variables
        if operation.kind == "mutation" and reads:
            allowed = (("Allow", "POST"),)
            raise HttpRefusal(405, "A mutation cannot run by GET, which may repeat. Use POST.", headers=allowed)
        context = self._context(http)
        if operation.kind == "subscription":
            return self._stream(http, operation, context, variables, media_type)
        result = operation.executable.execute(None, context, variables)
        return self._answer(result, media_type)

    def _checked(self, http: Request, parameters: Parameters) -> Operation:
        source = self._persisted.text_of(parameters)
        operation = self._documents.get(source).operation(parameters.operation_name)
        self._permit(http, operation.kind, operation.root_fields)
        self._persisted.keep(parameters)
        self._documents.check_cost(operation, parameters.variables)
        return operation

    def _answer(self, result: ExecutionResult, media_type: str) -> Response:
        body, status = self._body(result, media_type)
        if media_type == EVENT_STREAM:
            return respond(200, next_event(body) + COMPLETE, media_type)
        return respond(status, body, media_type)

    def _body(self, result: ExecutionResult, media_type: str) -> tuple[bytes, int]:
        errors = result.errors
        if not errors:
            return encoded({"data": result.data}), 200
        presented = self._documents.presentable(errors)
        # Errors without a path occurred before execution: the response then has no data entry.
        if result.data is None and all(error.path is None for error in errors):
            return encoded({"errors": presented}), refusal_status(media_type)
        return encoded({"errors": presented, "data": result.data}), 200

    def _stream(
        self, http: Request, operation: Operation, context: Any, variables: dict[str, Any], media_type: str
    ) -> Response:
        if media_type != EVENT_STREAM:
            message = "A subscription is answered as an event stream. Send 'Accept: text/event-stream'."
            raise HttpRefusal(406, message)
        holder = self.take_slot(http)
        give_back = partial(self.give_slot_back, holder)
        try:
            source = subscribe(operation, context, variables)
        except BaseException as error:
            give_back()
            if isinstance(error, GraphQLError):
                return respond(200, next_event(self._refused(error)) + COMPLETE, media_type)
            raise
        carry = http.environ.get(CARRIER)
        if isinstance(source.events, AsyncIterator) and carry is not None:
            carry(self._loop_stream(http, operation, context, variables, source, give_back))
            return respond_with_stream(iter(()))
        answer, still = self._answering(http, operation, context, variables)
        return self._thread_stream(source, answer, give_back, still)

    def begin(
        self, http: Request, payload: Mapping[str, Any], frame: Callable[[Any], bytes], connection: ConnectionOperations
    ) -> LoopStream | bytes:
        """Begins an operation of a WebSocket, as `Operations.begin` says."""
        try:
            connection.count(http)
            parameters = parameters_of(payload)
            operation = self._checked(http, parameters)
            context, variables = self._context(http), parameters.variables
            if operation.kind == "subscription":
                return self._socket_stream(http, operation, context, variables, frame, connection)
            result = operation.executable.execute(None, context, variables)
            body, status = self._body(result, GRAPHQL_RESPONSE)
            if status == 200:
                return body
            errors = self._documents.presentable(result.errors or [])
        except GraphQLRefusal as refusal:
            errors = refusal.errors
        except GraphQLError as error:
            errors = self._documents.presentable([error])
        except RequestError as error:
            errors = [{"message": error.message, "extensions": error.extensions}]
        except HttpRefusal as refusal:
            errors = [refusal.error]
        raise OperationRefused(encoded(errors))

    def _socket_stream(
        self,
        http: Request,
        operation: Operation,
        context: Any,
        variables: dict[str, Any],
        frame: Callable[[Any], bytes],
        connection: ConnectionOperations,
    ) -> LoopStream:
        give_back = connection.take_slot(http)
        try:
            source = subscribe(operation, context, variables)
            if isinstance(source.events, Iterator):
                self._thread_slots.take()
                source = source._replace(events=from_thread(source.events, self._sockets.threads))
                give_back = partial(_call_both, self._thread_slots.give_back, give_back)
        except BaseException:
            give_back()
            raise
        return self._loop_stream(http, operation, context, variables, source, give_back, frame)

    def take_slot(self, http: Request) -> str | None:
        """Takes a slot of `max_streams` for the sender, and returns its holder. Raises HttpRefusal, 503."""
        holder = self.holder_of(http)
        self._slots.take(holder)
        return holder

    def holder_of(self, http: Request) -> str | None:
        """The name under which the sender's slots are counted."""
        return self._stream_holder(http)

    def give_slot_back(self, holder: str | None) -> None:
        self._slots.give_back(holder)

    @property
    def limits(self) -> Limits:
        """The limits of one request."""
        return self._limits

    def _answering(
        self, http: Request, operation: Operation, context: Any, variables: dict[str, Any]
    ) -> tuple[Callable[[Any], bytes], Callable[[], None]]:
        execute = partial(operation.executable.execute, context_value=context, raw_variables=variables)
        still = partial(self._permit_still, http, operation.kind, operation.root_fields)
        return lambda event: self._body(execute(event), EVENT_STREAM)[0], still

    def _loop_stream(
        self,
        http: Request,
        operation: Operation,
        context: Any,
        variables: dict[str, Any],
        source: EventSource,
        give_back: Callable[[], None],
        frame: Callable[[Any], bytes] | None = None,
    ) -> LoopStream:
        answer, still = self._answering(http, operation, context, variables)
        told = self._shared_answers.of(operation, variables, self._audience(http), answer)
        return LoopStream(source, told, self._refused, give_back, still, self._submit, frame)

    def _thread_stream(
        self, source: EventSource, answer: Callable[[Any], bytes], give_back: Callable[[], None], still: Any
    ) -> Response:
        """Answers with a stream that a thread of the server sends."""
        try:
            self._thread_slots.take()
        except HttpRefusal:
            give_back()
            raise

        def closed() -> None:
            self._thread_slots.give_back()
            give_back()

        if isinstance(source.events, AsyncIterator):
            source = source._replace(events=_in_thread(source.events, self._submit))
        return respond_with_stream(EventStream(source, answer, self._refused, closed, still))

    def _refused(self, error: GraphQLError) -> bytes:
        return encoded({"errors": self._documents.presentable([error])})

    def _page(self, http: Request) -> Response:
        endpoint = http.script_root + http.path
        body = graphiql_page.page(endpoint, self._examples, self._csrf_token(), self._home).encode()
        return respond(200, body, HTML)


def _in_thread(events: AsyncIterator[Any], submit: Callable[[Coroutine[Any, Any, Any]], Future[Any]]) -> Iterator[Any]:
    """Gives the events of a loop to a thread, which waits for each."""
    ended = object()

    async def following() -> Any:
        return await anext(events, ended)

    try:
        while (event := submit(following()).result()) is not ended:
            yield event
    finally:
        submit(events.aclose())  # type: ignore[attr-defined]
