"""Runs a RabbitMQ and a Redis of the test's own, which may be killed and started again as it likes."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from server_process import free_port, process_group, wait_until, watched

_READY_SECONDS = 60
# The wrappers in the path become the user rabbitmq, who may not look into the folder of a test.
_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_RABBITMQCTL = _RABBITMQ.with_name("rabbitmqctl")


def missing_programs() -> str:
    """Which server is not installed here; empty if both are."""
    wanted = {"rabbitmq-server": _RABBITMQ.exists(), "redis-server": shutil.which("redis-server") is not None}
    return ", ".join(name for name, is_there in wanted.items() if not is_there)


class OwnServer:
    """A server in a process group of its own, on a free port of 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> tuple[list[str], dict[str, str]]:
        """How it is started: the command, and what its environment has beside this one's."""
        raise NotImplementedError

    def start(self) -> None:
        """Return when it answers."""
        command, environment = self.command()
        with (self._folder / "said.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=os.environ | environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self._answers, _READY_SECONDS)

    def kill(self) -> None:
        """SIGKILL it with all that it started."""
        if self._process is None:
            return
        with watched(process_group(self._process.pid)) as ended:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            ended(_READY_SECONDS)
        self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "said.log").read_text(errors="replace")[-3000:]
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                connection.settimeout(5)
                connection.sendall(self.greeting)
                return bool(connection.recv(1))
        except OSError:
            return False

    greeting = b""


class OwnRabbitMQ(OwnServer):
    """A RabbitMQ, whose queues outlive it."""

    greeting = b"AMQP\x00\x00\x09\x01"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        self._name, self._distribution = f"afterwrite-{secrets.token_hex(4)}@localhost", free_port()

    def command(self) -> tuple[list[str], dict[str, str]]:
        """A node with folders, name and ports of its own."""
        return [str(_RABBITMQ)], {
            "HOME": str(self._folder),
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "no-such.conf"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "no-such"),
        }

    def control(self, *arguments: str) -> None:
        """Run rabbitmqctl on it."""
        subprocess.run(
            [str(_RABBITMQCTL), "--node", self._name, *arguments],
            env=os.environ | self.command()[1],
            check=True,
            capture_output=True,
            timeout=_READY_SECONDS,
        )


class OwnRedis(OwnServer):
    """A Redis that keeps nothing when it is killed."""

    greeting = b"PING\r\n"

    @property
    def url(self) -> str:
        """Where it is, as REDIS_URL says it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> tuple[list[str], dict[str, str]]:
        """In memory only."""
        return [
            "redis-server",
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(self._folder),
        ], {}


def require_own_servers() -> None:
    """Skip the test where a server is not installed, and fail it in CI."""
    if missing := missing_programs():
        if os.environ.get("CI"):
            pytest.fail(f"CI has to have {missing}")
        pytest.skip(f"not installed: {missing}")
