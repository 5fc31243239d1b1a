"""Makes the next version of the program: a copy whose products have one more optional field."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from server_process import ROOT, ServerProcess

if TYPE_CHECKING:
    from databases import Database

NEW_FIELD = "brand"
_LEFT_OUT = shutil.ignore_patterns(".*", "tests", "bench", "docs", "deploy", "data", "__pycache__")
_LAST_FIELD = '    rating_count = Integer(minimum=0, aliases="rating.count")\n'
_FIELD = f"    {NEW_FIELD} = Text(max_length=100, search=True)\n"


def next_server(copy: Path, database: "Database", **environment: str) -> ServerProcess:
    """``python app.py`` of the copy, not yet started."""
    server = ServerProcess.on(database, **environment)
    server.program = (str(copy / "app.py"),)
    return server


def make_next_version(folder: Path) -> Path:
    """Copy the program into a new folder and declare one more optional text of its products, which searches match."""
    shutil.copytree(ROOT, folder, ignore=_LEFT_OUT)
    declaration = folder / "product_types.py"
    text = declaration.read_text(encoding="utf-8")
    assert text.count(_LAST_FIELD) == 1, "the declaration has another form now: say here where its fields end"
    declaration.write_text(text.replace(_LAST_FIELD, _LAST_FIELD + _FIELD), encoding="utf-8")
    return folder
