"""The consumer: what it does with every kind of request, and while something else is away."""

import json
from dataclasses import replace
from typing import Any

import pytest
from server_process import free_port, wait_until
from stack_parts import Parts, health, metric, request_of
from tcp_proxy import TcpProxy

from afterwrite.base.settings import SettingsError
from afterwrite.base.tracing import new_trace
from afterwrite.jobs.airflow import Airflow as StackAirflow
from afterwrite.jobs.broker import FROM_QUEUE, REASON, REQUESTS
from afterwrite.jobs.messages import headers_of


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
        (b"{not JSON", "The body is not JSON"),
        (b'{"version": 2}', "The message has version 2; this program knows 1"),
        (request_of("job").replace(b'"7"', b'"seven"'), "task_id: 'seven' does not match"),
        (request_of("job").replace(b'"job"', b'"../../x"', 2), "run_id: '../../x' does not match"),
        (b"[]", "is not of type 'object'"),
        (b"x" * 70_000, "The body has 70,000 bytes"),
    ],
)
def test_a_message_that_cannot_be_read_is_a_dead_letter_with_its_reason(parts: Parts, body: bytes, reason: str) -> None:
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
    wait_until(lambda: "cannot start the run job-1 yet, retrying: Airflow cannot be reached" in consumer.log)
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
    wait_until(lambda: "the queue was deleted" in consumer.log)
    parts.publish(REQUESTS, request_of("job-2"))
    wait_until(lambda: "job-2" in parts.airflow.runs)
    assert health(consumer)["status"] == "ok"


def test_a_consumer_that_is_told_of_the_database_is_listed_until_it_ends(parts: Parts) -> None:
    server = parts.server().start()
    consumer = parts.consumer(DATABASE_URL=parts.settings.database_url).start()

    def listed() -> list[dict[str, Any]]:
        return [one for one in health(server)["processes"] if one["role"] == "consumer"]

    [found] = wait_until(listed)
    assert consumer.process is not None
    assert (found["pid"], found["doing"]) == (consumer.process.pid, {"requests": 0})
    assert b"waits for requests" in server.get("/")[1]
    parts.airflow.refuses = 503
    parts.publish(REQUESTS, request_of("job-1"))
    wait_until(lambda: listed()[0]["doing"] == {"requests": 1})
    assert b"begins 1 run<" in server.get("/")[1]
    parts.airflow.refuses = 0
    wait_until(lambda: listed()[0]["doing"] == {"requests": 0})
    assert consumer.stop() == 0
    assert listed() == []


def test_a_consumer_goes_on_without_the_database_that_it_is_listed_in(parts: Parts) -> None:
    nowhere = f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/nothing"
    consumer = parts.consumer(DATABASE_URL=nowhere).start()
    parts.publish(REQUESTS, request_of("job-1"))
    wait_until(lambda: "job-1" in parts.airflow.runs)
    assert consumer.stop() == 0
