"""Makes the next version of the program: a copy whose products have one more optional field."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from server_process import ROOT, ServerProcess

if TYPE_CHECKING:
    from databases import Database

NEW_FIELD = "brand"
_LEFT_OUT = shutil.ignore_patterns(".*", "tests", "bench", "docs", "deploy", "data", "__pycache__")
_FIELD = f"""

_FIELDS["{NEW_FIELD}"] = ("{NEW_FIELD}", False, _FIELDS["category"][2])
_stored_if_usual = lambda values: None
"""


def next_server(copy: Path, database: "Database", **environment: str) -> ServerProcess:
    """``python app.py`` of the copy, not yet started."""
    server = ServerProcess.on(database, **environment)
    server.program = (str(copy / "app.py"),)
    return server


def make_next_version(folder: Path) -> Path:
    """Copy the program into a new folder and add an optional text to its products, in code and in both databases."""
    shutil.copytree(ROOT, folder, ignore=_LEFT_OUT)
    rules, storage = folder / "afterwrite" / "resources" / "product.py", folder / "afterwrite" / "storage"
    _insert(rules, "    rating_count: int | None\n", f"    {NEW_FIELD}: str | None\n")
    with rules.open("a", encoding="utf-8") as file:
        file.write(_FIELD)
    sqlite, postgres = storage / "sqlite" / "sql", storage / "postgres" / "sql"
    _add_column(sqlite, "products_", "products")
    _add_column(postgres, "", "afterwrite.products")
    return folder


def _insert(path: Path, before: str, line: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{path.name} has another form now: say here where its fields are"
    path.write_text(text.replace(before, before + line), encoding="utf-8")


def _add_column(migrations: Path, prefix: str, table: str) -> None:
    number = len(list(migrations.glob(f"{prefix}[0-9]*.sql"))) + 1
    statement = f"ALTER TABLE {table} ADD COLUMN {NEW_FIELD} text;\n"
    (migrations / f"{prefix}{number:04}.sql").write_text(statement, encoding="utf-8")
