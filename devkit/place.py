"""Says where the server of the daily commands lives: its folder, its address and its files."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from afterwrite.base.settings import SettingsError, from_environment
from devkit.errors import CommandError

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
        """A host at which this machine reaches the server, also when it listens on every address."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104

    @property
    def url(self) -> str:
        """The address to print, without a slash at the end."""
        host = f"[{self.local_host}]" if ":" in self.local_host else self.local_host
        return f"http://{host}:{self.port}"

    @property
    def log_path(self) -> Path:
        """The server's log; without one (LOG_FILE=off), all that a background server prints."""
        if self.log_file == "off":
            return self.output_path
        return ROOT / self.log_file if self.log_file else self.data_dir / "afterwrite.log"

    @property
    def output_path(self) -> Path:
        """All that a background server prints since its start, also what comes before its log is set up."""
        return self.data_dir / "server.out"

    @property
    def record_path(self) -> Path:
        """The file that names the running server's process."""
        return self.data_dir / "server.pid"

    @property
    def data_place(self) -> str:
        """Where the server's data is: the folder, or PostgreSQL."""
        return from_environment(self.environment()).data_place

    def environment(self) -> dict[str, str]:
        """Return the environment for a program that belongs to this place."""
        own = {"HOST": self.host, "PORT": str(self.port), "DATA_DIR": str(self.data_dir)}
        given = without_postgres() if self.is_throw_away else os.environ
        return {**given, **own, "LOG_FILE": self.log_file}


def place_from_environment() -> Place:
    """Return the place that HOST, PORT and DATA_DIR name; the default data folder is the project's own.

    Port 0 becomes a free one. Raises CommandError for a setting that cannot be used.
    """
    try:
        settings = from_environment()
    except SettingsError as error:
        raise CommandError(str(error)) from error
    given = settings.data_dir
    default = not os.environ.get("DATA_DIR", "").strip()
    data_dir = (ROOT if default else Path.cwd()) / given.expanduser()
    port = settings.port or free_port(settings.host)
    return Place(data_dir.resolve(), settings.host, port, settings.longest_stop_seconds, settings.log_file)


def temporary_place(folder: Path) -> Place:
    """Return a place for a throw-away server: `folder`, on a free port of the loopback interface."""
    return Place(folder, "127.0.0.1", free_port("127.0.0.1"), is_throw_away=True)


def without_postgres() -> dict[str, str]:
    """Return the environment for what tries things out: it must not do so on somebody's PostgreSQL."""
    return {name: value for name, value in os.environ.items() if name not in _OF_POSTGRES}


def free_port(host: str) -> int:
    """Return a port of `host` that nothing listens on at this moment."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])


def port_is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen there now."""
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
