"""Converts between microseconds since 1970, as times are stored, and datetimes."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_microseconds(microseconds: int) -> datetime:
    """Microseconds since 1970 as a time in UTC, exactly."""
    return _EPOCH + timedelta(microseconds=microseconds)


def to_microseconds(time: datetime) -> int:
    """A time with a time zone as microseconds since 1970."""
    return (time - _EPOCH) // timedelta(microseconds=1)
