"""Makes an embedded installation with the real code and no server."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from databases import LIMITS
from declared import PRODUCT, RESOURCES
from in_process import create, update

from afterwrite.base.settings import Settings, from_environment
from afterwrite.resources.write import Write, WriteRequest, size_bytes
from afterwrite.storage.ledger import Ledger
from afterwrite.storage.records import records_of
from afterwrite.storage.sqlite.bulk import EmbeddedLoader
from afterwrite.storage.sqlite.data_folder import open_with_tasks
from afterwrite.storage.sqlite.engine import open_reader
from afterwrite.storage.sqlite.write_store import EmbeddedWrites, last_record_ids_of
from afterwrite.storage.sqlite.writer import CatalogueWriter
from afterwrite.storage.write_store import Asked

_BATCH = 1_000


def settings_of(folder: Path, url: str = "") -> Settings:
    """The settings of an installation in a folder."""
    return from_environment({"DATA_DIR": str(folder), "DATABASE_URL": url})


class Installation:
    """The files in a folder, opened for each step and closed after it."""

    def __init__(self, folder: Path) -> None:
        self.settings = settings_of(folder)
        self.folder = folder
        open_with_tasks(self.settings, RESOURCES).close()

    def load(self, products: int) -> None:
        """Load so many products, which no write has made."""
        with closing(EmbeddedLoader(self.settings, RESOURCES, PRODUCT)) as loader, loader.load() as load:
            for first in range(0, products, _BATCH):
                numbers = range(first, min(first + _BATCH, products))
                load.insert([(f"Böck {n} 木", n, f"Of 1/{n}", f"c{n % 7}", None, n / 7 % 5, n) for n in numbers])

    def accept(self, *requests: WriteRequest, key: str | None = None, settle: int = 0) -> list[Write]:
        """Accept writes as one request; ``settle`` of what waits then, in batches of a thousand at the most.

        Settled ones stay in the journal, as after a crash.
        """
        with self._opened() as store:
            size = sum(size_bytes(request.arguments) for request in requests)
            [taken] = store.take([Asked(requests, "ann", key, "fingerprint", size)])
            assert isinstance(taken, list), taken
            asyncio.run(_settle(store, settle))
            return taken

    def settle(self, writes: int) -> None:
        """Let so many products be created and updated once, half each."""
        for first in range(0, writes, _BATCH):
            half = min(_BATCH, writes - first) // 2
            made = self.accept(*(create(f"Lamp {first + n}") for n in range(half)), settle=half)
            self.accept(*(update(write.record_id, price_minor=7) for write in made), settle=half)

    def add_tasks(self, count: int) -> None:
        """Add so many finished tasks, as rows."""
        columns = (
            "type, status, progress, payload_json, error_is_final, attempt, max_attempts, priority, run_at_us, ready, "
            "cancel_asked, renewals, claim, created_at_us, updated_at_us, finished_at_us, search_text"
        )
        rows = [
            ("entry", "COMPLETED", 100, "{}", 0, 1, 3, 0, n, 0, 0, 0, 1, n, n, n, f"entry {n}") for n in range(count)
        ]
        with closing(sqlite3.connect(self.settings.tasks_path)) as connection, connection:
            connection.executemany(f"INSERT INTO tasks ({columns}) VALUES ({', '.join('?' * 17)})", rows)

    def rows(self, file: str, statement: str) -> list[Any]:
        """What a statement finds in a file."""
        with closing(sqlite3.connect(self.folder / f"{file}.db")) as connection:
            return connection.execute(statement).fetchall()

    @contextmanager
    def _opened(self) -> Iterator[EmbeddedWrites]:
        with closing(open_with_tasks(self.settings, RESOURCES)) as journal:
            engine = open_reader(self.settings.products_path, 2)
            ledger = Ledger(engine)
            last_ids = last_record_ids_of(journal, ledger, records_of(engine, RESOURCES))
            writer = CatalogueWriter(self.settings.products_path, RESOURCES)
            try:
                yield EmbeddedWrites(journal, ledger, writer, LIMITS, last_ids)
            finally:
                asyncio.run(writer.close())
                engine.dispose()


async def _settle(store: EmbeddedWrites, count: int) -> None:
    while count > 0:
        settled = await store.settle_next(min(count, _BATCH))
        assert settled is not None
        count -= len(settled.writes)
    await store._writer.close()
