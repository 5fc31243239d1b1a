"""The verbs of dev.py."""

import compileall
import os
import subprocess
import sys
import tempfile
import webbrowser
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from afterwrite.access.opening import warning_of
from afterwrite.base.settings import from_environment
from afterwrite.programs import key as keys
from devkit import ask, background_server, log_lines, removal, serve, task_demo
from devkit.background_server import Running
from devkit.environment import ON_STACK, TO_DEVELOP, ready_python, say, to_run
from devkit.errors import CommandError
from devkit.health import health
from devkit.place import ROOT, Place, place_from_environment, temporary_place, without_postgres

# Distributed by file, because the tests of a file share a server. Four workers, because most tests wait.
# Keeps the order of tests/conftest.py, which starts with the slowest files.
_ALL_TESTS = ["--numprocesses", "4", "--dist", "loadfile", "--no-loadscope-reorder"]


def setup(_: Namespace) -> None:
    """Create the environment .venv from the pinned requirements."""
    python = ready_python(ROOT, TO_DEVELOP, say)
    say(f"Ready: {python}")


def up(options: Namespace) -> int:
    """Set up, load the sample catalogue if empty, serve in the foreground."""
    if options.no_workers:
        if not from_environment().database_url:
            raise CommandError(
                "--no-workers leaves tasks to other processes, which cannot share DATA_DIR: set DATABASE_URL"
            )
        os.environ["RUN_WORKERS"] = "off"  # for the server, which replaces this process
    place = place_from_environment()
    if server := background_server.running(place):
        say(_runs_already(server, place))
        return 0
    python = _checked_python(place)
    background_server.require_free_port(place)
    serve.load(place, python)
    say(f"Starting {place.url} (GraphiQL: {place.url}/graphql), data in {place.data_place}; Ctrl-C stops")
    background_server.record(place, os.getpid(), in_background=False)
    return serve.become(place, python, serve.SERVER)


def start(_: Namespace) -> None:
    """The same in the background; returns when the server is ready."""
    place = place_from_environment()
    if server := background_server.running(place):
        say(_runs_already(server, place))
    else:
        _load_and_start(place, _checked_python(place))


def stop(_: Namespace) -> None:
    """Stop the server; running tasks finish and queued writes are applied, within their timeouts."""
    place = place_from_environment()
    server = background_server.running(place)
    if server is None:
        say(f"No server is running on {place.data_dir}")
    else:
        _stop(place, server)


def restart(_: Namespace) -> None:
    """Stop, then start."""
    place = place_from_environment()
    server = background_server.running(place)
    if server and not os.environ.get("PORT"):  # keeps its address unless PORT is given
        place = background_server.place_of(server, place)
    python = _checked_python(place)
    if server:
        _stop(place, server)
    _load_and_start(place, python, server)


def test(arguments: list[str]) -> int:
    """Set up and run all tests; arguments go to pytest."""
    python = ready_python(ROOT, TO_DEVELOP, say)
    command = [str(python), "-m", "pytest", *(arguments or _ALL_TESTS)]
    return subprocess.call(command, cwd=ROOT, env=without_postgres())


def test_verbose(arguments: list[str]) -> int:
    """Test over HTTP, with each request and response."""
    return _integration_test(["--verbose", *arguments])


def test_debug(arguments: list[str]) -> int:
    """The same, with the end of the server's log."""
    return _integration_test(["--debug", *arguments])


def build(_: Namespace) -> None:
    """Create or complete the environment, and compile all sources."""
    ready_python(ROOT, to_run(), say)
    sources = [*ROOT.glob("*.py")]
    packages = [path.parent for path in ROOT.glob("*/__init__.py")]
    faulty = [path for path in sources if not compileall.compile_file(path, quiet=1)]
    faulty += [path for path in packages if not compileall.compile_dir(path, quiet=1)]
    if faulty:
        raise CommandError(f"compilation failed for {', '.join(str(path) for path in faulty)}: see the output above")
    say(f"Compiled {len(sources)} modules and {len(packages)} packages")


def clean(options: Namespace) -> int:
    """Stop the server; remove data, environment and caches."""
    place = place_from_environment()
    folders = removal.made_here(place.data_dir)
    if from_environment().database_url:
        say("The data in PostgreSQL is kept; remove it with DROP SCHEMA afterwrite CASCADE")
    if not folders:
        say("Nothing to remove")
        return 0
    for folder in folders:
        if folder.name != "__pycache__":
            say(f"  {folder}")
    say(f"  and {sum(folder.name == '__pycache__' for folder in folders)} folders of compiled Python")
    if not options.yes and not _confirmed("Stop the server and remove all of this, including all products?"):
        say("Nothing was removed")
        return 1
    if server := background_server.running(place):
        _stop(place, server)
    removal.remove(folders)
    say("Removed")
    return 0


def fresh(options: Namespace) -> int:
    """Clean, then up."""
    return clean(options) or up(Namespace(no_workers=False))


def shell(_: Namespace) -> int:
    """Open a Python prompt with settings, engine and schema."""
    place = place_from_environment()
    python = ready_python(ROOT, to_run(), say)
    if not from_environment().database_url and not place.data_dir.joinpath("products.db").exists():
        serve.load(place, python)
    return subprocess.call([python, "-i", "-m", "devkit.shell_names"], cwd=ROOT, env=place.environment())


def init_db(arguments: list[str]) -> None:
    """Add the products of a JSON, JSONL or CSV file; --help lists columns and options.

    Stops a background server meanwhile, unless the file is invalid.
    """
    place = place_from_environment()
    asks_help = bool({"-h", "--help"}.intersection(arguments))
    on_folder = not asks_help and not from_environment().database_url
    server = background_server.running(place) if on_folder else None
    if server and not server.in_background:
        raise CommandError(
            f"a server is running in the foreground (pid {server.pid}): stop it with Ctrl-C or `stop` first"
        )
    if server is None:
        serve.load(place, ready_python(ROOT, to_run(), say), arguments)
        return
    place = background_server.place_of(server, place)
    python = _checked_python(place)
    serve.load(place, python, ["--check", *arguments])
    _stop(place, server)
    try:
        serve.load(place, python, arguments)
    finally:
        _start(place, python, server)


def logs(options: Namespace) -> None:
    """Print the last 50 lines of the log and follow it."""
    place = place_from_environment()
    if not place.log_path.exists():
        raise CommandError(f"there is no log at {place.log_path} yet: `start` creates it")
    if options.no_follow:
        sys.stdout.writelines(f"{line}\n" for line in log_lines.last_lines(place.log_path, 50))
        return
    for text in log_lines.follow(place.log_path, 50):
        sys.stdout.write(text)
        sys.stdout.flush()


def graphql(options: Namespace) -> int:
    """Send a document; without one, open GraphiQL."""
    place = _place_of_running_server(place_from_environment())
    if options.document is not None:
        return ask.send(place, options)
    say(f"{place.url}/graphql")
    if health(place) is None:
        raise CommandError(f"no server answers at {place.url}: start one with `start` or `up`")
    if _has_display():
        webbrowser.open(f"{place.url}/graphql")
    return 0


def demo(_: Namespace) -> int:
    """Start, test with full output, run tasks and show their progress, keep the server running."""
    place = _place_of_running_server(place_from_environment())
    if background_server.running(place) is None:
        _load_and_start(place, _checked_python(place))
    code = _run_integration_test(place, ["--verbose"])
    say("Tasks: a customer, a payment and a refund in sequence, and three entries in parallel")
    code = code if task_demo.show_tasks(place, sys.stdout) else 1
    say(f"The server keeps running at {place.url} (GraphiQL: {place.url}/graphql); stop it with `stop`")
    return code


def check(_: Namespace) -> int:
    """Check format, lint and types.

    Runs all three even if one fails.
    """
    python = ready_python(ROOT, TO_DEVELOP, say)
    failed = []
    for command in (["ruff", "format", "--check", "."], ["ruff", "check", "."], ["mypy"]):
        say("$ " + " ".join(command))
        if subprocess.call([python, "-m", *command], cwd=ROOT) != 0:
            failed.append(" ".join(command))
    say("Failed: " + "; ".join(failed) if failed else "Format, lint and types pass")
    return 1 if failed else 0


def bench(arguments: list[str]) -> int:
    """Run the benchmarks and print one table; --postgres, --stack, --peers: others."""
    command = [str(ready_python(ROOT, TO_DEVELOP, say)), "-m", "bench", *arguments]
    return subprocess.call(command, cwd=ROOT, env=without_postgres())


def screenshots(_: Namespace) -> int:
    """Take the screenshots in docs/screenshots from a temporary server."""
    python = ready_python(ROOT, TO_DEVELOP, say)
    with _throw_away_server() as place:
        say("This takes about two minutes, to fill the charts with data")
        command = [str(python), "-m", "devkit.screenshots", "docs/screenshots"]
        return subprocess.call(command, cwd=ROOT, env=place.environment())


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


def migrate(arguments: list[str]) -> int:
    """Bring the database to the declarations of the application, also where a change may lose data."""
    return _become(to_run(), ["migrate", *arguments])


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
    """Manage API keys.

    They are in the key file of the server that dev.py starts.
    """
    settings = replace(from_environment(), data_dir=place_from_environment().data_dir)
    if settings.api_keys_file:  # the server runs in the project's folder
        settings = replace(settings, api_keys_file=str(ROOT / settings.api_keys_file))
    keys.act(options, settings)


def _become(requirements: str, program: list[str]) -> int:
    place = place_from_environment()
    return serve.become(place, ready_python(ROOT, requirements, say), ["-m", "afterwrite", *program])


def _checked_python(place: Place) -> Path:
    """Return the Python to serve with; raise CommandError, before any change, if a server must not start here."""
    python = ready_python(ROOT, to_run(), say)
    serve.check(place, python)
    return python


def _load_and_start(place: Place, python: Path, before: Running | None = None) -> None:
    background_server.require_free_port(place)
    serve.load(place, python)
    _start(place, python, before)


def _start(place: Place, python: Path, before: Running | None) -> None:
    server = background_server.start(place, python)
    if warning := warning_of(from_environment()):
        say(warning)
    say(f"Started: {place.url} (pid {server.pid}), data in {place.data_place}")
    if before and (lost := background_server.lost_settings(before)):
        say(f"Started without {', '.join(lost)}, which it had before: put permanent settings in .env")


def _stop(place: Place, server: Running) -> None:
    say(f"Stopping the server (pid {server.pid})")
    say(f"Stopped after {background_server.stop(place, server):.1f} s")


def _runs_already(server: Running, place: Place) -> str:
    where = "background" if server.in_background else "foreground"
    url = background_server.place_of(server, place).url
    return (
        f"A server is already running: {url} (pid {server.pid}, in the {where}). "
        "Apply changed settings with `dev.py restart`"
    )


def _place_of_running_server(place: Place) -> Place:
    server = background_server.running(place)
    return background_server.place_of(server, place) if server else place


def _integration_test(arguments: list[str]) -> int:
    place = _place_of_running_server(place_from_environment())
    if health(place) is not None:
        return _run_integration_test(place, arguments)
    with _throw_away_server() as place:
        return _run_integration_test(place, arguments)


@contextmanager
def _throw_away_server() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="afterwrite-") as folder:
        place = temporary_place(Path(folder))
        _load_and_start(place, _checked_python(place))
        try:
            yield place
        finally:
            if server := background_server.running(place):
                _stop(place, server)


def _run_integration_test(place: Place, arguments: list[str]) -> int:
    command = [str(ready_python(ROOT, to_run(), say)), "integration_test.py"]
    command += ["--url", place.url, "--log-file", str(place.log_path), *arguments]
    return subprocess.call(command, cwd=ROOT, env=place.environment())


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise CommandError("cannot ask for confirmation without a terminal: add --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _has_display() -> bool:
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
