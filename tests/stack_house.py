"""The whole stack in real processes: API with workers, consumer, notification, Airflow, and a receiver of webhooks."""

import asyncio
import contextlib
import functools
import json
import os
import secrets
import socket
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import aio_pika
import pytest
from airflow_house import PASSWORD, USER, Airflow, new_airflow
from many_processes import SMALL, Fleet, new_database
from postgres_server import require_postgres
from receiving_server import ReceivingServer
from redis import Redis
from server_process import ConsumerProcess, NotificationProcess, ServerProcess, wait_until

from stack.broker import DEAD_LETTERS, REQUESTS, RESULTS
from webhooks.signing import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign

SECRET = "a secret of the stack's tests"
AMQP = os.environ.get("TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


@functools.cache
def _missing() -> str:
    for name, port in (("RabbitMQ", 5672), ("Redis", 6379)):
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
        except OSError as error:
            return f"{name} does not answer on port {port}: {error}"
    return ""


def require_stack() -> None:
    """Skip the test where a part of the stack is missing, and fail it in CI."""
    require_postgres()
    if missing := _missing():
        if os.environ.get("CI"):
            pytest.fail(f"CI has to have the stack: {missing}")
        pytest.skip(f"no stack: {missing}")


class Told(NamedTuple):
    """An event that was received, whose signature fits."""

    event_id: str
    correlation_id: str
    event: dict[str, Any]
    headers: Mapping[str, str]


class Stack:
    """One installation; every process that still runs is killed at the end."""

    def __init__(self, folder: Path, url: str, receiver: ReceivingServer) -> None:
        self.prefix = f"test-{secrets.token_hex(4)}."
        self.url, self.receiver = url, receiver
        self.environment = {
            **SMALL,
            "PROCESS_ENGINE": "airflow",
            "DATABASE_URL": url,
            "AMQP_URL": AMQP,
            "REDIS_URL": REDIS,
            "QUEUE_PREFIX": self.prefix,
            "WEBHOOK_SECRET": SECRET,
            "WEBHOOK_ALLOW_PRIVATE": "on",
            "AIRFLOW_USERNAME": USER,
            "AIRFLOW_PASSWORD": PASSWORD,
            "LOG_FORMAT": "json",
        }
        self._folder = folder
        self.fleet = Fleet(folder, url)
        self.server = ServerProcess(self._new("server"))
        self.consumer = ConsumerProcess(self._new("consumer"))
        self.notification = NotificationProcess(self._new("notification"))

    @property
    def services(self) -> tuple[ServerProcess, ...]:
        """The processes of Afterwrite."""
        return (self.server, self.consumer, self.notification)

    def connect(self, airflow_url: str) -> None:
        """Say where Airflow is."""
        for service in self.services:
            service.environment = {**service.environment, **self.environment, "AIRFLOW_URL": airflow_url}

    def start(self) -> None:
        """Start all services."""
        for service in self.services:
            service.start()

    def submit(self, products: list[dict[str, Any]], key: str | None = None, **headers: str) -> str:
        """Submit a job whose callback is the receiver; returns its correlation id."""
        body = {"payload": {"products": products}, "callback_url": f"{self.receiver.url}/called"}
        given = {"Content-Type": "application/json", **headers}
        if key is not None:
            given["Idempotency-Key"] = key
        with contextlib.closing(self.server.client()) as client:
            status, answer = client.request("POST", "/api/process", json.dumps(body).encode(), given)
        assert status == 202, answer
        return str(json.loads(answer)["correlation_id"])

    def process(self, correlation_id: str) -> dict[str, Any]:
        """A job as the API shows it."""
        found: dict[str, Any] = json.loads(self.server.get(f"/api/process/{correlation_id}")[1])
        return found

    def ended(self, correlation_id: str, timeout: float = 120) -> dict[str, Any]:
        """The same, after its end."""

        def end() -> dict[str, Any] | None:
            found = self.process(correlation_id)
            return found if found["finished_at"] else None

        found: dict[str, Any] = wait_until(end, timeout)
        return found

    def told(self) -> dict[str, list[Told]]:
        """What the receiver was told so far, by the correlation id; every signature fits."""
        found = defaultdict(list)
        for post in list(self.receiver.posts):
            stamp = int(post.headers[TIMESTAMP_HEADER.lower()])
            assert post.headers[SIGNATURE_HEADER.lower()] == sign(SECRET, stamp, post.body)
            event = json.loads(post.body)
            one = Told(event["event_id"], event["correlation_id"], event, post.headers)
            found[one.correlation_id].append(one)
        return found

    def log_lines(self, service: ServerProcess) -> list[dict[str, Any]]:
        """What a service has logged."""
        return [json.loads(line) for line in service.log.splitlines()]

    def clean(self) -> None:
        """Kill what runs, and leave nothing in RabbitMQ and Redis."""
        for service in self.services:
            service.kill()
        asyncio.run(delete_queues(self.prefix))
        with contextlib.closing(Redis.from_url(REDIS)) as redis:
            for key in redis.scan_iter(f"{self.prefix}*"):
                redis.delete(key)

    def _new(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(parents=True)
        return folder


async def delete_queues(prefix: str) -> None:
    """Delete the queues that begin so."""
    async with await aio_pika.connect(AMQP) as connection, await connection.channel() as channel:
        for queue in (REQUESTS, RESULTS, DEAD_LETTERS):
            await channel.queue_delete(prefix + queue, if_unused=False, if_empty=False)


@contextlib.contextmanager
def new_stack(folder: Path) -> Iterator[tuple[Stack, Airflow]]:
    """The stack on a new database with an Airflow of its own, all running."""
    require_stack()
    with new_database() as url, ReceivingServer() as receiver:
        stack = Stack(folder, url, receiver)
        with contextlib.ExitStack() as cleaning:
            cleaning.callback(stack.clean)
            airflow = cleaning.enter_context(new_airflow(folder / "airflow", stack.environment))
            stack.connect(airflow.url)
            stack.start()
            yield stack, airflow
