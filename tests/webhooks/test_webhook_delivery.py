"""What came of a task is posted to its callback URL, signed, under one event id, until it is taken or given up."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from receiving_server import ReceivingServer, Reply, reply, silence
from task_house import CalledWorker, MakeHouse, TaskHouse
from worker_runs import SECONDS, RecordedContext, WorkerRuns, new_task

from afterwrite.tasks.execution import worker_lost
from afterwrite.tasks.listing import TaskFilter
from afterwrite.tasks.retry import RetryPolicy
from afterwrite.tasks.task import (
    Completed,
    Failed,
    NewTask,
    Task,
    TaskError,
    TaskStatus,
    after,
    asked_again,
    asked_to_cancel,
)
from afterwrite.tasks.worker import CancelAsked, TaskFailed
from afterwrite.tasks.workers.webhook_delivery import TYPE, WebhookDeliveryWorker, _retry_after_seconds, delivery_of
from afterwrite.webhooks.guarded_http import GuardedHttp, PostLimits, any_address
from afterwrite.webhooks.signing import Verdict, sign, verify

SECRET, NOW = "whsec_test", 1_700_000_000.9
EVENT = {"event": "task.completed", "task_id": "7", "result": {"größe": 1}}


@pytest.fixture
def server() -> Iterator[ReceivingServer]:
    """A server on 127.0.0.1 that answers 200."""
    with ReceivingServer() as one:
        yield one


@pytest.fixture
def worker() -> Iterator[WebhookDeliveryWorker]:
    """A worker that may call private addresses, at a fixed time."""
    one = WebhookDeliveryWorker(SECRET, True, "1.2.3", clock=lambda: NOW)
    yield one
    asyncio.run(one.close())


def delivery_to(url: str, **fields: Any) -> Task:
    """A delivery that waits."""
    worker = WebhookDeliveryWorker(SECRET, True)
    return new_task(worker, TYPE, {"url": url, "event_id": "event-1", "event": EVENT})._replace(**fields)


def execute(worker: WebhookDeliveryWorker, delivery: Task) -> Any:
    """What the worker returns for one attempt; raises what it raises."""
    runs = WorkerRuns(worker)
    return asyncio.run(asyncio.wait_for(runs.execute(runs.claim(delivery)), SECONDS))


def failure(worker: WebhookDeliveryWorker, delivery: Task) -> TaskFailed:
    """How an attempt failed that must fail."""
    with pytest.raises(TaskFailed) as caught:
        execute(worker, delivery)
    return caught.value


# -- which delivery a task has -----------------------------------------------------------------------------------


def ended_task(result: Any = None, error: TaskError | None = None, **fields: Any) -> Task:
    """A task with a callback URL that has ended."""
    task = new_task(CalledWorker(lambda *_: None), "called", {})
    task = task._replace(callback_url="https://example.com/hook", correlation_id="order-17", **fields)
    running = task._replace(status=TaskStatus.PROCESSING.value, locked_by="one", locked_at_us=task.run_at_us, claim=1)
    outcome = Completed(json.dumps(result)) if error is None else Failed(error, None)
    return after(running, outcome, task.created_at_us + 1_500_000)


def event_of(task: Task) -> Any:
    """The event of the delivery that a task must have, as it comes out of the database."""
    new = delivery_of(task)
    assert new is not None
    assert (new.type, new.callback_url, new.correlation_id) == (TYPE, None, None)
    payload = json.loads(json.dumps(new.payload))
    Draft202012Validator(WebhookDeliveryWorker.types[TYPE]).validate(payload)
    assert payload["url"] == task.callback_url
    assert payload["event_id"] == payload["event"]["event_id"]
    return payload["event"]


def test_the_event_of_a_completed_task_tells_its_result() -> None:
    task = ended_task({"stored": 3})
    event = event_of(task)
    assert uuid.UUID(event.pop("event_id"))
    created, finished = (datetime.fromisoformat(event.pop(name)) for name in ("created_at", "finished_at"))
    assert (created, finished - created) == (task.created_at, timedelta(seconds=1.5))
    assert created.utcoffset() == timedelta(0)
    assert event == {
        "event": "task.completed",
        "task_id": "1",
        "type": "called",
        "status": "COMPLETED",
        "correlation_id": "order-17",
        "result": {"stored": 3},
        "error": None,
    }


def test_the_event_of_a_failed_task_tells_its_error() -> None:
    event = event_of(ended_task(error=TaskError("CARD_DECLINED", "The card was declined", True)))
    assert (event["event"], event["status"], event["result"]) == ("task.failed", "FAILED", None)
    assert event["error"] == {"code": "CARD_DECLINED", "message": "The card was declined"}


def test_the_event_of_a_cancelled_task_says_so() -> None:
    waiting = new_task(CalledWorker(lambda *_: None), "called", {})._replace(callback_url="https://example.com/")
    cancelled = asked_to_cancel(waiting, waiting.created_at_us + 1)
    event = event_of(cancelled)
    assert (event["event"], event["status"], event["correlation_id"]) == ("task.cancelled", "CANCELLED", None)


def test_every_end_leaves_its_delivery_behind_also_when_the_process_dies_with_it(
    make_house: MakeHouse, server: ReceivingServer
) -> None:
    """Nobody works in the first house: what it leaves is what was committed with the end of each task."""
    before = make_house(CalledWorker(lambda *_: None), WebhookDeliveryWorker(SECRET, True))
    cancelled, lost = [before.create(callback_url=server.url, max_attempts=1) for _ in range(2)]
    before.queue.cancel(cancelled.id)
    before.store.claim_and_record("dead", [], {"called": 1})
    before.store.expire(0.0, lambda task: worker_lost(task, RetryPolicy()))
    before.stop()
    after = make_house(CalledWorker(lambda *_: None), WebhookDeliveryWorker(SECRET, True)).start()
    after.wait_all(after.queue.newest(TaskFilter(type=TYPE), None, 9))
    told = {event["task_id"]: event["event"] for event in (json.loads(post.body) for post in server.posts)}
    assert told == {str(cancelled.id): "task.cancelled", str(lost.id): "task.failed"}
    assert len(server.posts) == 2


def test_a_task_without_a_callback_url_has_no_delivery() -> None:
    assert delivery_of(ended_task()._replace(callback_url=None)) is None


def test_a_delivery_has_no_delivery() -> None:
    assert delivery_of(ended_task()._replace(type=TYPE)) is None


def test_one_end_of_a_task_is_one_event_and_the_next_end_another() -> None:
    first = ended_task(error=TaskError("ODD", "It failed"))
    assert delivery_of(first) == delivery_of(first)
    again = asked_again(first, first.updated_at_us + 1)
    assert again.finished_at_us is None
    running = again._replace(status=TaskStatus.PROCESSING.value, locked_by="one", locked_at_us=again.run_at_us)
    second = after(running, Failed(TaskError("ODD", "It failed"), None), first.updated_at_us + 2)
    assert event_of(second)["event_id"] != event_of(first)["event_id"]
    assert event_of(first._replace(id=2))["event_id"] != event_of(first)["event_id"]


@pytest.mark.parametrize(
    ("result", "is_omitted"),
    [
        ("x" * 200_000, False),
        ("ü" * 100_000, False),  # its escapes would not fit, its bytes do
        ("x" * 262_144, True),
        ("ü" * 131_072, True),
        ("\ud83d", True),
    ],
)
def test_a_result_that_does_not_fit_is_omitted_and_said_to_be(result: str, is_omitted: bool) -> None:
    event = event_of(ended_task(result))
    assert event["result"] == (None if is_omitted else result)
    assert event.get("result_omitted", False) is is_omitted
    assert event["correlation_id"] == "order-17"
    assert len(json.dumps(event, ensure_ascii=False).encode()) <= 256 * 1024


# -- what is posted ----------------------------------------------------------------------------------------------


def test_a_delivery_posts_the_event_with_its_id_and_a_good_signature(
    server: ReceivingServer, worker: WebhookDeliveryWorker
) -> None:
    result = execute(worker, delivery_to(f"{server.url}/hook?token=1"))
    assert result == {"status": 200, "delivered_at": "2023-11-14T22:13:20.900000+00:00", "attempt": 1}
    [post] = server.posts
    assert (post.path, json.loads(post.body)) == ("/hook?token=1", EVENT)
    assert post.headers["content-type"] == "application/json"
    assert post.headers["user-agent"] == "Afterwrite/1.2.3"
    assert (post.headers["webhook-id"], post.headers["webhook-timestamp"]) == ("event-1", "1700000000")
    assert post.headers["webhook-signature"] == sign(SECRET, 1_700_000_000, post.body)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_2xx_is_a_success(server: ReceivingServer, worker: WebhookDeliveryWorker, status: int) -> None:
    server.replies = [reply(status)]
    assert execute(worker, delivery_to(server.url))["status"] == status


def test_a_retry_has_the_same_id_and_body_and_a_signature_of_its_own_time(server: ReceivingServer) -> None:
    times = iter([1_000.0, 1_000.0, 9_000.0, 9_000.0])
    worker = WebhookDeliveryWorker(SECRET, True, clock=lambda: next(times))
    server.replies = [reply(503), reply(200)]
    ended = asyncio.run(WorkerRuns(worker).run_to_end(delivery_to(server.url)))
    asyncio.run(worker.close())
    assert (ended.status, ended.attempt, ended.result["attempt"]) == (TaskStatus.COMPLETED, 2, 2)
    first, second = server.posts
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    for post, moment in ((first, 1_000), (second, 9_000)):
        given = post.headers["webhook-timestamp"], post.headers["webhook-signature"]
        assert verify(SECRET, *given, post.body, moment) == Verdict.VALID


# -- what is tried again, and when -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 404, 408, 409, 429, 500, 502, 503, 504])
def test_an_answer_that_is_no_success_is_tried_again(
    server: ReceivingServer, worker: WebhookDeliveryWorker, status: int
) -> None:
    server.replies = [reply(status, b"no <such>\nhook")]
    error = failure(worker, delivery_to(server.url))
    assert (error.code, error.final) == ("WEBHOOK_NOT_ACCEPTED", False)
    assert str(error) == f"The URL answered {status} instead of 2xx: no <such> hook"


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_loses_the_post_is_tried_again_and_explained(
    server: ReceivingServer, worker: WebhookDeliveryWorker, status: int
) -> None:
    server.replies = [reply(status, Location="/elsewhere?token=secret")]
    error = failure(worker, delivery_to(server.url))
    assert (error.code, error.final) == ("WEBHOOK_REDIRECT_NOT_FOLLOWED", False)
    assert "307" in str(error)
    assert "secret" not in str(error)


def test_gone_is_final(server: ReceivingServer, worker: WebhookDeliveryWorker) -> None:
    server.replies = [reply(410)]
    error = failure(worker, delivery_to(server.url))
    assert (error.code, error.final) == ("WEBHOOK_GONE", True)


def test_a_url_that_must_not_be_called_is_final(server: ReceivingServer) -> None:
    worker = WebhookDeliveryWorker(SECRET, False)
    for url in (server.url, server.at("localhost"), "ftp://example.com/"):
        error = failure(worker, delivery_to(url))
        assert (error.code, error.final) == ("WEBHOOK_REFUSED", True)
    asyncio.run(worker.close())
    assert server.connections == 0


def test_a_receiver_that_is_away_is_tried_again(worker: WebhookDeliveryWorker) -> None:
    with ReceivingServer() as gone:
        url = gone.url
    error = failure(worker, delivery_to(url))
    assert (error.code, error.final) == ("WEBHOOK_CONNECTION_FAILED", False)


def test_a_receiver_that_takes_too_long_is_tried_again(server: ReceivingServer) -> None:
    server.replies = [silence]
    http = GuardedHttp(is_allowed=any_address, limits=PostLimits(whole_seconds=0.2))
    worker = WebhookDeliveryWorker(SECRET, True, http=http)
    error = failure(worker, delivery_to(server.url))
    asyncio.run(worker.close())
    assert (error.code, error.final) == ("WEBHOOK_TIMEOUT", False)


def test_eight_tries_are_spread_over_six_to_eight_hours() -> None:
    policy = WebhookDeliveryWorker.retry
    pauses = [[policy.delay_seconds(attempt) for _ in range(200)] for attempt in range(1, policy.max_attempts)]
    assert policy.max_attempts == 8
    for found, most in zip(pauses, [10, 40, 160, 640, 2_560, 10_240, 14_400], strict=True):
        assert 0.75 * most <= min(found) <= max(found) <= most
    assert 5.8 <= sum(map(min, pauses)) / 3600 <= sum(map(max, pauses)) / 3600 <= 7.8


IN_AN_HOUR = format_datetime(datetime.fromtimestamp(NOW, UTC) + timedelta(hours=1), usegmt=True)


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        ("1800", 1_800, 1_800),
        (IN_AN_HOUR, 3_599, 3_600),
        ("99999999999999999999", 4 * 3_600, 4 * 3_600),
        ("0", 7.5, 10),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 7.5, 10),
        ("soon", 7.5, 10),
        ("-5", 7.5, 10),
    ],
)
def test_retry_after_is_honoured_within_reason(
    server: ReceivingServer, worker: WebhookDeliveryWorker, retry_after: str, least: float, most: float
) -> None:
    server.replies = [reply(503, Retry_After=retry_after)]
    wished = failure(worker, delivery_to(server.url)).retry_after_seconds
    assert wished is not None
    assert least <= wished <= most


@given(st.text(st.characters(codec="latin-1")))
def test_any_retry_after_is_a_pause(retry_after: str) -> None:
    assert _retry_after_seconds(retry_after, NOW) < float("inf")


def test_a_delivery_that_is_to_stop_posts_nothing(server: ReceivingServer, worker: WebhookDeliveryWorker) -> None:
    runs = WorkerRuns(worker)

    async def stopped() -> None:
        claimed = runs.claim(delivery_to(server.url))
        context = RecordedContext(claimed, "test", None, None)  # type: ignore[arg-type]
        context.stop(CancelAsked)
        with pytest.raises(CancelAsked):
            await worker.execute_task(claimed, context)

    asyncio.run(stopped())
    assert server.connections == 0


def test_without_a_secret_there_is_no_worker() -> None:
    with pytest.raises(ValueError, match="WEBHOOK_SECRET"):
        WebhookDeliveryWorker("", True)


@pytest.mark.parametrize("event_id", ["", "a b", "a\r\nX-Header: 1", "a\n", "ü", "a" * 201])
def test_an_event_id_must_fit_a_header(event_id: str) -> None:
    validator = Draft202012Validator(WebhookDeliveryWorker.types[TYPE])
    assert validator.is_valid({"url": "https://example.com/", "event_id": "a", "event": {}})
    assert not validator.is_valid({"url": "https://example.com/", "event_id": event_id, "event": {}})


# -- with the real queue -----------------------------------------------------------------------------------------


class QuickDeliveries(WebhookDeliveryWorker):
    """The same with pauses that a test can wait for."""

    retry = RetryPolicy(max_attempts=8, first_seconds=0, longest_seconds=0)


async def _done(task: Task, _context: object) -> Any:
    if task.payload.get("fail"):
        raise TaskFailed("ODD", "It failed", final=True)
    return {"done": True}


@pytest.fixture
def house(make_house: MakeHouse) -> TaskHouse:
    """Running workers, one of which delivers."""
    return make_house(CalledWorker(_done), QuickDeliveries(SECRET, True)).start()


def delivery_in(house: TaskHouse, text: str) -> Task:
    """The one delivery that a search finds, ended."""
    [found] = house.queue.page(TaskFilter(type=TYPE, search=text), 10, 0)
    return house.wait(found)


@pytest.mark.parametrize(
    ("payload", "event"), [({}, "task.completed"), ({"fail": True}, "task.failed")], ids=["completed", "failed"]
)
def test_the_end_of_a_task_is_delivered_and_the_delivery_is_a_task(
    house: TaskHouse, server: ReceivingServer, payload: Any, event: str
) -> None:
    task = house.create(payload=payload, callback_url=server.url, correlation_id="order-17")
    house.wait(task)
    for text in ("order-17", str(task.id), event, server.url):
        assert delivery_in(house, text).status == TaskStatus.COMPLETED
    [post] = server.posts
    arrived = json.loads(post.body)
    assert (arrived["event"], arrived["task_id"]) == (event, str(task.id))
    assert arrived["correlation_id"] == "order-17"
    found = house.queue.find_correlated("order-17")
    assert found is not None
    assert found.id == task.id


def test_a_delivery_that_failed_can_be_tried_again_by_hand(house: TaskHouse, server: ReceivingServer) -> None:
    refusals: list[Reply] = [reply(500)] * 7
    server.replies = [*refusals, reply(410), reply(200)]
    house.wait(house.create(callback_url=server.url, correlation_id="order-18"))
    failed = delivery_in(house, "order-18")
    assert (failed.status, failed.error_code, failed.attempt) == (TaskStatus.FAILED, "WEBHOOK_GONE", 8)
    assert house.wait(house.queue.retry(failed.id)).status == TaskStatus.COMPLETED
    assert len({post.headers["webhook-id"] for post in server.posts}) == 1
    assert len(server.posts) == 9


def test_a_result_with_half_a_character_does_not_keep_its_task_from_ending(
    make_house: MakeHouse, server: ReceivingServer
) -> None:
    async def half(_task: Task, _context: object) -> str:
        return "\ud83d"

    house = make_house(CalledWorker(half), QuickDeliveries(SECRET, True)).start()
    ended = house.wait(house.queue.create(NewTask("called", {}, callback_url=server.url)))
    assert ended.status == TaskStatus.COMPLETED
    server.wait()
    assert json.loads(server.posts[0].body)["result_omitted"] is True
