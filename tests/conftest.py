"""Gives the tests databases, processes on them, and the parts of a process."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from server_process import ServerProcess, WorkerProcess

if TYPE_CHECKING:
    from broker_house import OwnRabbitMQ, OwnRedis
    from databases import Database
    from in_process import Catalogue, MakeCatalogue
    from lent_databases import LentDatabases
    from many_processes import Fleet
    from stack_parts import Parts
    from task_house import MakeHouse

# A database of somebody who calls pytest is not for the tests, nor are the settings in a file.
os.environ["ENV_FILE"] = "off"
for name in ("DATABASE_URL", "DATABASE_DIRECT_URL", "RUN_WORKERS", "PROCESS_ENGINE"):
    os.environ.pop(name, None)

# Begun first, so that at the end no process works through one of them while the others have nothing left to do.
LONGEST = (
    "test_stack",
    "test_many_processes",
    "test_kill",
    "test_stop",
    "test_task_kill",
    "test_chaos",
    "test_library_kill",
    "test_generated_applications",
    "test_stuck",
    "test_many_connections",
    "test_stack_worker",
    "test_stack_consumer",
    "test_stack_notification",
    "test_console_forms",
    "test_console_everywhere",
    "test_console_tasks",
    "test_backlog",
    "test_moving",
    "test_write_model",
    "test_console_http",
    "test_console_records",
    "test_resource_rest",
    "test_start_refused",
    "test_dev",
    "test_console_products",
    "test_entry_worker",
    "test_init_db",
    "test_console_overview",
    "test_console_access",
    "test_stripe_kill",
    "test_task_database_away",
    "test_database_away",
    "test_access_open",
    "test_integration_script",
    "test_moving_steps",
    "test_compiled_differential",
)


# The two HTTP servers differ before any database: what has both runs under the second one on SQLite only.
TWICE = {"kind": "gunicorn", "database": "postgresql"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, and leave out what would be said twice."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items[:] = [item for item in items if not _is_said_twice(item)]
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def _is_said_twice(item: pytest.Item) -> bool:
    made_with = getattr(item, "callspec", None)  # the parameters of a test that has some
    return made_with is not None and TWICE.items() <= made_with.params.items()


DATABASES = ("sqlite", "postgresql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses a database on both, save what is marked ``one_database``."""
    if metafunc.definition.get_closest_marker("one_database") is None:
        for name in {"database", "module_database"}.intersection(metafunc.fixturenames):
            metafunc.parametrize(name, DATABASES, indirect=True)


@pytest.fixture(scope="session")
def lent_databases() -> Iterator["LentDatabases"]:
    """Databases of PostgreSQL; without one the test is skipped, save in CI."""
    from lent_databases import LentDatabases
    from postgres_server import require_postgres

    require_postgres()
    with LentDatabases() as lent:
        yield lent


@contextlib.contextmanager
def opened(request: pytest.FixtureRequest, folder: Path) -> Iterator["Database"]:
    """The database that the parameter of a fixture says."""
    from databases import EmbeddedDatabase

    if getattr(request, "param", "sqlite") == "sqlite":
        yield EmbeddedDatabase(folder)
        return
    lent = request.getfixturevalue("lent_databases")  # skips the test where there is no PostgreSQL
    from postgres_database import PostgresDatabase

    with lent.lend() as url:
        yield PostgresDatabase(folder, url)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator["Database"]:
    """An empty database of this test."""
    with opened(request, tmp_path / "data") as found:
        yield found


@pytest.fixture(scope="module")
def module_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Database"]:
    """An empty database that the tests of one file share."""
    with opened(request, tmp_path_factory.mktemp("module") / "data") as found:
        yield found


@pytest.fixture
def make_server(database: "Database") -> Iterator[Callable[..., ServerProcess]]:
    """Makes servers on the test's database; every one that still runs is killed at the end."""
    made: list[ServerProcess] = []

    def make(data_dir: Path | None = None, **environment: str) -> ServerProcess:
        place = database if data_dir is None else database.seen_from(data_dir)
        made.append(ServerProcess.on(place, **environment))
        return made[-1]

    yield make
    for server in made:
        server.kill()


@pytest.fixture
def make_worker(tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Makes processes of workers; every one that still runs is killed at the end."""
    made: list[WorkerProcess] = []

    def make(data_dir: Path | None = None, *arguments: str, **environment: str) -> WorkerProcess:
        folder = data_dir or tmp_path / f"worker{len(made)}"
        folder.mkdir(parents=True, exist_ok=True)
        made.append(WorkerProcess(folder, *arguments, **environment))
        return made[-1]

    yield make
    for worker in made:
        worker.kill()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator["Fleet"]:
    """Processes on a new database of PostgreSQL; without one the test is skipped, save in CI."""
    from many_processes import Fleet, new_database
    from postgres_server import require_postgres

    require_postgres()
    with new_database() as url:
        made = Fleet(tmp_path / "fleet", url)
        yield made
        made.kill_all()


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple["OwnRabbitMQ", "OwnRedis"]]:
    """A RabbitMQ and a Redis that the tests of one file share; where they are not installed the test is skipped."""
    from broker_house import OwnRabbitMQ, OwnRedis, require_own_servers

    require_own_servers()
    folder = tmp_path_factory.mktemp("servers")
    rabbitmq, redis = OwnRabbitMQ(folder / "rabbitmq"), OwnRedis(folder / "redis")
    try:
        rabbitmq.start()
        redis.start()
        yield rabbitmq, redis
    finally:
        rabbitmq.kill()
        redis.kill()


@pytest.fixture
def parts(tmp_path: Path, own_servers: tuple["OwnRabbitMQ", "OwnRedis"]) -> Iterator["Parts"]:
    """Services of the stack on queues and a new database of the test's own."""
    from postgres_server import require_postgres
    from stack_parts import new_parts

    require_postgres()
    with new_parts(tmp_path, own_servers) as found:
        yield found


@pytest.fixture
def server(make_server: Callable[..., ServerProcess]) -> ServerProcess:
    """A running server on an empty database."""
    return make_server().start()


@pytest.fixture
def make_house(database: "Database") -> Iterator["MakeHouse"]:
    """Makes task houses on one database, as processes of their own would be; all are stopped at the end."""
    from task_house import TaskHouse

    made: list[TaskHouse] = []

    def make(*workers: Any, **limits: Any) -> TaskHouse:
        made.append(TaskHouse(database, *workers, **limits))
        return made[-1]

    yield make
    for house in reversed(made):
        house.stop()


@pytest.fixture
def make_catalogue(database: "Database") -> Iterator["MakeCatalogue"]:
    """Opens the catalogue of the test's database; whatever still runs is stopped at the end."""
    from in_process import Catalogue

    made: list[Catalogue] = []

    def make(*limits: Any, held: bool = False) -> Catalogue:
        made.append(Catalogue(database, *limits, held=held))
        return made[-1]

    yield make
    for catalogue in reversed(made):
        catalogue.stop()


@pytest.fixture
def catalogue(make_catalogue: "MakeCatalogue") -> "Catalogue":
    """An empty catalogue with its queue running."""
    return make_catalogue()
