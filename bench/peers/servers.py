"""Starts the peers: other GraphQL servers for Python, in environments of their own, as their documentation says."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.servers import PORT, PROJECT, Server, running
from devkit.environment import separate_environment

_ENVIRONMENTS = PROJECT / ".venv-peers"
# uvloop and httptools are uvicorn's faster loop and parser; its log of each request costs more than they gain.
_UVICORN = ("uvicorn", "--factory", "--host", "127.0.0.1", "--port", PORT, "--loop", "uvloop", "--http", "httptools")
_QUIET = ("--no-access-log", "--log-level", "warning")
# Threads, because the default worker closes each connection after its answer and has one request at a time.
_GUNICORN = ("gunicorn", "--bind", f"127.0.0.1:{PORT}", "--worker-class", "gthread", "--threads", "16")


@dataclass(frozen=True)
class Peer:
    """A peer by name, and the command that serves its application."""

    name: str
    command: Sequence[str]

    def install(self) -> None:
        """Create its environment in .venv-peers, unless it is there already."""
        self._programs()

    def start(self, workers: int, synchronous: str, folder: Path) -> AbstractContextManager[Server]:
        """Serve the `products.db` in a folder with this number of processes and SQLite's `synchronous`."""
        program, *arguments = self.command
        command = [str(self._programs() / program), *arguments, "--workers", str(workers)]
        settings = {
            "PEER_DATABASE": str(folder / "products.db"),
            "PEER_SYNCHRONOUS": synchronous,
            "PYTHONPATH": str(PROJECT),
        }
        return running(command, folder, settings, "/graphql", folder)  # gunicorn reads a file of the project's folder

    def _programs(self) -> Path:
        name = self.name.lower()
        return separate_environment(_ENVIRONMENTS / name, Path(__file__).parent / f"{name}.txt")


PEERS = (
    Peer("Strawberry", (*_UVICORN, *_QUIET, "bench.peers.strawberry_app:create_app")),
    Peer("Ariadne", (*_UVICORN, *_QUIET, "bench.peers.ariadne_app:create_app")),
    Peer("Graphene", (*_GUNICORN, "--log-level", "warning", "bench.peers.graphene_app:create_app()")),
)
