"""Time-ordered 63-bit ids: a millisecond timestamp and a counter."""

_COUNTER_BITS = 20  # 63 bits last until 2248


def first_id_of(microseconds: int) -> int:
    """The smallest id of this time (microseconds since 1970)."""
    return microseconds // 1000 << _COUNTER_BITS


def microseconds_of(given_id: int) -> int:
    """When an id was generated (microseconds since 1970, to the millisecond)."""
    return (given_id >> _COUNTER_BITS) * 1000


def next_id(last_id: int, microseconds: int) -> int:
    """The next id, greater than ``last_id`` even if the clock steps back."""
    return max(last_id + 1, first_id_of(microseconds))
