"""Opens the real journal, queue and product database in the test's own process."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from databases import LIMITS, WAIT_SECONDS, Database, EmbeddedDatabase, OpenFiles
from declarations import Locker
from declared import PRODUCT, RESOURCES
from sqlalchemy import Engine

from afterwrite.base.background import BackgroundLoop
from afterwrite.base.limits import TaskLimits, WriteLimits
from afterwrite.resources.registry import Resources, compiled
from afterwrite.resources.write import Operation, Write, WriteFilter, WriteRequest, request_write
from afterwrite.service.context import Context
from afterwrite.storage.sqlite.journal import Journal
from afterwrite.tasks.feed import TaskFeed
from afterwrite.tasks.runtime import TaskRuntime
from afterwrite.writes.queue import WriteQueue

if TYPE_CHECKING:
    from afterwrite.storage.postgres.sharing import Sharing

TASK_LIMITS = TaskLimits(
    max_waiting=10_000,
    payload_max_bytes=1 << 18,
    lock_seconds=120,
    stop_seconds=WAIT_SECONDS,
    retention_seconds=3600,
    idempotency_seconds=3600,
    code_threads=4,
)
LOCKER = compiled(Locker)
_EMPTY = dict.fromkeys(("description", "category", "image", "rating_rate", "rating_count"))


def create(title: str, price_minor: int = 100, **fields: Any) -> WriteRequest:
    """A checked create; fields are in stored form."""
    given = {"title": title, "price_minor": price_minor, **fields}
    return request_write(PRODUCT, Operation.CREATE, None, {**_EMPTY, **given})


def update(product_id: int, **fields: Any) -> WriteRequest:
    """A checked update; fields are in stored form."""
    return request_write(PRODUCT, Operation.UPDATE, product_id, fields)


def delete(product_id: int) -> WriteRequest:
    """A checked delete."""
    return request_write(PRODUCT, Operation.DELETE, product_id, {})


def create_locker(code: str, content: int = 0) -> WriteRequest:
    """A checked create of a locker."""
    return request_write(LOCKER, Operation.CREATE, None, {"code": code, "content": content})


def put(locker_id: int, amount: int, if_version: int | None = None) -> WriteRequest:
    """A checked operation of a locker."""
    return request_write(LOCKER, "PUT", locker_id, {"amount": amount}, if_version=if_version)


def recode(locker_id: int, code: str) -> WriteRequest:
    """A checked update of a locker."""
    return request_write(LOCKER, Operation.UPDATE, locker_id, {"code": code})


def delete_locker(locker_id: int) -> WriteRequest:
    """A checked delete of a locker."""
    return request_write(LOCKER, Operation.DELETE, locker_id, {})


class Catalogue:
    """What ``service.Service`` wires, on one database, without HTTP; ``held`` opens it with its loop at rest."""

    def __init__(self, database: Database, limits: WriteLimits = LIMITS, *, held: bool = False) -> None:
        self.background = BackgroundLoop()
        self._gate: threading.Event | None = None
        self._stopped = False
        self.stores = stores = database.open_stores(limits)
        self.products, self.store, self.ledger = stores.records["Product"], stores.writes, stores.writes.ledger
        self.queue = WriteQueue(stores.writes, self.background, limits)
        name = "" if stores.sharing is None else stores.sharing.name
        self.tasks = TaskRuntime(stores.tasks, [], self.background, TASK_LIMITS, name=name)
        self.background.start()
        if held:
            self.hold()
        self.queue.start()
        self._sharing = None if stores.sharing is None else self._share(stores.sharing)

    def _share(self, sharing: "Sharing") -> "Future[None]":
        self.queue.share(sharing.bus)
        TaskFeed(sharing.bus, self.tasks, self.background).start()
        return self.background.submit(sharing.start())

    @property
    def context(self) -> Context:
        """What a resolver works with."""
        return Context(
            self.stores.records,
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
        while not self.queue._idle or self.store.standing().depth:
            await asyncio.sleep(0)  # a turn of the loop: the drain takes it

    def waiting(self) -> list[Write]:
        """Every write that is in the journal, the oldest first; in a file also one that it did not forget yet."""
        if isinstance(self.stores, OpenFiles):
            return self.stores.journal.after(0, 1_000_000)
        return self.store.newest(WriteFilter(), 2**63 - 1, 1_000_000)[::-1]

    @property
    def reader(self) -> Engine:
        """What reads its products."""
        return self.ledger._engine

    def follow_index(self, limit: int) -> int:
        """Let the search index follow by ``limit`` products, where it is behind; only while the drain is at rest.

        Returns by how many it did.
        """
        if not isinstance(self.stores, OpenFiles):
            return 0
        return self.background.submit(self.stores.writer.index_some(limit)).result(WAIT_SECONDS)

    def write(self, *requests: WriteRequest) -> list[Write]:
        """Accept the requests in one commit and wait until they are settled."""
        accepted = self.queue.accept(requests)
        settled = self.background.submit(self.queue.watch(accepted[-1].id, WAIT_SECONDS))
        assert settled.result(WAIT_SECONDS) is not None
        return self.ledger.find_range(accepted[0].id, len(accepted))

    def stop(self) -> None:
        """Drain and let go of everything; may be called twice."""
        if self._stopped:
            return
        self._stopped = True
        self.release()
        self.queue.stop()
        if self._sharing is not None and self.stores.sharing is not None:
            self._sharing.result(WAIT_SECONDS)
            self.background.submit(self.stores.sharing.stop()).result(WAIT_SECONDS)
        self.background.stop()
        self.stores.close()


class EmbeddedCatalogue(Catalogue):
    """The catalogue over the files of one folder, for tests that are about these."""

    stores: OpenFiles

    def __init__(
        self, folder: Path, limits: WriteLimits = LIMITS, *, held: bool = False, resources: Resources = RESOURCES
    ) -> None:
        self.folder, self.path = folder, folder / "products.db"
        super().__init__(EmbeddedDatabase(folder, resources), limits, held=held)

    @property
    def journal(self) -> Journal:
        """The journal that it owns."""
        return self.stores.journal

    @property
    def engine(self) -> Engine:
        """What reads its products."""
        return self.stores.engine


MakeCatalogue = Callable[..., Catalogue]
