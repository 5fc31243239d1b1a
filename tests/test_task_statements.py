"""The statements of the task store are understood by PostgreSQL too, as a real one says."""

import os
import re
import shutil
import subprocess

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from database.driver import DriverStatement
from tasks import statements

PSQL = ("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--host=127.0.0.1", "--dbname=postgres")


def postgresql_says(script: str) -> subprocess.CompletedProcess[str]:
    """What PostgreSQL has to say; the test is skipped where there is none, save in CI."""
    environment = os.environ | {"PGCONNECT_TIMEOUT": "5"}
    if shutil.which("psql") is None:
        missing = "psql is not installed"
    else:
        probe = subprocess.run([*PSQL, "--command=SELECT 1"], env=environment, capture_output=True, text=True)
        missing = probe.stderr if probe.returncode else ""
    if missing and os.environ.get("CI"):
        pytest.fail(f"CI has to have PostgreSQL: {missing}")
    if missing:
        pytest.skip(f"no PostgreSQL on this machine: {missing}")
    return subprocess.run(PSQL, env=environment, input=script, capture_output=True, text=True, check=False)


def test_every_statement_can_be_prepared_by_postgresql() -> None:
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    tables = [statements.tasks, statements.paused_types, statements.actions, statements.meta]
    script = [
        str(CreateTable(table).compile(dialect=dialect)).replace("CREATE TABLE", "CREATE TEMPORARY TABLE")
        for table in tables
    ]
    prepared = {name: found for name, found in vars(statements).items() if isinstance(found, DriverStatement)}
    assert {"INSERT", "CLAIM", "HELD", "SAVE", "RENEW", "EXPIRED", "PRUNE", "ADD_ACTION"} <= prepared.keys()
    for name, statement in prepared.items():
        text = str(statement._statement.compile(dialect=dialect))
        names = dict.fromkeys(re.findall(r"(?<!:):(\w+)", text))
        for number, value in enumerate(names, 1):
            text = re.sub(rf"(?<!:):{value}\b", f"${number}", text)
        script.append(f"PREPARE {name.lower()}_ AS {text}")
    said = postgresql_says(";\n".join(script) + ";\n")
    assert (said.returncode, said.stderr) == (0, "")
