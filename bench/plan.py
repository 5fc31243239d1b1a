"""The parameters of a benchmark run: duration, rounds, sizes, folder."""

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """`seconds` of load per figure and round, the number of `rounds`, and a temporary folder.

    `search_products` is the size of the big catalogue for searches, `finished_tasks` that of the big task table;
    `before` names the commit to compare with, empty for none.
    """

    seconds: float
    rounds: int
    search_products: int
    finished_tasks: int
    folder: Path
    before: str = ""

    def new_folder(self) -> Path:
        """Return a new empty folder inside the run's folder."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def copy_of(self, home: Path) -> Path:
        """Return a fresh copy of a prepared data folder."""
        folder = self.new_folder()
        shutil.copytree(home, folder, dirs_exist_ok=True)
        return folder

    def say(self, text: str) -> None:
        """Report progress on standard error."""
        print(text, file=sys.stderr, flush=True)
