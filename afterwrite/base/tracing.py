"""Says which job a piece of work belongs to: its trace (W3C Trace Context) and its correlation id, for the log."""

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

HEADER = "traceparent"
# version, trace id, parent id, flags; a version to come may say more behind that.
# https://www.w3.org/TR/trace-context/#traceparent-header
_FORM = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[ -~]*)?"
)
_SAMPLED = "01"
_NOTHING: Mapping[str, str] = MappingProxyType({})
_job: ContextVar[Mapping[str, str]] = ContextVar("job", default=_NOTHING)
_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)


def new_trace() -> str:
    """A ``traceparent`` that begins a trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-{_SAMPLED}"


def read_trace(header: str | None) -> str | None:
    """The ``traceparent`` of a header, without what a later version says behind it; None if it is none."""
    found = _FORM.fullmatch(header or "")
    if found is None or (found[1] == "00" and found[5]):
        return None
    return f"00-{found[2]}-{found[3]}-{found[4]}"


def next_hop(traceparent: str) -> str:
    """The same trace with another parent id: what goes on to the next service."""
    version, trace_id, _, flags = traceparent.split("-")
    return f"{version}-{trace_id}-{secrets.token_hex(8)}-{flags}"


def trace_of_work() -> str:
    """The ``traceparent`` of what is worked on here and now; one that begins a trace if there is none."""
    return _traceparent.get() or new_trace()


@contextmanager
def working_on(correlation_id: str | None, traceparent: str | None) -> Iterator[None]:
    """Within it, and in what is begun within it, every log line names the job: ``correlation_id`` and ``trace_id``."""
    named = {"correlation_id": correlation_id, "trace_id": traceparent and traceparent.split("-")[1]}
    job = _job.set({name: value for name, value in named.items() if value})
    trace = _traceparent.set(traceparent)
    try:
        yield
    finally:
        _traceparent.reset(trace)
        _job.reset(job)


def job() -> Mapping[str, str]:
    """What log lines say of the job that is worked on here and now; empty if there is none."""
    return _job.get()
