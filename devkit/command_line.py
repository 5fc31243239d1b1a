"""Command line of dev.py: a verb and its arguments."""

import argparse
import difflib
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import NamedTuple

from afterwrite.base.settings import SettingsError
from afterwrite.programs import key
from devkit import ask, env_file, verbs
from devkit.errors import CommandError


class Verb(NamedTuple):
    """A verb whose arguments are parsed here; the first line of its docstring is its summary."""

    act: Callable[[Namespace], int | None]
    usage: str = ""
    declare: Callable[[ArgumentParser], object] = lambda parser: parser


class Passing(NamedTuple):
    """A verb that passes its arguments to another program."""

    act: Callable[[list[str]], int | None]
    usage: str = "[ARGUMENT...]"


def _flag(name: str, text: str) -> Callable[[ArgumentParser], object]:
    return lambda parser: parser.add_argument(name, action="store_true", help=text)


_yes = _flag("--yes", "skip the confirmation")
VERBS: dict[str, Verb | Passing] = {
    "up": Verb(verbs.up, "[--no-workers]", _flag("--no-workers", "leave tasks to `worker` (with DATABASE_URL)")),
    "worker": Passing(verbs.worker, "[--types T,T] [--concurrency N] [--app MODULE]"),
    "consumer": Verb(verbs.consumer),
    "notification": Verb(verbs.notification),
    "dead-letters": Passing(verbs.dead_letters, "list | retry ID... | remove ID..."),
    "start": Verb(verbs.start),
    "stop": Verb(verbs.stop),
    "restart": Verb(verbs.restart),
    "test": Passing(verbs.test),
    "test-verbose": Passing(verbs.test_verbose),
    "test-debug": Passing(verbs.test_debug),
    "build": Verb(verbs.build),
    "clean": Verb(verbs.clean, "[--yes]", _yes),
    "fresh": Verb(verbs.fresh, "[--yes]", _yes),
    "shell": Verb(verbs.shell),
    "init-db": Passing(verbs.init_db, "[FILE] [OPTION...]"),
    "migrate": Passing(verbs.migrate, "[--allow TABLE.COLUMN]..."),
    "migrate-to-postgres": Verb(
        verbs.migrate_to_postgres,
        "[--reopen]",
        _flag("--reopen", "let a migrated folder be served again without DATABASE_URL"),
    ),
    "logs": Verb(verbs.logs, "[--no-follow]", _flag("--no-follow", "print the last lines and exit")),
    "graphql": Verb(verbs.graphql, "[DOCUMENT] [--variables JSON]"),
    "key": Verb(verbs.key, "add NAME --role ROLE | list | remove NAME", key.declare),
    "demo": Verb(verbs.demo),
    "setup": Verb(verbs.setup),
    "check": Verb(verbs.check),
    "screenshots": Verb(verbs.screenshots),
    "bench": Passing(verbs.bench),
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
        return _run(name, rest) or 0
    except (CommandError, SettingsError) as error:
        sys.stderr.write(f"dev.py {name}: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 0 if name == "logs" else 130


def help_text() -> str:
    """Return the list of verbs."""
    lines = ["usage: python3 dev.py VERB [ARGUMENT...]", ""]
    lines += [f"  {f'{name} {verb.usage}':<42} {_summary(verb)}" for name, verb in VERBS.items()]
    lines += ["", "Settings such as HOST, PORT and DATA_DIR come from the environment and from .env."]
    return "\n".join(lines) + "\n"


def _run(name: str, rest: list[str]) -> int | None:
    verb = VERBS[name]
    if isinstance(verb, Passing):
        return verb.act(rest)
    if name == "graphql":
        parser = ask.parser("dev.py graphql")
    else:
        parser = argparse.ArgumentParser(prog=f"dev.py {name}", description=_summary(verb))
        verb.declare(parser)
    return verb.act(parser.parse_args(rest))


def _summary(verb: Verb | Passing) -> str:
    text = (verb.act.__doc__ or "").partition("\n")[0].removesuffix(".")
    return text[:1].lower() + text[1:]
