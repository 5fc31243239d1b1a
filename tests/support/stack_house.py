"""The whole stack in real processes: API with workers, consumer, notification, Airflow, and a receiver of webhooks."""

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from airflow_house import PASSWORD, USER, Airflow, new_airflow
from broker_house import OwnRabbitMQ, OwnRedis, require_own_servers
from many_processes import SMALL, Fleet
from postgres_cluster import PostgresCluster
from receiving_server import ReceivingServer
from server_process import ConsumerProcess, NotificationProcess, ServerProcess, wait_until

from afterwrite.webhooks.signing import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign

SECRET = "a secret of the stack's tests"


class Told(NamedTuple):
    """An event that was received, whose signature fits."""

    event_id: str
    correlation_id: str
    event: dict[str, Any]
    headers: Mapping[str, str]


class Stack:
    """One installation; every process that still runs is killed at the end."""

    def __init__(
        self, folder: Path, receiver: ReceivingServer, servers: tuple[PostgresCluster, OwnRabbitMQ, OwnRedis]
    ) -> None:
        """``servers`` run already."""
        self.receiver = receiver
        self.postgres, self.rabbitmq, self.redis = servers
        self.url = self.new_database("stack")
        self.environment = {
            **SMALL,
            "PROCESS_ENGINE": "airflow",
            "DATABASE_URL": self.url,
            "AMQP_URL": self.rabbitmq.url,
            "REDIS_URL": self.redis.url,
            "WEBHOOK_SECRET": SECRET,
            "WEBHOOK_ALLOW_PRIVATE": "on",
            "AIRFLOW_USERNAME": USER,
            "AIRFLOW_PASSWORD": PASSWORD,
            "LOG_FORMAT": "json",
            "TASK_PAYLOAD_MAX_BYTES": "3000000",
        }
        self._folder = folder
        self.fleet = Fleet(folder, self.url)
        self.server = ServerProcess(self._new("server"))
        self.consumer = ConsumerProcess(self._new("consumer"))
        self.notification = NotificationProcess(self._new("notification"))

    @property
    def services(self) -> tuple[ServerProcess, ...]:
        """The processes of Afterwrite."""
        return (self.server, self.consumer, self.notification)

    def new_database(self, name: str) -> str:
        """The URL of a new database in the PostgreSQL of this stack."""
        with psycopg.connect(self.postgres.url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.postgres.url.rpartition("/")[0] + f"/{name}"

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
            return found if found.get("finished_at") else None  # a problem, while the database is away

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

    def kill(self) -> None:
        """Kill the services."""
        for service in self.services:
            service.kill()

    def _new(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(parents=True)
        return folder


@contextlib.contextmanager
def new_stack(folder: Path) -> Iterator[tuple[Stack, Airflow]]:
    """The stack with an Airflow of its own, all running."""
    require_own_servers()
    with ReceivingServer() as receiver, contextlib.ExitStack() as cleaning:
        postgres = PostgresCluster("max_connections = 300", "fsync = off")
        cleaning.callback(postgres.remove)
        rabbitmq, redis = OwnRabbitMQ(folder / "rabbitmq"), OwnRedis(folder / "redis")
        for server in (rabbitmq, redis):
            cleaning.callback(server.kill)
            server.start()
        stack = Stack(folder, receiver, (postgres, rabbitmq, redis))
        cleaning.callback(stack.kill)
        database = stack.new_database("airflow")
        airflow = cleaning.enter_context(new_airflow(folder / "airflow", database, stack.environment))
        stack.connect(airflow.url)
        stack.start()
        yield stack, airflow
