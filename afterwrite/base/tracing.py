"""Trace context (W3C) and correlation id of the current work, for the log and for outgoing requests."""

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

HEADER = "traceparent"
# version, trace id, parent id, flags; later versions may append fields.
# https://www.w3.org/TR/trace-context/#traceparent-header
_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[ -~]*)?")
_SAMPLED = "01"
_NOTHING: Mapping[str, str] = MappingProxyType({})
_job: ContextVar[Mapping[str, str]] = ContextVar("job", default=_NOTHING)
_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)


def new_trace() -> str:
    """The ``traceparent`` of a new trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-{_SAMPLED}"


def read_trace(header: str | None) -> str | None:
    """The ``traceparent`` of a header, without fields of later versions; None if it is invalid."""
    found = _FORM.fullmatch(header or "")
    if found is None or (found[1] == "00" and found[5]):
        return None
    return f"00-{found[2]}-{found[3]}-{found[4]}"


def next_hop(traceparent: str) -> str:
    """The same trace with a new parent id, for the next service."""
    version, trace_id, _, flags = traceparent.split("-")
    return f"{version}-{trace_id}-{secrets.token_hex(8)}-{flags}"


def trace_of_work() -> str:
    """The ``traceparent`` of the current work, or of a new trace."""
    return _traceparent.get() or new_trace()


@contextmanager
def working_on(correlation_id: str | None, traceparent: str | None) -> Iterator[None]:
    """Add ``correlation_id`` and ``trace_id`` to every log line of the block and of the tasks it starts."""
    named = {"correlation_id": correlation_id, "trace_id": traceparent and traceparent.split("-")[1]}
    job = _job.set({name: value for name, value in named.items() if value})
    trace = _traceparent.set(traceparent)
    try:
        yield
    finally:
        _traceparent.reset(trace)
        _job.reset(job)


def job() -> Mapping[str, str]:
    """The log fields of the current work; may be empty."""
    return _job.get()
