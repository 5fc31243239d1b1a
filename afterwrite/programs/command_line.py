"""The command ``afterwrite``: dispatches to its programs, each of which parses its own arguments."""

import difflib
import importlib
import sys
from collections.abc import Sequence

from afterwrite.base.missing_packages import end_in_one_line
from afterwrite.base.utf8 import use_utf8

# Each module's ``main`` takes the arguments and returns the exit code.
PROGRAMS = {
    "serve": ("afterwrite.programs.serve", "serve the application in app.py of the current folder"),
    "worker": ("afterwrite.programs.worker", "run tasks of the PostgreSQL in DATABASE_URL"),
    "consumer": ("afterwrite.programs.consumer", "start the Airflow runs requested in RabbitMQ"),
    "notification": ("afterwrite.programs.notification", "record results from RabbitMQ and deliver them"),
    "dead-letters": ("afterwrite.programs.dead_letters", "list, retry or remove dead letters"),
    "key": ("afterwrite.programs.key", "make, list or remove API keys"),
    "migrate": ("afterwrite.programs.migrate", "bring the database to the declarations in app.py"),
    "init-db": ("afterwrite.programs.init_db", "create the schema, load a file of records"),
    "migrate-to-postgres": ("afterwrite.programs.migrate_to_postgres", "copy DATA_DIR into DATABASE_URL"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a program and return its exit code; 2 for an unknown name."""
    use_utf8()
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help", "help"):
        sys.stdout.write(_help())
        return 0
    if name not in PROGRAMS:
        close = difflib.get_close_matches(name, PROGRAMS, n=1)
        hint = f"did you mean {close[0]}?" if close else "`afterwrite --help` lists the programs"
        sys.stderr.write(f"afterwrite: there is no program {name!r}: {hint}\n")
        return 2
    end_in_one_line()  # before imports that need installed packages
    code: int = importlib.import_module(PROGRAMS[name][0]).main(rest)
    return code


def _help() -> str:
    lines = ["usage: afterwrite PROGRAM [ARGUMENT...]", ""]
    lines += [f"  {name:<20} {summary}" for name, (_, summary) in PROGRAMS.items()]
    return "\n".join([*lines, "", "Settings are read from the environment and from .env.", ""])
