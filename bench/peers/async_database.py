"""The database of a peer on asyncio, which needs a package that the others do without."""

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bench.peers.database import WRITER, set_up, url_of


def async_engines() -> tuple[AsyncEngine, AsyncEngine]:
    """Return the engines for reads and for writes."""
    url = url_of("sqlite+aiosqlite")
    reads, writes = create_async_engine(url), create_async_engine(url, **WRITER)
    set_up(reads.sync_engine)
    set_up(writes.sync_engine)
    return reads, writes
