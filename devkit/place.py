"""Location of the commands' server: its data folder, address and files."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from afterwrite.base.settings import from_environment

ROOT = Path(__file__).resolve().parent.parent
_OF_POSTGRES = ("DATABASE_URL", "DATABASE_DIRECT_URL", "RUN_WORKERS")


@dataclass(frozen=True)
class Place:
    """One server's data folder (absolute) and address."""

    data_dir: Path
    host: str
    port: int
    stop_seconds: int = 30
    log_file: str = ""
    is_throw_away: bool = False

    @property
    def local_host(self) -> str:
        """A host to reach the server from this machine, even if it listens on all addresses."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104

    @property
    def url(self) -> str:
        """The server's URL, without a trailing slash."""
        host = f"[{self.local_host}]" if ":" in self.local_host else self.local_host
        return f"http://{host}:{self.port}"

    @property
    def log_path(self) -> Path:
        """The server's log file; with LOG_FILE=off the output of the background server."""
        if self.log_file == "off":
            return self.output_path
        return ROOT / self.log_file if self.log_file else self.data_dir / "afterwrite.log"

    @property
    def output_path(self) -> Path:
        """The output of the background server since its start, including output before logging is set up."""
        return self.data_dir / "server.out"

    @property
    def record_path(self) -> Path:
        """The file that records the running server."""
        return self.data_dir / "server.pid"

    @property
    def data_place(self) -> str:
        """The name of the place that holds the data, for messages."""
        return from_environment(self.environment()).data_place

    def environment(self) -> dict[str, str]:
        """Return the environment variables for a program at this place."""
        own = {"HOST": self.host, "PORT": str(self.port), "DATA_DIR": str(self.data_dir)}
        given = without_postgres() if self.is_throw_away else os.environ
        return {**given, **own, "LOG_FILE": self.log_file}


def place_from_environment() -> Place:
    """Return the place in HOST, PORT and DATA_DIR; the default data folder is in the project folder.

    Port 0 becomes a free port. Raises SettingsError.
    """
    settings = from_environment()
    given = settings.data_dir
    default = not os.environ.get("DATA_DIR", "").strip()
    data_dir = (ROOT if default else Path.cwd()) / given.expanduser()
    port = settings.port or free_port(settings.host)
    return Place(data_dir.resolve(), settings.host, port, settings.longest_stop_seconds, settings.log_file)


def temporary_place(folder: Path) -> Place:
    """Return a place for a temporary server in `folder`, on a free loopback port."""
    return Place(folder, "127.0.0.1", free_port("127.0.0.1"), is_throw_away=True)


def without_postgres() -> dict[str, str]:
    """Return the environment without PostgreSQL, for tests and temporary servers."""
    return {name: value for name, value in os.environ.items() if name not in _OF_POSTGRES}


def free_port(host: str) -> int:
    """Return a port of `host` that is free now."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])


def port_is_free(host: str, port: int) -> bool:
    """Return whether a server could listen there now."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as listener:
        if os.name == "posix":  # a port in TIME_WAIT is free; on Windows the option would allow sharing it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
