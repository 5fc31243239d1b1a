"""Installs Airflow into a separate virtual environment and configures its processes."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from afterwrite.base.durable_file import replace_file
from devkit.environment import separate_environment
from devkit.errors import CommandError

VERSION = "3.3.2"
_ROOT = Path(__file__).parent.parent
_FOLDER = _ROOT / ".venv-airflow"
_REQUIREMENTS = _ROOT / "requirements-airflow.txt"
_COMMAND_SECONDS = 180
_PREPARING = (["db", "migrate"], ["dags", "reserialize"])


def ready_airflow() -> Path:
    """Return the path of the ``airflow`` command; installs Airflow if necessary, which takes a minute."""
    return separate_environment(_FOLDER, _REQUIREMENTS, f"apache-airflow=={VERSION}") / "airflow"


def airflow_environment(
    folder: Path, port: int, database: str, login: tuple[str, str], more: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment variables of an Airflow that serves its API on ``port`` of 127.0.0.1.

    ``folder`` is its home and gets a file with the password. ``database`` is a URL that begins with
    postgresql+psycopg:. ``login`` is the name and password of its only user, an admin. ``more`` overrides the rest.
    """
    name, password = login
    passwords = folder / "passwords.json"
    replace_file(passwords, json.dumps({name: password}))
    return os.environ | {
        "AIRFLOW_HOME": str(folder),
        "PATH": f"{_FOLDER / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(_ROOT),
        "AIRFLOW__CORE__DAGS_FOLDER": str(_ROOT / "afterwrite" / "jobs" / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{name}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API_AUTH__JWT_SECRET": "of one installation, and long enough for the algorithm, which wants 64 bytes",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": database.replace("+psycopg:", "+psycopg_async:", 1),
        **more,
    }


def prepare_airflow(environment: Mapping[str, str]) -> None:
    """Create Airflow's database and parse the DAG. Raises CommandError with the end of the output."""
    for command in _PREPARING:
        done = subprocess.run(
            [ready_airflow(), *command],
            env=environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=_COMMAND_SECONDS,
        )
        if done.returncode:
            raise CommandError(
                f"airflow {' '.join(command)} failed with exit code {done.returncode}: {done.stdout[-2000:]}"
            )
