"""Temporary namespaces in PostgreSQL, RabbitMQ and Redis for measurements of the stack."""

import asyncio
import contextlib
import os
import secrets
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aio_pika
from redis import Redis

from afterwrite.base.settings import Settings, from_environment
from afterwrite.jobs.broker import DEAD_LETTERS, REQUESTS, RESULTS
from bench.many.databases import new_database
from bench.many.processes import Processes, running
from bench.servers import answers, free_port

DEFAULT_BROKER, DEFAULT_REDIS = "amqp://guest:guest@127.0.0.1:5672/", "redis://127.0.0.1:6379/0"
START_SECONDS, END_SECONDS = 60.0, 300.0
_SELDOM_SECONDS = 0.25
_MESSAGES = "afterwrite_messages_total{"


@dataclass(frozen=True)
class Place:
    """A new database and a unique prefix for queues and keys; ``environment`` has the settings for services."""

    environment: Mapping[str, str]

    @property
    def settings(self) -> Settings:
        """The settings for use in this process."""
        return from_environment(self.environment)

    def remove_queues(self) -> None:
        """Delete the queues with their messages; missing queues are fine."""
        asyncio.run(self._remove_queues())

    async def _remove_queues(self) -> None:
        prefix = self.environment["QUEUE_PREFIX"]
        async with await aio_pika.connect(self.environment["AMQP_URL"]) as connection:
            channel = await connection.channel()
            for queue in (REQUESTS, RESULTS, DEAD_LETTERS):
                await channel.queue_delete(prefix + queue)

    def remove_keys(self) -> None:
        """Delete the keys in Redis."""
        with contextlib.closing(Redis.from_url(self.environment["REDIS_URL"])) as redis:
            pattern = f"{self.environment['QUEUE_PREFIX']}*"
            for key in redis.scan_iter(pattern, count=1_000):
                redis.delete(key)


@contextlib.contextmanager
def new_place(**more: str) -> Iterator[Place]:
    """Yield a place and remove it at the end; ``more`` are additional settings.

    The servers are those of TEST_DATABASE_URL, TEST_AMQP_URL and TEST_REDIS_URL, or else at the default ports of
    127.0.0.1.
    """
    with new_database() as url:
        environment = {
            "PROCESS_ENGINE": "airflow",
            "DATABASE_URL": url,
            "AMQP_URL": _broker_url(),
            "REDIS_URL": os.environ.get("TEST_REDIS_URL") or DEFAULT_REDIS,
            "QUEUE_PREFIX": f"bench-{secrets.token_hex(6)}.",
            "WEBHOOK_SECRET": "of a measurement",
            "WEBHOOK_ALLOW_PRIVATE": "on",
            "AIRFLOW_USERNAME": "afterwrite",
            "AIRFLOW_PASSWORD": "of a measurement",
            **more,
        }
        place = Place(environment)
        try:
            yield place
        finally:
            with contextlib.ExitStack() as removing:  # runs both, even if one fails
                removing.callback(place.remove_keys)
                removing.callback(place.remove_queues)


@dataclass(frozen=True)
class Service:
    """A running service of the stack; ``port`` is its metrics port."""

    processes: Processes
    port: int

    def wait_until_idle(self) -> None:
        """Wait until it answers, which means that it consumes messages."""
        self.processes.wait_until(lambda: answers(self.port, "/metrics"), "the service", START_SECONDS)

    def wait_until_dealt_with(self, count: int, within_seconds: float) -> None:
        """Wait until it has acknowledged ``count`` messages; polls rarely, because a scrape costs it time."""
        self.processes.wait_until(
            lambda: self._dealt_with() >= count, f"{count} messages", within_seconds, _SELDOM_SECONDS
        )

    def _dealt_with(self) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=END_SECONDS) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(_MESSAGES))


@contextlib.contextmanager
def service(folder: Path, program: str, place: Place) -> Iterator[Service]:
    """Run the program ``consumer`` or ``notification`` with the settings of a place until the end of the block."""
    port = free_port()
    own = {"DATA_DIR": str(folder), "LOG_FILE": "off", "METRICS_PORT": str(port)}
    with running(folder, [[sys.executable, "-m", "afterwrite", program]], {**place.environment, **own}) as processes:
        yield Service(processes, port)


@contextlib.contextmanager
def helper(folder: Path, module: str, environment: Mapping[str, str]) -> Iterator[int]:
    """Run a server of the benchmark, ``python -m MODULE PORT``; yield its port."""
    port = free_port()
    with running(folder, [[sys.executable, "-m", module, str(port)]], environment) as processes:
        processes.wait_until(lambda: answers(port, "/"), module, START_SECONDS)
        yield port


def broker_version() -> str:
    """The version of RabbitMQ, such as 3.10.8."""

    async def ask() -> str:
        async with await aio_pika.connect(_broker_url()) as connection:
            assert connection.transport is not None
            version = connection.transport.connection.server_properties["version"]
            return version.decode() if isinstance(version, bytes) else str(version)

    return asyncio.run(ask())


def _broker_url() -> str:
    return os.environ.get("TEST_AMQP_URL") or DEFAULT_BROKER
