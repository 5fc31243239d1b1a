"""The last webhooks that the built-in receiver got; each insert prunes older ones in the same transaction."""

from typing import NamedTuple

from sqlalchemy import Engine, MetaData, Table, bindparam, delete, func, insert, select

from afterwrite.storage.columns import columns_of
from afterwrite.storage.commits import Commits
from afterwrite.storage.driver import DriverConnection, DriverStatement

KEPT = 100


class Received(NamedTuple):
    """A delivery attempt; its fields are the columns.

    ``received_at_us`` is in microseconds, ``timestamp`` (from the sender) in seconds since 1970 in UTC. ``verdict`` is
    the text of a ``webhooks.signing.Verdict``. ``id`` is 0 until it is stored.
    """

    id: int
    received_at_us: int
    event_id: str | None
    correlation_id: str | None
    timestamp: int | None
    verdict: str
    body: str


received_webhooks = Table("received_webhooks", MetaData(), *columns_of(Received))
_newest_ids = select(received_webhooks.c.id).order_by(received_webhooks.c.id.desc())
_newest = select(received_webhooks).order_by(received_webhooks.c.id.desc())
_KEEP = DriverStatement(
    insert(received_webhooks)
    .values({name: bindparam(name) for name in Received._fields if name != "id"})
    .returning(received_webhooks.c.id)
)
_PRUNE = DriverStatement(delete(received_webhooks).where(received_webhooks.c.id.not_in(_newest_ids.limit(KEPT))))


class ReceivedWebhooks:
    """The last ``KEPT`` webhooks, persisted. Thread-safe.

    Raises StoreError if the database cannot be used; then nothing was changed.
    """

    def __init__(self, commits: Commits, reader: Engine) -> None:
        self._commits, self._reader = commits, reader

    def keep(self, received: Received) -> Received:
        """Store it with a new id and delete all but the last ``KEPT``; on disk when this returns."""
        values = received._asdict()
        del values["id"]

        def work(connection: DriverConnection) -> int:
            [(key,)] = _KEEP.rows(connection, values)
            _PRUNE.send(connection)
            return int(key)

        return received._replace(id=self._commits.run(work))

    def last_id(self) -> int:
        """The newest id; 0 if there is none."""
        with self._reader.connect() as connection:
            return connection.execute(select(func.max(received_webhooks.c.id))).scalar() or 0

    def newest(self, limit: int = KEPT) -> list[Received]:
        """At most ``limit`` webhooks, newest first."""
        with self._reader.connect() as connection:
            return [Received._make(row) for row in connection.execute(_newest.limit(limit))]
