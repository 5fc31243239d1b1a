"""Dead letters as dev.py shows, tries again and removes them."""

import json
import subprocess
import sys

from server_process import ROOT, wait_until
from stack_parts import Parts, metric, request_of

from afterwrite.base.tracing import new_trace
from afterwrite.jobs.broker import REASON, REQUESTS
from afterwrite.jobs.messages import headers_of


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
        f"{first} is back in {parts.prefix}airflow.requests",
        "no-such is not a dead letter",
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
