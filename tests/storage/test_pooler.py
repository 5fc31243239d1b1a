"""A pooler of transactions may stand between the processes and PostgreSQL."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from many_processes import Fleet, new_database, server_url
from postgres_server import require_postgres
from server_process import free_port, wait_until
from sqlalchemy import make_url
from task_calls import wait_ended


@pytest.fixture
def pooler() -> Iterator[int]:
    """The port of a PgBouncer in its mode ``transaction``, before the PostgreSQL of the tests."""
    require_postgres()
    if shutil.which("pgbouncer") is None:
        if os.environ.get("CI"):
            pytest.fail("CI has to have pgbouncer")
        pytest.skip("pgbouncer is not installed")
    folder, port, real = (Path(tempfile.mkdtemp(prefix="afterwrite-pooler-")), free_port(), make_url(server_url()))
    password = f" password={real.password}" if real.password else ""
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={real.host} port={real.port or 5432} user={real.username}{password}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        "auth_type = any\npool_mode = transaction\ndefault_pool_size = 10\n"
    )
    command = ["pgbouncer", str(folder / "pgbouncer.ini")]
    if sys.platform != "win32" and os.getuid() == 0:
        for path in (folder, folder / "pgbouncer.ini"):
            shutil.chown(path, "postgres")
        command = ["runuser", "-u", "postgres", "--", *command]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd="/")
    yield port
    process.terminate()
    process.wait(10)
    shutil.rmtree(folder)


@pytest.mark.parametrize("has_direct_connection", [True, False])
def test_everything_works_through_a_pooler_of_transactions(
    pooler: int, tmp_path: Path, has_direct_connection: bool
) -> None:
    with new_database() as direct:
        pooled = make_url(direct).set(host="127.0.0.1", port=pooler).render_as_string(hide_password=False)
        environment = {"DATABASE_DIRECT_URL": direct} if has_direct_connection else {}
        fleet = Fleet(tmp_path, pooled)
        try:
            server, other = (fleet.server(RUN_WORKERS="off", **environment).start() for _ in range(2))
            fleet.worker(**environment).start()
            for number in range(8):  # more than once, for a statement is prepared when it comes again
                document = f'mutation {{ createProductSync(title: "Lamp {number}", price: 1) {{ success }} }}'
                assert (server, other)[number % 2].query(document)["createProductSync"]["success"]
            entry = server.query('mutation { createEntry(title: "Hello") { id } }')["createEntry"]["id"]
            assert wait_ended(other, entry) == "COMPLETED"
            assert len(other.query('{ allProducts(search: "lamp") { id } }')["allProducts"]) == 8
            said = "listening for notifications" if has_direct_connection else "notifications do not come through"
            wait_until(lambda: said in server.log)
            assert "using no prepared statements" in server.log
        finally:
            fleet.kill_all()
