"""Opens the real journal, queue and product database in the test's own process."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

from databases import make_task_database

from async_db import QueueLimits, WriteQueue
from background import BackgroundLoop
from database.ledger import Ledger
from database.products import Products
from database.sqlite.data_folder import open_data_folder
from database.sqlite.engine import open_reader
from database.sqlite.task_file import open_task_file
from database.sqlite.writer import CatalogueWriter
from database.sqlite.writes import EmbeddedWrites
from request_context import Context
from tasks.runtime import RuntimeLimits, TaskRuntime
from writes import Operation, Write, WriteRequest, request_write

WAIT_SECONDS = 30.0
LIMITS = QueueLimits(
    max_writes=10_000,
    max_bytes=1 << 26,
    batch_size=50,
    max_waiters=16,
    stop_seconds=WAIT_SECONDS,
    idempotency_seconds=3600,
)
TASK_LIMITS = RuntimeLimits(
    max_waiting=10_000,
    payload_max_bytes=1 << 18,
    lock_seconds=120,
    stop_seconds=WAIT_SECONDS,
    retention_seconds=3600,
    idempotency_seconds=3600,
    code_threads=4,
)
_EMPTY = dict.fromkeys(("description", "category", "image", "rating_rate", "rating_count"))


def create(title: str, price_minor: int = 100, **fields: Any) -> WriteRequest:
    """A checked create; fields are in stored form."""
    given = {"title": title, "price_minor": price_minor, **fields}
    return request_write(Operation.CREATE, None, {**_EMPTY, **given})


def update(product_id: int, **fields: Any) -> WriteRequest:
    """A checked update; fields are in stored form."""
    return request_write(Operation.UPDATE, product_id, fields)


def delete(product_id: int) -> WriteRequest:
    """A checked delete."""
    return request_write(Operation.DELETE, product_id, {})


class Catalogue:
    """What ``app.Service`` wires, over one folder, without HTTP; ``held`` opens it with its loop at rest."""

    def __init__(self, folder: Path, limits: QueueLimits = LIMITS, *, held: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.path = folder / "products.db"
        self.background = BackgroundLoop()
        self._gate: threading.Event | None = None
        self.journal = open_data_folder(self.path, folder / "journal.db")
        self.engine = open_reader(self.path, 8)
        try:
            self.products = Products(self.engine)
            self.ledger = Ledger(self.engine)
            self.writer = CatalogueWriter(self.path)
            self.store = EmbeddedWrites(
                self.journal, self.ledger, self.writer, limits.of_store, self.products.last_id()
            )
            self.queue = WriteQueue(self.store, self.background, limits)
        except BaseException:
            self.engine.dispose()
            self.journal.close()
            raise
        make_task_database(folder / "tasks.db")
        self.tasks = TaskRuntime(
            open_task_file(folder / "tasks.db", "full", 4), [], self.background, TASK_LIMITS
        )
        self.background.start()
        if held:
            self.hold()
        self.queue.start()

    @property
    def context(self) -> Context:
        """What a resolver works with."""
        return Context(
            self.products,
            self.queue,
            self.tasks.queue,
            time.monotonic() + WAIT_SECONDS,
            lambda: "http://shop.test",
        )

    def hold(self) -> None:
        """Let the background loop stand still: what is accepted now waits in the journal."""
        if self._gate is None:
            self._gate = threading.Event()
            reached = threading.Event()
            gate = self._gate

            def stand_still() -> None:
                reached.set()
                gate.wait()

            self.background.loop.call_soon_threadsafe(stand_still)
            assert reached.wait(WAIT_SECONDS)

    def release(self) -> None:
        """Let the background loop go on."""
        if self._gate is not None:
            self._gate.set()
            self._gate = None

    def settle(self) -> None:
        """Return when the drain has nothing left to do and the loop runs freely."""
        self.release()
        self.background.submit(self._at_rest()).result(WAIT_SECONDS)

    async def _at_rest(self) -> None:
        while not self.queue._idle or self.store.depth:
            await asyncio.sleep(0)  # a turn of the loop: the drain takes it

    def follow_index(self, limit: int) -> int:
        """Let the search index follow by ``limit`` products; only while the drain is at rest."""
        return self.background.submit(self.writer.index_some(limit)).result(WAIT_SECONDS)

    def write(self, *requests: WriteRequest) -> list[Write]:
        """Accept the requests in one commit and wait until they are settled."""
        accepted = self.queue.accept(requests)
        assert self.queue.wait(accepted[-1].id, WAIT_SECONDS, counted=False) is not None
        return self.ledger.find_range(accepted[0].id, len(accepted))

    def stop(self) -> None:
        """Drain and let go of everything."""
        self.release()
        self.queue.stop()
        self.background.stop()
        self.tasks.close()
        self.journal.close()
        self.engine.dispose()
