"""The PostgreSQL address from DATABASE_URL, printable without its password."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from afterwrite.base.settings import Settings, SettingsError

_DRIVERS = frozenset({"postgresql+psycopg", "postgresql", "postgres"})
# Detect a silently lost server within seconds.
_KEEPALIVE: dict[str, Any] = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


@dataclass(frozen=True, slots=True)
class Address:
    """A PostgreSQL database; its text omits the password."""

    url: URL

    def __str__(self) -> str:
        return self.url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)

    @property
    def conninfo(self) -> str:
        """The URL for libpq."""
        # SQLAlchemy does not escape spaces in names and passwords, which libpq rejects.
        return self.url.set(drivername="postgresql").render_as_string(hide_password=False).replace(" ", "%20")

    def options(self) -> dict[str, Any]:
        """Connection parameters that the URL does not set."""
        return {name: value for name, value in _KEEPALIVE.items() if name not in self.url.query}


def address_of(settings: Settings) -> Address:
    """The address of DATABASE_URL. Raises SettingsError."""
    return _address("DATABASE_URL", settings.database_url)


def direct_address_of(settings: Settings) -> Address:
    """The address that bypasses a pooler: DATABASE_DIRECT_URL, or else DATABASE_URL. Raises SettingsError."""
    if not settings.database_direct_url:
        return address_of(settings)
    return _address("DATABASE_DIRECT_URL", settings.database_direct_url)


def _address(name: str, text: str) -> Address:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:  # not quoted: the text may contain a password
        raise SettingsError(
            f"{name} is not a URL: give postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE"
        ) from error
    if url.drivername not in _DRIVERS:
        raise SettingsError(
            f"{name} begins with {url.drivername!r}: give postgresql+psycopg://…, or leave it empty for SQLite "
            "in DATA_DIR"
        )
    if not url.database:
        raise SettingsError(f"{name} names no database: add it at the end, as in …@HOST:PORT/afterwrite")
    return Address(url.set(drivername="postgresql+psycopg"))
