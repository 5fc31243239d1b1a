"""What a server does not import: each package costs memory and time at every start, and comes when it is first used."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from server_process import ROOT, ServerProcess, wait_until

MakeServer = Callable[..., ServerProcess]

pytestmark = pytest.mark.one_database("what is imported in the mode without PostgreSQL")

# Who declares resources needs nothing else.
SERVES = {
    "sqlalchemy",
    "flask",
    "werkzeug",
    "jinja2",
    "graphql",
    "graphene",
    "asyncio",
    "aiosqlite",
    "prometheus_client",
}
NOT_AT_START = {
    "httpx": "the first callback",
    "jsonschema": "the first task, or request to REST",
    "stripe": "STRIPE_SECRET_KEY",
    "alembic": "a changed declaration",
    "limits": "RATE_LIMIT",
    "flask_cors": "CORS_ORIGINS",
    "psycopg": "DATABASE_URL",
    "sqlalchemy.dialects.postgresql": "DATABASE_URL",
    "sqlalchemy.orm": "never",
    "aio_pika": "PROCESS_ENGINE=airflow",
    "redis": "PROCESS_ENGINE=airflow",
    "gunicorn": "SERVER=gunicorn",
}
_HIDING = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, path=None, target=None: None if name == {package!r} else find(name, path, target)
"""
_NAMES = "import sys; import json; print(json.dumps(sorted(sys.modules)))"


def test_declarations_are_imported_without_what_serves_them() -> None:
    assert _imported(f"import app; {_NAMES}") & (SERVES | set(NOT_AT_START)) == set()


def test_the_main_process_imports_nothing_that_serves(tmp_path: Path) -> None:
    script = f"""
from granian.server.mp import MPServer
def serve(*_arguments, **_options):
    {_NAMES}
MPServer.serve = serve
import app
app.application.run("app")
"""
    # asyncio is Granian's own.
    assert _imported(script, DATA_DIR=str(tmp_path)) & (SERVES - {"asyncio"} | set(NOT_AT_START)) == set()


def test_a_server_that_writes_and_reads_has_not_imported_what_it_does_not_use(tmp_path: Path) -> None:
    script = f"""
import app
client = app.wsgi().test_client()
document = 'mutation {{ createProductSync(title: "Lamp", price: 1) {{ success product {{ title }} }} }}'
assert client.post("/graphql", json={{"query": document}}).json["data"]["createProductSync"]["success"]
for path in ("/health", "/metrics", "/products"):
    assert client.get(path).status_code == 200, path
{_NAMES}
from afterwrite.server import lifetime
lifetime.stop()
"""
    found = _imported(script, DATA_DIR=str(tmp_path))
    assert found >= SERVES
    assert {name: use for name, use in NOT_AT_START.items() if name in found} == {}


def test_operations_let_the_start_import_what_the_loop_checks_their_tasks_with(tmp_path: Path) -> None:
    script = f"""
from afterwrite import Application, Integer, Resource, operation

class Stock(Resource):
    on_hand = Integer(required=True)

    @operation
    def empty(self):
        return self.replace(on_hand=0)

Application(resources=[Stock]).wsgi()
{_NAMES}
from afterwrite.server import lifetime
lifetime.stop()
"""
    assert _imported(script, DATA_DIR=str(tmp_path)) >= {"jsonschema", "httpx"}


def test_a_delivery_imports_the_http_client_beside_the_loop(tmp_path: Path) -> None:
    script = """
import asyncio, sys, threading
from afterwrite.tasks.workers.webhook_delivery import WebhookDeliveryWorker

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("httpx", "httpcore", "anyio"):
            importers.add(threading.current_thread() is threading.main_thread())

importers = set()
sys.meta_path.insert(0, Watch())
worker = WebhookDeliveryWorker("a secret", True)
async def deliver():
    http, again = await asyncio.gather(*(asyncio.to_thread(worker._opened) for _ in range(2)))
    assert http is again
    await worker.close()
asyncio.run(deliver())
print([*importers])
"""
    assert _output(script) == "[False]\n"


@pytest.mark.parametrize("server", ["granian", "gunicorn"])
@pytest.mark.parametrize("package", ["flask", "httpx", "jsonschema"])
def test_a_missing_package_is_named_at_the_start(tmp_path: Path, package: str, server: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(_HIDING.format(package=package), encoding="utf-8")
    given = {"PYTHONPATH": str(tmp_path), "DATA_DIR": str(tmp_path / "data"), "SERVER": server, "PORT": "0"}
    run = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=os.environ | given, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 1
    assert run.stderr == (
        f"app: this Python ({sys.executable}) does not have the package {package}: "
        "run `python3 dev.py up`, which uses an environment with all of them\n"
    )


def test_what_was_loaded_is_collected_no_more() -> None:
    script = """
import gc
from afterwrite.server.loading import load
load(lambda: gc.isenabled() and 1 / 0)
print(gc.isenabled(), gc.get_freeze_count() > 1000)
"""
    assert _output(script) == "True True\n"


@pytest.mark.skipif(sys.platform == "win32", reason="moves an open file")
def test_a_serving_process_that_cannot_start_again_is_tried_again(make_server: MakeServer) -> None:
    """At the first start a refusal is final; later its cause may pass."""
    server = make_server().start()
    products = server.data_dir / "products.db"
    products.rename(server.data_dir / "elsewhere")
    os.kill(server.worker(), signal.SIGKILL)
    wait_until(lambda: "ended with exit code 78: starting it again" in server.log)
    (server.data_dir / "elsewhere").rename(products)
    wait_until(server.ready)
    assert server.stop() == 0


def _imported(script: str, **environment: str) -> set[str]:
    names: Iterable[str] = json.loads(_output(script, **environment).splitlines()[-1])
    return set(names)


def _output(script: str, **environment: str) -> str:
    given = os.environ | {"LOG_STDERR": "off", "LOG_FILE": "off", "PORT": "0"} | environment
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=given, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    return run.stdout
