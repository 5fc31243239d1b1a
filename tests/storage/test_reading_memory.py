"""What the threads that read a database keep of it in memory."""

import subprocess
import sys
from pathlib import Path

import pytest
from server_process import ROOT

CONNECTIONS = 16
MEGABYTES_EACH = 2  # a page cache, and what belongs to a connection beside it
READ = f"""
import sqlite3, sys
from pathlib import Path
from afterwrite.storage.sqlite.engine import open_reader

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

path = Path(sys.argv[1])
with sqlite3.connect(path) as made:
    made.execute("CREATE TABLE rows (text TEXT)")
    made.executemany("INSERT INTO rows VALUES (?)", (("x" * 1_000,) for _ in range(8_000)))
made.close()
engine = open_reader(path, {CONNECTIONS})
held = []
before = resident()
for _ in range({CONNECTIONS}):
    held.append(engine.connect())
    assert held[-1].exec_driver_sql("SELECT sum(length(text)) FROM rows").scalar() == 8_000_000
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads what a process takes from /proc")
def test_a_connection_that_reads_keeps_little_of_a_database(tmp_path: Path) -> None:
    command = [sys.executable, "-c", READ, str(tmp_path / "rows.db")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < CONNECTIONS * MEGABYTES_EACH << 20
