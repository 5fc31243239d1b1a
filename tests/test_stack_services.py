"""Each service of the stack: what it does with every kind of message, and while something else is away."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from broker_house import OwnRabbitMQ, OwnRedis, require_own_servers
from postgres_database import PostgresDatabase
from postgres_server import require_postgres
from server_process import ROOT, ServerProcess, free_port, wait_until
from stack_parts import Parts, health, metric, new_parts
from task_house import TaskHouse
from tcp_proxy import TcpProxy

from database.postgres.address import address_of
from database.postgres.process_runs import TASK_ENDED, ProcessRuns
from database.postgres.stores import prepare_postgres
from settings import SettingsError
from stack.airflow import Airflow as StackAirflow
from stack.broker import FROM_QUEUE, REASON, REQUESTS, RESULTS, Broker
from stack.callbacks import Callbacks
from stack.errors import QueueFull
from stack.messages import COMPLETED, FAILED, Request, headers_of
from tasks.task import Task
from tasks.workers import process_on_airflow
from tasks.workers.process_on_airflow import ProcessOnAirflowWorker
from tracing import new_trace

PROCESS_TYPE = "process_products"
REPORT = {"received": 1, "accepted": 1, "refused": 0}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OwnRabbitMQ, OwnRedis]]:
    """A RabbitMQ and a Redis that the tests of this file share."""
    require_postgres()
    require_own_servers()
    folder = tmp_path_factory.mktemp("servers")
    rabbitmq, redis = OwnRabbitMQ(folder / "rabbitmq"), OwnRedis(folder / "redis")
    try:
        rabbitmq.start()
        redis.start()
        yield rabbitmq, redis
    finally:
        rabbitmq.kill()
        redis.kill()


@pytest.fixture
def parts(tmp_path: Path, servers: tuple[OwnRabbitMQ, OwnRedis]) -> Iterator[Parts]:
    with new_parts(tmp_path, servers) as found:
        yield found


def request_of(job: str, task_id: int = 7) -> bytes:
    return Request(job, task_id, job).encode()


def published(parts: Parts, server: ServerProcess) -> tuple[str, int]:
    """A job that waits for its result, and its task."""
    job = parts.submit(server)
    parts.reaches(server, job, "PUBLISHED")
    return job, parts.task_id(job)


# -- the consumer -----------------------------------------------------------------------------------------------


def test_a_request_that_comes_twice_is_one_run(parts: Parts) -> None:
    trace = new_trace()
    for _ in range(2):
        parts.publish(REQUESTS, request_of("job-1"), headers_of("job-1", trace))
    consumer = parts.consumer().start()
    wait_until(lambda: len(parts.airflow.asked) == 2)
    assert list(parts.airflow.runs) == ["job-1"]
    conf = parts.airflow.runs["job-1"]["conf"]
    assert (conf["correlation_id"], conf["task_id"], conf["run_id"]) == ("job-1", "7", "job-1")
    # The trace goes on, to Airflow and to the DAG, and stands in the log.
    for traced in (conf["traceparent"], parts.airflow.headers["job-1"]["traceparent"]):
        assert traced.split("-")[1] == trace.split("-")[1]
    wait_until(lambda: metric(consumer, 'afterwrite_messages_total{outcome="begun"') == 1)
    wait_until(lambda: metric(consumer, 'afterwrite_messages_total{outcome="known"') == 1)
    lines = [json.loads(line) for line in consumer.log.splitlines()]
    about = [line for line in lines if line.get("correlation_id") == "job-1"]
    assert len(about) == 2
    assert {line["trace_id"] for line in about} == {trace.split("-")[1]}
    assert parts.messages(REQUESTS) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{not JSON", "The body is no JSON"),
        (b'{"version": 2}', "The message has version 2; this program knows 1"),
        (request_of("job").replace(b'"7"', b'"seven"'), "task_id: 'seven' does not match"),
        (request_of("job").replace(b'"job"', b'"../../x"', 2), "run_id: '../../x' does not match"),
        (b"[]", "is not of type 'object'"),
        (b"x" * 70_000, "The body has 70,000 bytes"),
    ],
)
def test_a_message_that_cannot_be_read_is_a_dead_letter_with_its_reason(
    parts: Parts, body: bytes, reason: str
) -> None:
    parts.publish(REQUESTS, body, {"who": "ann"})
    parts.publish(REQUESTS, request_of("good"))
    parts.consumer().start()
    wait_until(lambda: "good" in parts.airflow.runs)
    [(headers, kept)] = wait_until(parts.messages)
    assert reason in headers[REASON]
    assert (headers[FROM_QUEUE], headers["who"], kept) == (REQUESTS, "ann", body)


def test_requests_wait_while_airflow_is_away(parts: Parts) -> None:
    proxy = TcpProxy("127.0.0.1", parts.airflow.server_port)
    proxy.cut()
    consumer = parts.consumer(AIRFLOW_URL=f"http://127.0.0.1:{proxy.port}").start()
    parts.publish(REQUESTS, request_of("job-1"))
    wait_until(lambda: "the run job-1 waits: Airflow cannot be reached" in consumer.log)
    told = health(consumer)
    assert (told["status"], told["stack"]["airflow"], told["stack"]["rabbitmq"]) == (
        "degraded",
        {"status": "away"},
        {"status": "ok"},
    )
    proxy.restore()
    wait_until(lambda: "job-1" in parts.airflow.runs)
    wait_until(lambda: health(consumer)["status"] == "ok")
    proxy.cut()


@pytest.mark.parametrize("status", [404, 403, 500, 503])
def test_a_request_waits_while_airflow_cannot_run_it_yet(parts: Parts, status: int) -> None:
    parts.airflow.refuses = status
    parts.publish(REQUESTS, request_of("job-1"))
    parts.consumer().start()
    wait_until(lambda: len(parts.airflow.asked) > 1)
    parts.airflow.refuses = 0
    wait_until(lambda: "job-1" in parts.airflow.runs)
    assert parts.messages() == []


def test_a_token_that_is_no_longer_valid_is_replaced(parts: Parts) -> None:
    parts.consumer().start()
    parts.publish(REQUESTS, request_of("job-1"))
    wait_until(lambda: "job-1" in parts.airflow.runs)
    parts.airflow.expire_tokens()
    parts.publish(REQUESTS, request_of("job-2"))
    wait_until(lambda: "job-2" in parts.airflow.runs)


def test_an_address_of_airflow_with_a_password_is_refused_and_not_repeated(parts: Parts) -> None:
    settings = replace(parts.settings, airflow_url="http://ann:sesame@127.0.0.1:8080")
    with pytest.raises(SettingsError, match="AIRFLOW_USERNAME") as refused:
        StackAirflow(settings)
    assert "sesame" not in str(refused.value)


def test_a_run_that_airflow_refuses_ends_its_job_and_is_a_dead_letter(parts: Parts) -> None:
    parts.airflow.refuses = 422
    server = parts.server().start()
    parts.consumer().start()
    parts.notification().start()
    job = parts.submit(server)
    shown = parts.reaches(server, job, "FAILED")
    assert shown["error"]["code"] == "RUN_REFUSED"
    assert "as the test wants it" in shown["error"]["message"]
    [(headers, _)] = wait_until(parts.messages)
    assert (headers[FROM_QUEUE], headers["correlation_id"]) == (REQUESTS, job)


def test_a_consumer_goes_on_when_its_connection_was_cut(parts: Parts) -> None:
    proxy = TcpProxy("127.0.0.1", parts.rabbitmq.port)
    consumer = parts.consumer(AMQP_URL=f"amqp://guest:guest@127.0.0.1:{proxy.port}/").start()
    parts.publish(REQUESTS, request_of("job-1"))
    wait_until(lambda: "job-1" in parts.airflow.runs)
    proxy.cut()
    wait_until(lambda: health(consumer)["stack"]["rabbitmq"]["status"] == "away")
    parts.publish(REQUESTS, request_of("job-2"))
    proxy.restore()
    wait_until(lambda: "job-2" in parts.airflow.runs)
    wait_until(lambda: health(consumer)["status"] == "ok")
    proxy.cut()


def test_a_consumer_goes_on_when_its_queue_was_deleted(parts: Parts) -> None:
    consumer = parts.consumer().start()
    parts.publish(REQUESTS, request_of("job-1"))
    wait_until(lambda: metric(consumer, 'afterwrite_messages_total{outcome="begun"') == 1)
    parts.rabbitmq.control("delete_queue", f"{parts.prefix}{REQUESTS}")
    wait_until(lambda: "deleted the queue" in consumer.log)
    parts.publish(REQUESTS, request_of("job-2"))
    wait_until(lambda: "job-2" in parts.airflow.runs)
    assert health(consumer)["status"] == "ok"


# -- the worker, which publishes --------------------------------------------------------------------------------


def test_jobs_wait_while_rabbitmq_is_away(parts: Parts) -> None:
    proxy = TcpProxy("127.0.0.1", parts.rabbitmq.port)
    server = parts.server(AMQP_URL=f"amqp://guest:guest@127.0.0.1:{proxy.port}/").start()
    proxy.cut()
    jobs = [parts.submit(server, number) for number in range(3)]
    wait_until(lambda: health(server)["status"] == "degraded")
    told = health(server)["stack"]
    assert {name: part["status"] for name, part in told.items()} == {
        "rabbitmq": "away",
        "redis": "ok",
        "airflow": "ok",
    }
    assert f"127.0.0.1:{proxy.port}" in told["rabbitmq"]["trouble"]
    assert "guest" not in json.dumps(told)
    assert metric(server, 'afterwrite_stack_up{part="rabbitmq"') == 0
    for job in jobs:
        assert parts.reaches(server, job, "PUBLISHING")["error"] is None
    proxy.restore()
    for job in jobs:
        parts.reaches(server, job, "PUBLISHED")
    assert len(parts.messages(REQUESTS)) == 3
    wait_until(lambda: health(server)["status"] == "ok")
    proxy.cut()


def test_health_says_that_rabbitmq_takes_nothing_while_it_is_short_of_memory(parts: Parts) -> None:
    server = parts.server().start()
    published(parts, server)
    parts.rabbitmq.control("set_vm_memory_high_watermark", "0.0001")
    try:
        wait_until(lambda: health(server)["status"] == "degraded")
        assert "takes no messages" in health(server)["stack"]["rabbitmq"]["trouble"]
        job = parts.submit(server, 1)
        assert parts.reaches(server, job, "PUBLISHING")
    finally:
        parts.rabbitmq.control("set_vm_memory_high_watermark", "0.4")
    wait_until(lambda: health(server)["status"] == "ok")
    parts.reaches(server, job, "PUBLISHED")


def test_a_job_is_cancelled_while_it_waits_to_be_published(parts: Parts) -> None:
    server = parts.server(AMQP_URL=f"amqp://guest:guest@127.0.0.1:{free_port()}/").start()
    job = parts.submit(server)
    wait_until(lambda: "waits to be published" in server.log)
    server.query(f'mutation {{ cancelTask(id: "{parts.task_id(job)}") {{ id }} }}')
    parts.reaches(server, job, "CANCELLED")


def test_a_full_queue_is_back_pressure_and_no_loss(parts: Parts) -> None:
    parts.settings = replace(parts.settings, queue_max_messages=3)
    # A quorum queue takes some more before a publisher hears of it, but for one that comes later.
    taken = 0
    with pytest.raises(QueueFull):
        for taken in range(20):
            parts.publish(REQUESTS, request_of(f"before-{taken}"))
    server = parts.server(TASKS_MAX="8").start()
    jobs: list[str] = []
    answer = b""
    while b"QUEUE_FULL" not in answer:
        body = json.dumps({"payload": {"products": [{"title": str(len(jobs)), "price": 1}]}}).encode()
        client = server.client()
        status, answer = client.request("POST", "/api/process", body, {"Content-Type": "application/json"})
        client.close()
        assert status in (202, 429, 503), answer
        jobs += [json.loads(answer)["correlation_id"]] if status == 202 else []
        assert len(jobs) < 100
    wait_until(lambda: "takes no more messages" in server.log)
    assert {parts.reaches(server, job, "PUBLISHING")["error"] for job in jobs} == {None}
    parts.consumer().start()
    wait_until(lambda: set(jobs) <= set(parts.airflow.runs))
    assert len(parts.airflow.runs) == taken + len(jobs)


def test_a_server_that_is_killed_before_it_heard_the_confirmation_starts_one_run(parts: Parts) -> None:
    proxy = TcpProxy("127.0.0.1", parts.rabbitmq.port)
    server = parts.server(AMQP_URL=f"amqp://guest:guest@127.0.0.1:{proxy.port}/").start()
    parts.reaches(server, parts.submit(server, 1), "PUBLISHED")
    proxy.loses_answers = True
    job = parts.submit(server, 2)
    wait_until(lambda: len(parts.messages(REQUESTS)) == 2)  # it is in the queue, and the server does not know
    assert parts.reaches(server, job, "PUBLISHING")
    server.kill()
    proxy.cut()
    proxy.restore()
    server.start()
    parts.reaches(server, job, "PUBLISHED")
    assert len(parts.messages(REQUESTS)) == 3
    consumer = parts.consumer().start()
    wait_until(lambda: metric(consumer, "afterwrite_messages_total") == 3)
    assert len(parts.airflow.runs) == 2
    proxy.cut()


def test_two_tasks_with_one_correlation_id_are_two_runs(parts: Parts) -> None:
    server = parts.server().start()
    parts.consumer().start()
    for number in range(2):
        server.query(
            'mutation($payload: JSON!) { createTask(type: "process_products", payload: $payload, '
            'correlationId: "the same") { id } }',
            {"payload": {"products": [{"title": f"Lamp {number}", "price": 3}]}},
        )
    wait_until(lambda: len(parts.airflow.runs) == 2)
    assert len({run["conf"]["task_id"] for run in parts.airflow.runs.values()}) == 2


def test_a_job_whose_correlation_id_ends_as_the_name_of_another_run_does_comes_to_its_end(
    parts: Parts,
) -> None:
    server = parts.server().start()
    parts.notification().start()
    server.query(
        'mutation { createTask(type: "process_products", payload: {products: [{title: "Lamp", price: 3}]}, '
        'correlationId: "once-again") { id } }'
    )
    parts.reaches(server, "once-again", "PUBLISHED")
    with parts.runs() as runs:
        runs.end("once-again", REPORT, [])
    parts.tell("once-again", parts.task_id("once-again"), COMPLETED)
    assert parts.reaches(server, "once-again", "COMPLETED")["result"] == REPORT


def test_a_job_that_was_cancelled_and_tried_again_gets_another_run(parts: Parts) -> None:
    server = parts.server().start()
    parts.consumer().start()
    parts.notification().start()
    job, task_id = published(parts, server)
    wait_until(lambda: job in parts.airflow.runs)
    server.query(f'mutation {{ cancelTask(id: "{task_id}") {{ id }} }}')
    with parts.runs() as runs:
        runs.fail(job, TASK_ENDED, "as the DAG says it")
        server.query(f'mutation {{ retryTask(id: "{task_id}") {{ id }} }}')
        parts.tell(job, task_id, FAILED)  # too late
        wait_until(lambda: f"{job}-again" in parts.airflow.runs)
        parts.reaches(server, job, "PUBLISHED")
        runs.end(f"{job}-again", REPORT, [])
    parts.tell(job, task_id, COMPLETED, f"{job}-again")
    assert parts.reaches(server, job, "COMPLETED")["result"] == REPORT


# -- the worker, which looks after runs -------------------------------------------------------------------------


@pytest.fixture
def house(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskHouse]:
    """The worker in this process, where it looks every moment; nobody takes its requests."""
    monkeypatch.setattr(process_on_airflow, "_FIRST_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(process_on_airflow, "_LONGEST_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(process_on_airflow, "_LOST_AFTER_SECONDS", 0.2)
    settings = parts.settings
    runs = ProcessRuns(address_of(settings))
    worker = ProcessOnAirflowWorker(
        Broker(settings), Callbacks(settings), StackAirflow(settings), runs, settings.task_payload_max_bytes
    )
    prepare_postgres(settings)
    made = TaskHouse(PostgresDatabase(parts.folder / "house", settings.database_url), worker).start()
    yield made
    made.stop()


def started(house: TaskHouse, parts: Parts, job: str = "job-1") -> Task:
    """A task whose run Airflow knows."""
    task = house.create(PROCESS_TYPE, payload={"products": [{"title": "Lamp"}]}, correlation_id=job)
    parts.airflow.runs[job] = {"dag_run_id": job, "conf": {}}
    return house.wait(task, lambda now: now.stage == "RUNNING")


def test_a_run_whose_result_was_lost_ends_its_job(parts: Parts, house: TaskHouse) -> None:
    tasks = [started(house, parts, "job-1"), started(house, parts, "job-2")]
    with parts.runs() as runs:
        runs.end("job-1", REPORT, [])
        runs.fail("job-2", "NO_VALID_PRODUCT", "none is")
    good, bad = house.wait_all(tasks)
    assert (good.status, good.stage, good.result) == ("COMPLETED", "COMPLETED", REPORT)
    assert (bad.status, bad.error and bad.error.code) == ("FAILED", "NO_VALID_PRODUCT")


def test_a_run_that_ended_without_an_outcome_fails_its_job(parts: Parts, house: TaskHouse) -> None:
    task = started(house, parts)
    parts.airflow.states["job-1"] = "failed"
    error = house.wait(task).error
    assert error is not None
    assert (error.code, error.final) == ("RUN_FAILED", True)


def test_a_request_that_was_lost_is_published_again_more_and_more_seldom(
    parts: Parts, house: TaskHouse
) -> None:
    task = house.create(PROCESS_TYPE, payload={"products": [{"title": "Lamp"}]}, correlation_id="job-1")
    times = house.wait(task, lambda now: now.result and now.result["timesPublished"] == 3).result
    assert times["looks"] >= 3
    assert {Request.read(body).run_id for _, body in parts.messages(REQUESTS)} == {"job-1"}
    assert 3 <= len(parts.messages(REQUESTS)) <= 4
    parts.airflow.runs["job-1"] = {"dag_run_id": "job-1", "conf": {}}
    house.wait(task, lambda now: now.stage == "RUNNING")


def test_a_run_is_looked_after_although_airflow_is_away_for_a_time(parts: Parts, house: TaskHouse) -> None:
    task = started(house, parts)
    parts.airflow.tokens[:] = ["no longer valid", ""]  # nobody is let in
    looks = house.get(task).result["looks"]
    house.wait(task, lambda now: now.result["looks"] > looks + 2)
    assert house.get(task).error is None


# -- the notification service -----------------------------------------------------------------------------------


def test_a_result_that_comes_twice_ends_the_job_once(parts: Parts) -> None:
    server, notification = parts.server(RUN_WORKERS="on").start(), parts.notification().start()
    job, task_id = published(parts, server)
    with parts.runs() as runs:
        runs.end(job, REPORT, [])
    for _ in range(3):
        parts.tell(job, task_id, COMPLETED)
    shown = parts.reaches(server, job, "COMPLETED")
    assert shown["result"] == REPORT
    wait_until(lambda: metric(notification, 'afterwrite_messages_total{outcome="dropped"') == 2)
    assert metric(notification, 'afterwrite_messages_total{outcome="recorded"') == 1
    parts.receiver.wait()
    deliveries = parts.fleet.rows("SELECT count(*) FROM afterwrite.tasks WHERE type = 'webhook_delivery'")
    assert deliveries == [(1,)]


def test_the_callback_url_comes_from_redis_or_from_the_task_if_redis_has_lost_it(parts: Parts) -> None:
    server = parts.server(RUN_WORKERS="on").start()
    parts.notification().start()
    jobs = [published(parts, server) for _ in range(2)]
    with parts.redis_client() as redis, parts.runs() as runs:
        keys = [f"{parts.prefix}afterwrite:callback:{job}" for job, _ in jobs]
        assert [redis.get(key) for key in keys] == [f"{parts.receiver.url}/called"] * 2
        redis.set(keys[0], f"{parts.receiver.url}/from-redis")
        redis.delete(keys[1])
        for job, task_id in jobs:
            runs.end(job, REPORT, [])
            parts.tell(job, task_id, COMPLETED)
    for _ in jobs:
        parts.receiver.wait()
    paths = {json.loads(post.body)["correlation_id"]: post.path for post in parts.receiver.posts}
    assert paths == {jobs[0][0]: "/from-redis", jobs[1][0]: "/called"}


def test_a_value_in_redis_that_is_no_text_costs_no_result(parts: Parts) -> None:
    server = parts.server(RUN_WORKERS="on").start()
    parts.notification().start()
    job, task_id = published(parts, server)
    with parts.redis_client() as redis, parts.runs() as runs:
        redis.set(f"{parts.prefix}afterwrite:callback:{job}", b"\xff\xfe")
        runs.end(job, REPORT, [])
        parts.tell(job, task_id, COMPLETED)
    parts.receiver.wait()
    assert [post.path for post in parts.receiver.posts] == ["/called"]
    assert parts.messages() == []


def test_results_are_told_while_redis_is_away(parts: Parts) -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    server, notification = parts.server(REDIS_URL=away).start(), parts.notification(REDIS_URL=away).start()
    job, task_id = published(parts, server)
    assert health(notification)["stack"]["redis"] == {"status": "away"}
    with parts.runs() as runs:
        runs.end(job, REPORT, [])
    parts.tell(job, task_id, COMPLETED)
    parts.receiver.wait()
    assert health(notification)["status"] == "degraded"


def test_a_result_that_nobody_waits_for_changes_nothing(parts: Parts) -> None:
    server, notification = parts.server().start(), parts.notification().start()
    job, task_id = published(parts, server)
    server.query(f'mutation {{ cancelTask(id: "{task_id}") {{ id }} }}')
    entry = server.query('mutation { createEntry(title: "mine") { id } }')["createEntry"]["id"]
    other, other_id = published(parts, server)
    with parts.runs() as runs:
        runs.end(job, REPORT, [])
    parts.tell(job, task_id, COMPLETED)  # it was cancelled
    parts.tell(job, int(entry), COMPLETED, f"task-{entry}")  # no process
    parts.tell(other, other_id, FAILED, "another-run")
    parts.tell("unheard-of", 987_654, FAILED)
    wait_until(lambda: metric(notification, 'afterwrite_messages_total{outcome="dropped"') == 4)
    assert parts.reaches(server, job, "CANCELLED")["result"] is not REPORT
    assert parts.reaches(server, other, "PUBLISHED")


def test_a_run_that_left_nothing_fails_its_job(parts: Parts) -> None:
    server = parts.server().start()
    parts.notification().start()
    job, task_id = published(parts, server)
    parts.tell(job, task_id, FAILED)
    assert parts.reaches(server, job, "FAILED")["error"]["code"] == "RUN_FAILED"
    # Tried again it is another run, and the old one's result is of no use.
    server.query(f'mutation {{ retryTask(id: "{task_id}") {{ id }} }}')
    asked = "SELECT 1 FROM afterwrite.process_runs WHERE run_id = %s"
    wait_until(lambda: parts.fleet.rows(asked, f"{job}-2"))
    parts.tell(job, task_id, FAILED)
    with parts.runs() as runs:
        runs.end(f"{job}-2", REPORT, [])
    parts.tell(job, task_id, COMPLETED, f"{job}-2")
    assert parts.reaches(server, job, "COMPLETED")["result"] == REPORT


def test_a_result_that_cannot_be_recorded_is_a_dead_letter_and_holds_up_no_other(parts: Parts) -> None:
    server = parts.server().start()
    jobs = [published(parts, server) for _ in range(2)]
    parts.fleet.rows("UPDATE afterwrite.process_runs SET ended_at = now(), error_code = 'X' RETURNING 1")
    with parts.fleet.connection() as connection:
        connection.execute(
            "CREATE FUNCTION afterwrite.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$"
        )
        connection.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE ON afterwrite.tasks FOR EACH ROW "
            f"WHEN (NEW.id = {jobs[0][1]} AND NEW.status = 'FAILED') EXECUTE FUNCTION afterwrite.refuse()"
        )
    for job, task_id in jobs:
        parts.tell(job, task_id, FAILED)
    parts.notification().start()
    parts.reaches(server, jobs[1][0], "FAILED")
    [(headers, _)] = wait_until(parts.messages)
    assert "It cannot be recorded: RaiseException: no" in headers[REASON]
    assert (headers[FROM_QUEUE], headers["correlation_id"]) == (RESULTS, jobs[0][0])


# -- dead letters -----------------------------------------------------------------------------------------------


def dead_letters(parts: Parts, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "AMQP_URL": parts.rabbitmq.url, "QUEUE_PREFIX": parts.prefix}
    command = [sys.executable, str(ROOT / "dev.py"), "dead-letters", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_dead_letters_are_listed_tried_again_and_removed(parts: Parts) -> None:
    assert dead_letters(parts, "list").stdout.startswith("There are no dead letters")
    for body in (b'{"version": 2}', request_of("job-1").replace(b'"7"', b'"seven"')):
        parts.publish(REQUESTS, body, headers_of("job-1", new_trace()))
    consumer = parts.consumer().start()
    wait_until(lambda: len(parts.messages()) == 2)
    assert consumer.stop() == 0
    listed = dead_letters(parts, "list").stdout.splitlines()
    assert len(listed) == 4
    assert "from airflow.requests, job job-1" in listed[0]
    told = [json.loads(line) for line in dead_letters(parts, "list", "--json").stdout.splitlines()]
    assert {one["queue"] for one in told} == {REQUESTS}
    first, second = (one["id"] for one in told)
    assert dead_letters(parts, "retry", first, "no-such").stdout.splitlines() == [
        f"{first} is in {parts.prefix}airflow.requests again",
        "no-such is no dead letter",
    ]
    [(headers, body)] = parts.messages(REQUESTS)
    assert body == told[0]["body"].encode()
    assert headers["correlation_id"] == "job-1"
    assert REASON not in headers
    removed = dead_letters(parts, "remove", "--all")
    assert (removed.returncode, removed.stdout) == (0, f"{second} is removed\n")
    assert parts.messages() == []
    assert dead_letters(parts, "retry").returncode == 2


def test_trying_again_ends_although_the_letters_come_back_meanwhile(parts: Parts) -> None:
    count = 40
    for _ in range(count):
        parts.publish(REQUESTS, b'{"version": 2}')
    consumer = parts.consumer().start()
    wait_until(lambda: len(parts.messages()) == count)
    assert len(dead_letters(parts, "retry", "--all").stdout.splitlines()) == count
    wait_until(lambda: metric(consumer, 'afterwrite_messages_total{outcome="dead"') == 2 * count)
