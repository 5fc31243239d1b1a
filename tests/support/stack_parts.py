"""Services of the stack over real servers, each test with queues and a database of its own; Airflow is a stub."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow_stub import AirflowStub
from broker_house import OwnRabbitMQ, OwnRedis
from many_processes import SMALL, Fleet, new_database
from receiving_server import ReceivingServer
from redis import Redis
from server_process import ConsumerProcess, NotificationProcess, ServerProcess, wait_until

from afterwrite.base.settings import Settings
from afterwrite.base.tracing import new_trace
from afterwrite.jobs.broker import DEAD_LETTERS, Broker, Delivery
from afterwrite.jobs.messages import Request, Result, headers_of
from afterwrite.storage.postgres.address import address_of
from afterwrite.storage.postgres.job_runs import JobRuns
from afterwrite.tasks.task import TaskStatus

SECRET = "a secret of the parts' tests"
REPORT = {"received": 1, "accepted": 1, "refused": 0}


class Parts:
    """What a test starts as it needs it; killed at the end."""

    def __init__(
        self,
        folder: Path,
        url: str,
        servers: tuple[OwnRabbitMQ, OwnRedis],
        airflow: AirflowStub,
        receiver: ReceivingServer,
    ) -> None:
        self.rabbitmq, self.redis = servers
        self.airflow, self.receiver, self.folder = airflow, receiver, folder
        self.prefix = f"t{secrets.token_hex(4)}."
        self.fleet = Fleet(folder / "fleet", url)
        self.settings = Settings(
            process_engine="airflow",
            database_url=url,
            amqp_url=self.rabbitmq.url,
            redis_url=self.redis.url,
            queue_prefix=self.prefix,
            airflow_url=airflow.url,
            airflow_username="somebody",
        )
        self.environment = {
            **SMALL,
            "PROCESS_ENGINE": "airflow",
            "DATABASE_URL": url,
            "AMQP_URL": self.rabbitmq.url,
            "REDIS_URL": self.redis.url,
            "QUEUE_PREFIX": self.prefix,
            "AIRFLOW_URL": airflow.url,
            "AIRFLOW_USERNAME": "somebody",
            "AIRFLOW_PASSWORD": "something",
            "WEBHOOK_SECRET": SECRET,
            "WEBHOOK_ALLOW_PRIVATE": "on",
            "LOG_FORMAT": "json",
        }
        self._made: list[ServerProcess] = []

    def server(self, **environment: str) -> ServerProcess:
        """An API server with workers, not yet started."""
        return self._new(ServerProcess(self._new_folder(), **{**self.environment, **environment}))

    def consumer(self, **environment: str) -> ServerProcess:
        """A consumer, not yet started."""
        given = {**self.environment, **environment}
        for name in {"PROCESS_ENGINE", "DATABASE_URL", "REDIS_URL"}.difference(environment):  # it needs none
            del given[name]
        return self._new(ConsumerProcess(self._new_folder(), **given))

    def notification(self, **environment: str) -> ServerProcess:
        """A notification service, not yet started."""
        return self._new(NotificationProcess(self._new_folder(), **{**self.environment, **environment}))

    def publish(self, queue: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Put a message into a queue."""

        async def work() -> None:
            broker = Broker(self.settings)
            try:
                await broker.publish(queue, body, headers or {})
            finally:
                await broker.close()

        asyncio.run(work())

    def tell(self, job: str, task_id: int, outcome: str, run_id: str | None = None) -> None:
        """Publish the result of a run, as the DAG does."""
        result = Result(job, task_id, run_id or job, outcome)
        self.publish("airflow.results", result.encode(), headers_of(job, new_trace()))

    def messages(self, queue: str = DEAD_LETTERS) -> list[tuple[dict[str, Any], bytes]]:
        """Headers and bodies of what waits in a queue; it stays there."""
        found: list[tuple[dict[str, Any], bytes]] = []

        async def keep(delivery: Delivery) -> bool:
            found.append((dict(delivery.headers), delivery.body))
            return True

        async def work() -> None:
            broker = Broker(self.settings)
            await broker.browse(queue, keep, 1_000)
            await broker.close()

        asyncio.run(work())
        return found

    @contextlib.contextmanager
    def runs(self) -> Iterator[JobRuns]:
        """What runs leave in the database."""
        runs = JobRuns(address_of(self.settings))
        try:
            yield runs
        finally:
            runs.close()

    @contextlib.contextmanager
    def redis_client(self) -> Iterator["Redis"]:
        """A client of the Redis of the test."""
        with contextlib.closing(Redis.from_url(self.redis.url, decode_responses=True)) as client:
            yield client

    def submit(self, server: ServerProcess, number: int = 0, **more: Any) -> str:
        """Submit a job; returns its correlation id."""
        body = {"payload": {"products": [{"title": f"Lamp {number}", "price": 3}]}}
        body["callback_url"] = f"{self.receiver.url}/called"  # type: ignore[assignment]
        with contextlib.closing(server.client()) as client:
            status, answer = client.request(
                "POST", "/api/process", json.dumps(body | more).encode(), {"Content-Type": "application/json"}
            )
        assert status == 202, answer
        return str(json.loads(answer)["correlation_id"])

    def task_id(self, job: str) -> int:
        """The id of the task of a job."""
        [(found,)] = self.fleet.rows("SELECT id FROM afterwrite.tasks WHERE correlation_id = %s", job)
        return int(found)

    def reaches(self, server: ServerProcess, job: str, stage: str) -> dict[str, Any]:
        """Wait until a job has a status, or is at a stage; returns it as the API shows it."""
        name = "status" if stage in TaskStatus.__members__ else "stage"  # a stage may be reached before its result

        def found() -> dict[str, Any] | None:
            shown: dict[str, Any] = json.loads(server.get(f"/api/process/{job}")[1])
            return shown if shown[name] == stage else None

        shown: dict[str, Any] = wait_until(found)
        return shown

    def kill_all(self) -> None:
        """Kill what still runs."""
        for process in self._made:
            process.kill()

    def _new(self, process: ServerProcess) -> ServerProcess:
        self._made.append(process)
        return process

    def _new_folder(self) -> Path:
        folder = self.folder / f"part{len(self._made)}"
        folder.mkdir(parents=True)
        return folder


@contextlib.contextmanager
def new_parts(folder: Path, servers: tuple[OwnRabbitMQ, OwnRedis]) -> Iterator[Parts]:
    """Parts on a new database."""
    with new_database() as url, AirflowStub() as airflow, ReceivingServer() as receiver:
        parts = Parts(folder, url, servers, airflow, receiver)
        try:
            yield parts
        finally:
            parts.kill_all()


def request_of(job: str, task_id: int = 7) -> bytes:
    """The body of a request for the run of a job."""
    return Request(job, task_id, job).encode()


def published(parts: Parts, server: ServerProcess) -> tuple[str, int]:
    """A job that waits for its result, and its task."""
    job = parts.submit(server)
    parts.reaches(server, job, "PUBLISHED")
    return job, parts.task_id(job)


def health(process: ServerProcess) -> dict[str, Any]:
    """What a process says of itself."""
    found: dict[str, Any] = json.loads(process.get("/health")[1])
    return found


def metric(process: ServerProcess, name: str) -> float:
    """A figure of a process, 0 while there is none."""
    lines = process.get("/metrics")[1].decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))
