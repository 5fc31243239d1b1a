"""The subscriptions of tasks, over HTTP against a real server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from databases import Database
from server_process import ServerProcess, wait_until
from task_calls import Stream, create, find, paused

from afterwrite.base.store_errors import StoreError
from afterwrite.graphql_http import RequestError
from afterwrite.service.context import events_answered

CUSTOMER = {"email": "test@example.com", "name": "Test"}


@pytest.fixture(scope="module")
def api(module_database: Database) -> Iterator[ServerProcess]:
    """One server for all tests of this file; each test works on tasks of its own."""
    server = ServerProcess.on(module_database, STAGE_SECONDS="0").start()
    yield server
    server.kill()


def test_a_watched_task_is_told_as_it_is_and_as_it_changes_until_it_has_ended(api: ServerProcess) -> None:
    with paused(api, "entry"):
        number = api.query('mutation { createEntry(title: "Watched") { id } }')["createEntry"]["id"]
        document = "subscription ($id: ID!) { taskUpdated(id: $id) { id status progress stage } }"
        stream = Stream(api, document, {"id": number})
        results = iter(stream)
        first = next(results)["data"]["taskUpdated"]
        assert first == {"id": number, "status": "PENDING", "progress": 0, "stage": "CREATED"}
    with stream:
        seen = [first, *(result["data"]["taskUpdated"] for result in results)]
    assert seen[-1] == {"id": number, "status": "COMPLETED", "progress": 100, "stage": "COMPLETED"}
    assert [task["progress"] for task in seen] == sorted(task["progress"] for task in seen)
    assert all(task["id"] == number for task in seen)
    with Stream(api, document, {"id": number}) as ended:
        assert [result["data"]["taskUpdated"] for result in ended] == [seen[-1]]


@pytest.mark.parametrize(
    ("number", "code"), [("12", "TASK_NOT_FOUND"), ("x", "BAD_USER_INPUT"), ("", "BAD_USER_INPUT")]
)
def test_to_watch_a_task_that_does_not_exist_is_an_error_and_not_a_stream(
    api: ServerProcess, number: str, code: str
) -> None:
    with Stream(api, f'subscription {{ taskUpdated(id: "{number}") {{ id }} }}') as stream:
        [result] = stream
    assert result["errors"][0]["extensions"]["code"] == code


def test_who_watches_a_type_is_told_of_that_type_only(api: ServerProcess) -> None:
    document = 'subscription { tasksUpdated(type: "stripe_create_payment") { id type status } }'
    payment = {"amount": 1999, "currency": "eur", "customer_id": "cus_1"}
    with Stream(api, document) as stream:
        results = iter(stream)
        # A stream says nothing before something happens: the first task may come before the watch has begun.
        with ThreadPoolExecutor(1) as pool:
            told = pool.submit(next, results)
            wait_until(lambda: create(api, "stripe_create_payment", payment) and told.done())
        create(api, "stripe_create_customer", CUSTOMER)
        last = create(api, "stripe_create_payment", payment)["id"]
        seen = [told.result()["data"]["tasksUpdated"]]
        while (seen[-1]["id"], seen[-1]["status"]) != (last, "COMPLETED"):
            seen.append(next(results)["data"]["tasksUpdated"])
    assert {task["type"] for task in seen} == {"stripe_create_payment"}


def test_streams_are_limited_and_give_their_place_back(make_server: Callable[..., ServerProcess]) -> None:
    api = make_server(MAX_STREAMS="1").start()
    with Stream(api, "subscription { tasksUpdated { id } }") as open_one:
        assert open_one.status == 200
        with Stream(api, "subscription { tasksUpdated { id } }") as refused:
            assert refused.status == 503
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    number = create(api, "stripe_create_customer", CUSTOMER, runAt=later)["id"]

    def place_is_free() -> bool:
        with Stream(api, f'subscription {{ taskUpdated(id: "{number}") {{ id }} }}') as stream:
            return stream.status == 200

    wait_until(place_is_free)


def test_at_a_stop_a_stream_says_so_and_no_task_is_lost(make_server: Callable[..., ServerProcess]) -> None:
    api = make_server().start()
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    number = create(api, "stripe_create_customer", CUSTOMER, runAt=later)["id"]
    with Stream(api, f'subscription {{ taskUpdated(id: "{number}") {{ status }} }}') as stream:
        results = iter(stream)
        assert next(results)["data"]["taskUpdated"] == {"status": "PENDING"}
        with ThreadPoolExecutor(1) as pool:
            stopped = pool.submit(api.stop)
            last = list(results)[-1]
            assert stopped.result() == 0
    assert last["errors"][0]["extensions"]["code"] == "SHUTTING_DOWN"
    assert find(api.start(), number) == {"status": "PENDING"}


def test_who_watches_is_told_when_the_database_cannot_be_used() -> None:
    async def broken() -> AsyncIterator[Any]:
        yield 1
        raise StoreError("it is away")

    async def told() -> None:
        events = events_answered(broken())
        assert await anext(events) == 1
        await anext(events)

    with pytest.raises(RequestError, match="send this again later") as refused:
        asyncio.run(told())
    assert refused.value.code == "DATABASE_UNAVAILABLE"
