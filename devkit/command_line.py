"""Command line of dev.py: a verb and its arguments."""

import argparse
import difflib
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass

from afterwrite.programs import key
from devkit import ask, env_file, services, verbs
from devkit.errors import CommandError


def _nothing(parser: ArgumentParser) -> None:
    """Take no argument."""


def _yes(parser: ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="skip the confirmation")


def _no_workers(parser: ArgumentParser) -> None:
    parser.add_argument("--no-workers", action="store_true", help="leave tasks to `worker` (with DATABASE_URL)")


def _reopen(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--reopen", action="store_true", help="let a migrated folder be served again without DATABASE_URL"
    )


def _no_follow(parser: ArgumentParser) -> None:
    parser.add_argument("--no-follow", action="store_true", help="print the last lines and exit")


@dataclass(frozen=True)
class Verb:
    """A verb whose arguments are parsed here."""

    act: Callable[[Namespace], int]
    summary: str
    usage: str = ""
    declare: Callable[[ArgumentParser], None] = _nothing


@dataclass(frozen=True)
class Passing:
    """A verb that passes its arguments to another program."""

    act: Callable[[list[str]], int]
    summary: str
    usage: str = "[ARGUMENT...]"


VERBS: dict[str, Verb | Passing] = {
    "up": Verb(
        verbs.up, "set up, load the sample catalogue if empty, serve in the foreground", "[--no-workers]", _no_workers
    ),
    "worker": Passing(
        services.worker, "run only the tasks in the PostgreSQL of DATABASE_URL", "[--types T,T] [--concurrency N]"
    ),
    "consumer": Verb(services.consumer, "hand job requests from RabbitMQ to Airflow (see docs/stack.md)"),
    "notification": Verb(services.notification, "record job results from RabbitMQ and send the callbacks"),
    "dead-letters": Passing(
        services.dead_letters,
        "list, retry or remove messages that no service could process",
        "list | retry ID... | remove ID...",
    ),
    "start": Verb(verbs.start, "the same in the background; returns when the server is ready"),
    "stop": Verb(
        verbs.stop, "stop the server; running tasks finish and queued writes are applied, within their timeouts"
    ),
    "restart": Verb(verbs.restart, "stop, then start"),
    "test": Passing(verbs.test, "set up and run all tests; arguments go to pytest"),
    "test-verbose": Passing(verbs.test_verbose, "test over HTTP, with each request and response"),
    "test-debug": Passing(verbs.test_debug, "the same, with the end of the server's log"),
    "build": Verb(verbs.build, "create or complete the environment, and compile all sources"),
    "clean": Verb(verbs.clean, "stop the server; remove data, environment and caches", "[--yes]", _yes),
    "fresh": Verb(verbs.fresh, "clean, then up", "[--yes]", _yes),
    "shell": Verb(verbs.shell, "open a Python prompt with settings, engine and schema"),
    "init-db": Passing(
        verbs.init_db,
        "add the products of a JSON, JSONL or CSV file; --help lists columns and options",
        "[FILE] [OPTION...]",
    ),
    "migrate-to-postgres": Verb(
        services.migrate_to_postgres,
        "copy the data folder into the PostgreSQL of DATABASE_URL and verify the copy",
        "[--reopen]",
        _reopen,
    ),
    "logs": Verb(verbs.logs, "print the last 50 lines of the log and follow it", "[--no-follow]", _no_follow),
    "graphql": Verb(verbs.graphql, "send a document; without one, open GraphiQL", "[DOCUMENT] [--variables JSON]"),
    "key": Verb(services.key, "manage API keys", "add NAME --role ROLE | list | remove NAME", key.declare),
    "demo": Verb(
        verbs.demo, "start, test with full output, run tasks and show their progress, keep the server running"
    ),
    "setup": Verb(verbs.setup, "create the environment .venv from the pinned requirements"),
    "check": Verb(verbs.check, "check format, lint and types"),
    "screenshots": Verb(verbs.screenshots, "take the screenshots in docs/screenshots from a temporary server"),
    "bench": Passing(verbs.bench, "run the benchmarks and print one table; --postgres, --stack: many processes"),
}


def main(arguments: list[str]) -> int:
    """Run one verb and return its exit code: 0 success, 1 failure, 2 usage error, 130 Ctrl-C."""
    if not arguments or arguments[0] in ("help", "-h", "--help"):
        sys.stdout.write(help_text())
        return 0
    name, rest = arguments[0], arguments[1:]
    if name not in VERBS:
        close = difflib.get_close_matches(name, VERBS, n=1)
        hint = f"did you mean {close[0]}?" if close else "run dev.py without arguments for a list"
        sys.stderr.write(f"dev.py: there is no verb {name!r}; {hint}\n")
        return 2
    try:
        env_file.use(name)
        return _run(name, rest)
    except CommandError as error:
        sys.stderr.write(f"dev.py {name}: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 0 if name == "logs" else 130


def help_text() -> str:
    """Return the list of verbs."""
    lines = ["usage: python3 dev.py VERB [ARGUMENT...]", ""]
    lines += [f"  {f'{name} {verb.usage}':<42} {verb.summary}" for name, verb in VERBS.items()]
    lines += ["", "Settings such as HOST, PORT and DATA_DIR come from the environment and from .env."]
    return "\n".join(lines) + "\n"


def _run(name: str, rest: list[str]) -> int:
    verb = VERBS[name]
    if isinstance(verb, Passing):
        return verb.act(rest)
    if name == "graphql":
        parser = ask.parser("dev.py graphql")
    else:
        parser = argparse.ArgumentParser(prog=f"dev.py {name}", description=verb.summary)
        verb.declare(parser)
    return verb.act(parser.parse_args(rest))
