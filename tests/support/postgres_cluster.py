"""Runs a PostgreSQL of the test's own, which may be stopped and restarted as it likes."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from server_process import free_port

_SETTINGS = ("listen_addresses = '127.0.0.1'", "max_connections = 200", "unix_socket_directories = ''")


def server_programs() -> Path:
    """The folder of initdb and pg_ctl; the test is skipped where there is none, save in CI."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if folders and (folders[-1] / "initdb").exists():
        return folders[-1]
    if os.environ.get("CI"):
        pytest.fail("CI has to have the server programs of PostgreSQL (on Debian: postgresql)")
    pytest.skip("the server programs of PostgreSQL are not installed (on Debian: postgresql)")


class PostgresCluster:
    """A new PostgreSQL on a free port of 127.0.0.1; it runs until ``remove``."""

    def __init__(self, *settings: str) -> None:
        """``settings`` are lines of postgresql.conf."""
        self._programs = server_programs()
        self.port = free_port()
        # Not in the test's own folder: PostgreSQL does not run as root, and another user may not look in there.
        self._folder = Path(tempfile.mkdtemp(prefix="afterwrite-postgres-"))
        self._as_owner: list[str] = []
        self._environment: dict[str, str] = {}
        if sys.platform != "win32" and os.getuid() == 0:
            self._as_owner = ["runuser", "-u", "postgres", "--"]
            shutil.chown(self._folder, "postgres")
        self._run("initdb", "--auth=trust", "--username=postgres", "--no-sync", "--pgdata", self._data)
        with (self._folder / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{line}\n" for line in (*_SETTINGS, f"port = {self.port}", *settings))
        self.start()

    @property
    def url(self) -> str:
        """Where it is, as DATABASE_URL says it."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Return when it takes connections."""
        self._control("start", "--log", str(self._folder / "log"))

    def restart_with(self, **environment: str) -> None:
        """Restart it with these variables in its environment."""
        self._control("stop", "--mode=fast")
        self._environment = environment
        self.start()

    def restart_at_once(self) -> None:
        """Restart it as after a crash: every connection is cut, and what was not committed is gone."""
        self._control("restart", "--mode=immediate", "--log", str(self._folder / "log"))

    def stop_at_once(self) -> None:
        """Stop it as a crash would."""
        self._control("stop", "--mode=immediate")

    def remove(self) -> None:
        """Stop it and remove all that it had."""
        self.stop_at_once()
        shutil.rmtree(self._folder)

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _control(self, verb: str, *arguments: str) -> None:
        self._run("pg_ctl", verb, "--wait", "--timeout=60", "--pgdata", self._data, *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_owner, str(self._programs / program), *arguments]
        # Its output goes to a file: a server that was started keeps a pipe open.
        with (self._folder / "said").open("ab+") as said:
            environment = os.environ | self._environment
            code = subprocess.call(command, stdout=said, stderr=said, cwd="/", env=environment)
            said.seek(0)
            assert code == 0, said.read().decode(errors="replace")[-2_000:]
