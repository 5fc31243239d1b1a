"""Gives ids that grow with time: 63-bit numbers of a millisecond and a counter."""

_COUNTER_BITS = 20  # 63 bits last until 2248


def first_id_of(microseconds: int) -> int:
    """The smallest id that can be given at this time (microseconds since 1970)."""
    return microseconds // 1000 << _COUNTER_BITS


def microseconds_of(given_id: int) -> int:
    """When an id was given, to the millisecond (microseconds since 1970)."""
    return (given_id >> _COUNTER_BITS) * 1000


def next_id(last_id: int, microseconds: int) -> int:
    """An id greater than ``last_id``, also when the clock steps back."""
    return max(last_id + 1, first_id_of(microseconds))
