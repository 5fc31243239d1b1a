"""Verbs of dev.py that run another program of the project in the foreground."""

from argparse import Namespace
from dataclasses import replace

from afterwrite.base.settings import SettingsError, from_environment
from afterwrite.programs.key import act as act_on_keys
from devkit import background_server, serve
from devkit.environment import ON_STACK, ready_python, say, to_run
from devkit.errors import CommandError
from devkit.place import ROOT, place_from_environment


def worker(arguments: list[str]) -> int:
    """Run only the tasks in the PostgreSQL of DATABASE_URL."""
    return _become(to_run(), ["worker", *arguments])


def consumer(_: Namespace) -> int:
    """Hand job requests from RabbitMQ to Airflow (see docs/stack.md)."""
    return _become(ON_STACK, ["consumer"])


def notification(_: Namespace) -> int:
    """Record job results from RabbitMQ and send the callbacks."""
    return _become(ON_STACK, ["notification"])


def dead_letters(arguments: list[str]) -> int:
    """List, retry or remove messages that no service could process."""
    return _become(ON_STACK, ["dead-letters", *arguments])


def migrate_to_postgres(options: Namespace) -> int:
    """Copy the data folder into the PostgreSQL of DATABASE_URL and verify the copy."""
    place = place_from_environment()
    if not options.reopen and not from_environment().database_url:
        raise CommandError("DATABASE_URL is not set: set it to the PostgreSQL to copy into")
    if server := background_server.running(place):
        raise CommandError(f"a server is running on {place.data_dir} (pid {server.pid}): `stop` it first")
    program = ["migrate-to-postgres", *(["--reopen"] if options.reopen else [])]
    return _become(to_run(), program)


def key(options: Namespace) -> None:
    """Manage API keys."""
    try:
        settings = replace(from_environment(), data_dir=place_from_environment().data_dir)
        if settings.api_keys_file:  # the server runs in the project's folder
            settings = replace(settings, api_keys_file=str(ROOT / settings.api_keys_file))
        act_on_keys(options, settings)
    except SettingsError as error:
        raise CommandError(str(error)) from error


def _become(requirements: str, program: list[str]) -> int:
    place = place_from_environment()
    return serve.become(place, ready_python(ROOT, requirements, say), ["-m", "afterwrite", *program])
