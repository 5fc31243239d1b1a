"""The worker that publishes jobs and looks after their runs, also while something else is away."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from declared import RESOURCES
from postgres_database import PostgresDatabase
from server_process import free_port, wait_until
from stack_parts import REPORT, Parts, health, metric, published, request_of
from task_house import TaskHouse
from tcp_proxy import TcpProxy

from afterwrite.jobs.airflow import Airflow as StackAirflow
from afterwrite.jobs.broker import REQUESTS, Broker
from afterwrite.jobs.callbacks import Callbacks
from afterwrite.jobs.errors import QueueFull
from afterwrite.jobs.messages import COMPLETED, FAILED, Request
from afterwrite.storage.postgres.address import address_of
from afterwrite.storage.postgres.job_runs import TASK_ENDED, JobRuns
from afterwrite.storage.postgres.stores import prepare_postgres
from afterwrite.tasks.task import Task
from afterwrite.tasks.workers import process_on_airflow
from afterwrite.tasks.workers.process_on_airflow import ProcessOnAirflowWorker
from afterwrite.tasks.workers.process_products import PROCESS_PRODUCTS


def test_jobs_wait_while_rabbitmq_is_away(parts: Parts) -> None:
    proxy = TcpProxy("127.0.0.1", parts.rabbitmq.port)
    server = parts.server(AMQP_URL=f"amqp://guest:guest@127.0.0.1:{proxy.port}/").start()
    proxy.cut()
    jobs = [parts.submit(server, number) for number in range(3)]
    wait_until(lambda: health(server)["status"] == "degraded")
    told = health(server)["stack"]
    assert {name: part["status"] for name, part in told.items()} == {"rabbitmq": "away", "redis": "ok", "airflow": "ok"}
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
    wait_until(lambda: "cannot publish task" in server.log)
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


def test_a_job_whose_correlation_id_ends_as_the_name_of_another_run_does_comes_to_its_end(parts: Parts) -> None:
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


@pytest.fixture
def house(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskHouse]:
    """The worker in this process, where it looks every moment; nobody takes its requests."""
    monkeypatch.setattr(process_on_airflow, "_FIRST_POLL_SECONDS", 0.05)
    monkeypatch.setattr(process_on_airflow, "_LONGEST_POLL_SECONDS", 0.1)
    monkeypatch.setattr(process_on_airflow, "_LOST_AFTER_SECONDS", 0.2)
    settings = parts.settings
    runs = JobRuns(address_of(settings))
    worker = ProcessOnAirflowWorker(
        Broker(settings), Callbacks(settings), StackAirflow(settings), runs, settings.task_payload_max_bytes
    )
    prepare_postgres(settings, RESOURCES)
    made = TaskHouse(PostgresDatabase(parts.folder / "house", settings.database_url), worker).start()
    yield made
    made.stop()


def started(house: TaskHouse, parts: Parts, job: str = "job-1") -> Task:
    """A task whose run Airflow knows."""
    task = house.create(PROCESS_PRODUCTS, payload={"products": [{"title": "Lamp"}]}, correlation_id=job)
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


def test_a_request_that_was_lost_is_published_again_more_and_more_seldom(parts: Parts, house: TaskHouse) -> None:
    task = house.create(PROCESS_PRODUCTS, payload={"products": [{"title": "Lamp"}]}, correlation_id="job-1")
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
