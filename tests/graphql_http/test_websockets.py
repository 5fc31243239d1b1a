"""GraphQL over WebSocket: the protocol graphql-transport-ws against a real server, with Python's own client."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from access_site import KEYS, SECRETS
from server_process import ServerProcess
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from afterwrite.access.roles import Role

WAIT_SECONDS = 30
MakeServer = Callable[..., ServerProcess]


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test on a loop, with a time limit."""
    asyncio.run(asyncio.wait_for(test, 120))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One server for the tests that only ask it."""
    started = ServerProcess(tmp_path_factory.mktemp("data")).start()
    yield started
    started.kill()


@asynccontextmanager
async def opened(server: ServerProcess, *, init: Any = None, **options: Any) -> AsyncIterator[ClientConnection]:
    """A connection that was acknowledged."""
    url = f"ws://127.0.0.1:{server.port}/graphql"
    async with connect(url, subprotocols=["graphql-transport-ws"], **options) as client:  # type: ignore[list-item]
        await client.send(json.dumps({"type": "connection_init", **({} if init is None else {"payload": init})}))
        assert await told(client) == {"type": "connection_ack"}
        yield client


async def told(client: ClientConnection) -> Any:
    """The next message."""
    return json.loads(await asyncio.wait_for(client.recv(), WAIT_SECONDS))


async def closed(client: ClientConnection) -> tuple[int, str]:
    """The code and the reason with which the server closes."""
    with pytest.raises(ConnectionClosed) as found:
        while True:
            await asyncio.wait_for(client.recv(), WAIT_SECONDS)
    assert found.value.rcvd is not None
    return found.value.rcvd.code, found.value.rcvd.reason


async def ask(client: ClientConnection, query: str, operation_id: str = "1", **variables: Any) -> None:
    payload = {"query": query, "variables": variables}
    await client.send(json.dumps({"id": operation_id, "type": "subscribe", "payload": payload}))


async def answered(client: ClientConnection, query: str, **variables: Any) -> Any:
    """The result of a query or mutation."""
    await ask(client, query, "asked", **variables)
    result = await told(client)
    assert (result["type"], result["id"]) == ("next", "asked")
    assert await told(client) == {"id": "asked", "type": "complete"}
    return result["payload"]


CREATE = 'mutation { createProduct(title: "x", price: 1) { write { id } } }'
SETTLED = "subscription($id: ID!) { writeSettled(id: $id) { id status record { id } } }"


def test_queries_mutations_and_subscriptions_share_a_connection(server: ServerProcess) -> None:
    async def test() -> None:
        async with opened(server) as client:
            assert await answered(client, "{ __typename }") == {"data": {"__typename": "Query"}}
            made = await answered(client, CREATE)
            write = made["data"]["createProduct"]["write"]["id"]
            await ask(client, SETTLED, "s", id=write)
            event = await told(client)
            assert (event["id"], event["type"]) == ("s", "next")
            settled = event["payload"]["data"]["writeSettled"]
            assert (settled["id"], settled["status"]) == (write, "APPLIED")
            assert settled["record"]
            assert await told(client) == {"id": "s", "type": "complete"}

    run(test())


def test_a_ping_is_answered_with_its_payload(server: ServerProcess) -> None:
    async def test() -> None:
        async with opened(server) as client:
            await client.send('{"type": "ping", "payload": {"number": 7}}')
            assert await told(client) == {"type": "pong", "payload": {"number": 7}}
            await client.send('{"type": "pong"}')
            await client.send('{"type": "ping"}')
            assert await told(client) == {"type": "pong"}

    run(test())


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query($id: ID!) { product(productId: $id) { id } }", "BAD_USER_INPUT"),
        ("subscription($id: ID!) { writeSettled(id: $id) { id } }", "BAD_USER_INPUT"),
        ('subscription { writeSettled(id: "12345") { id } }', "BAD_USER_INPUT"),
    ],
)
def test_what_cannot_be_executed_is_an_error_of_its_operation(server: ServerProcess, query: str, code: str) -> None:
    async def test() -> None:
        async with opened(server) as client:
            await ask(client, query, "wrong")
            error = await told(client)
            assert (error["id"], error["type"]) == ("wrong", "error")
            assert error["payload"][0]["extensions"]["code"] == code
            assert await answered(client, "{ __typename }")  # the connection goes on

    run(test())


def test_a_completed_operation_ends_and_its_id_is_free(server: ServerProcess) -> None:
    async def test() -> None:
        async with opened(server) as client:
            for _ in range(3):
                await ask(client, "subscription { tasksUpdated { id } }", "again")
                await client.send('{"id": "again", "type": "complete"}')
            assert await answered(client, "{ __typename }")

    run(test())


@pytest.mark.parametrize(
    ("messages", "code", "reason"),
    [
        (['{"id": "1", "type": "subscribe", "payload": {"query": "{ __typename }"}}'], 4401, "Unauthorized"),
        (['{"type": "connection_init"}'] * 2, 4429, "Too many initialisation requests"),
        (["{"], 4400, "The message is not valid JSON"),
        (["[]"], 4400, "The message is a list"),
        ([b"{}"], 4400, "Messages are text"),
        (['{"type": "start", "id": "1"}'], 4400, "Invalid message of type 'start'"),
        (['{"type": "connection_init", "payload": 1}'], 4400, "Invalid message of type 'connection_init'"),
        (['{"type": "subscribe", "id": "", "payload": {}}'], 4400, "Invalid message of type 'subscribe'"),
        (['{"type": "complete"}'], 4400, "Invalid message of type 'complete'"),
    ],
)
def test_a_wrong_message_closes_with_the_code_of_the_protocol(
    server: ServerProcess, messages: list[str | bytes], code: int, reason: str
) -> None:
    async def test() -> None:
        url = f"ws://127.0.0.1:{server.port}/graphql"
        async with connect(url, subprotocols=["graphql-transport-ws"]) as client:  # type: ignore[list-item]
            for message in messages:
                await client.send(message)
            found = await closed(client)
            assert found[0] == code
            assert found[1].startswith(reason)

    run(test())


def test_an_id_that_is_in_use_closes_the_connection(server: ServerProcess) -> None:
    async def test() -> None:
        async with opened(server) as client:
            for _ in range(2):
                await ask(client, "subscription { tasksUpdated { id } }", "twice")
            assert await closed(client) == (4409, "Subscriber for twice already exists")

    run(test())


def test_a_connection_that_does_not_initialise_is_closed(server: ServerProcess) -> None:
    async def test() -> None:
        url = f"ws://127.0.0.1:{server.port}/graphql"
        async with connect(url, subprotocols=["graphql-transport-ws"]) as client:  # type: ignore[list-item]
            assert await closed(client) == (4408, "Connection initialisation timeout")

    run(test())


def test_a_message_above_the_limit_of_bodies_is_refused(make_server: MakeServer) -> None:
    async def test(server: ServerProcess) -> None:
        async with opened(server) as client:
            await ask(client, "{ __typename }" + " " * 70_000)
            assert (await closed(client))[0] == 1009

    run(test(make_server(MAX_BODY_BYTES="65536").start()))


@pytest.mark.parametrize("offered", [["graphql-ws"], None])
def test_another_subprotocol_is_refused(server: ServerProcess, offered: Any) -> None:
    async def test() -> None:
        with pytest.raises(InvalidStatus) as found:
            await connect(f"ws://127.0.0.1:{server.port}/graphql", subprotocols=offered)
        assert found.value.response.status_code == 400

    run(test())


def test_only_named_origins_open_a_connection(make_server: MakeServer) -> None:
    server = make_server(CORS_ORIGINS="http://shop.example").start()

    async def test() -> None:
        own = f"http://127.0.0.1:{server.port}"
        for origin in (own, "http://shop.example", None):
            async with opened(server, origin=origin) as client:
                assert await answered(client, "{ __typename }")
        for origin in ("http://evil.example", "http://127.0.0.1:1", "null"):
            with pytest.raises(InvalidStatus) as found:
                await connect(
                    f"ws://127.0.0.1:{server.port}/graphql",
                    subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]
                    origin=origin,  # type: ignore[arg-type]
                )
            assert found.value.response.status_code == 403

    run(test())


def test_a_key_travels_in_the_header_or_in_the_payload(make_server: MakeServer) -> None:
    server = make_server(API_KEYS=KEYS).start()
    bearer = {"Authorization": f"Bearer {SECRETS[Role.WRITE]}"}

    async def test() -> None:
        async with opened(server, additional_headers=bearer) as client:
            assert "data" in await answered(client, CREATE)
        async with opened(server, init=bearer) as client:
            assert "data" in await answered(client, CREATE)
        async with opened(server, init={"authorization": f"Bearer {SECRETS[Role.READ]}"}) as client:
            await ask(client, CREATE)
            assert (await told(client))["payload"][0]["extensions"]["code"] == "FORBIDDEN"
        for init in (None, {"Authorization": "Bearer wrong"}, {"Authorization": 1}):
            with pytest.raises(ConnectionClosed) as found:
                async with opened(server, init=init):
                    pass
            assert found.value.rcvd is not None
            assert found.value.rcvd.code == 4403

    run(test())


def test_a_request_for_a_websocket_passes_no_other_gate(make_server: MakeServer) -> None:
    server = make_server(API_KEYS=KEYS).start()
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    with contextlib.closing(server.client()) as client:
        for method, path, status in (("GET", "/api/products", 401), ("HEAD", "/graphql?query={__typename}", 501)):
            client.connection.request(method, path, headers=upgrade)
            answer = client.connection.getresponse()
            answer.read()
            assert answer.status == status


def test_a_stop_closes_with_going_away(make_server: MakeServer) -> None:
    server = make_server().start()

    async def test() -> None:
        async with opened(server) as client:
            await ask(client, "subscription { tasksUpdated { id } }")
            assert await answered(client, "{ __typename }")
            await asyncio.to_thread(server.stop)
            assert (await closed(client))[0] == 1001

    run(test())


def test_a_connection_holds_a_slot_and_gives_it_back(make_server: MakeServer) -> None:
    server = make_server(MAX_STREAMS="2").start()

    async def test() -> None:
        async with opened(server), opened(server) as client:
            await ask(client, "subscription { tasksUpdated { id } }", "first")
            await ask(client, "subscription { tasksUpdated { id } }", "second")
            error = await told(client)
            assert (error["id"], error["payload"][0]["extensions"]["code"]) == ("second", "TOO_MANY_STREAMS")
            with pytest.raises(InvalidStatus) as found:
                await connect(f"ws://127.0.0.1:{server.port}/graphql", subprotocols=["graphql-transport-ws"])  # type: ignore[list-item]
            assert found.value.response.status_code == 503
        for _ in range(3):
            async with opened(server) as client:
                await ask(client, "subscription { tasksUpdated { id } }", "first")

    run(test())


def test_a_client_that_reads_nothing_holds_up_nobody(server: ServerProcess) -> None:
    """Its own messages wait; others are answered."""

    async def test() -> None:
        async with opened(server, max_queue=1) as deaf, opened(server) as client:
            deaf.transport.pause_reading()
            for number in range(50):
                await ask(deaf, "{ __schema { types { name fields { name description } } } }", f"{number}")
            for _ in range(10):
                assert await answered(client, "{ __typename }")

    run(test())


def test_hundreds_of_connections_that_are_dropped_leave_nothing(make_server: MakeServer) -> None:
    server = make_server(MAX_STREAMS="300").start()

    async def test() -> None:
        for _ in range(3):  # would fill the slots at the second round
            clients = [
                await connect(f"ws://127.0.0.1:{server.port}/graphql", subprotocols=["graphql-transport-ws"])  # type: ignore[list-item]
                for _ in range(200)
            ]
            for client in clients:
                await client.send('{"type": "connection_init"}')
            for client in clients:
                assert await told(client) == {"type": "connection_ack"}
                await ask(client, "subscription { tasksUpdated { id } }")
            for client in clients:
                client.transport.abort()

    run(test())


def test_gunicorn_says_that_it_has_none(make_server: MakeServer) -> None:
    server = make_server(SERVER="gunicorn").start()

    async def test() -> None:
        with pytest.raises(InvalidStatus) as found:
            await connect(f"ws://127.0.0.1:{server.port}/graphql", subprotocols=["graphql-transport-ws"])  # type: ignore[list-item]
        assert found.value.response.status_code == 501

    run(test())


def test_a_socket_of_another_address_is_not_taken(server: ServerProcess) -> None:
    """Frames on one connection are answered on that connection, however many are open."""

    async def test() -> None:
        others = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
        try:
            async with opened(server) as first, opened(server) as second:
                await ask(second, "{ second: __typename }")
                await ask(first, "{ first: __typename }")
                assert (await told(first))["payload"] == {"data": {"first": "Query"}}
                assert (await told(second))["payload"] == {"data": {"second": "Query"}}
        finally:
            for other in others:
                other.close()

    run(test())
