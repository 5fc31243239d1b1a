"""Template filters that format times, numbers and JSON as text that is safe in HTML."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import url_for
from markupsafe import Markup

from afterwrite.base.counts import counted
from afterwrite.base.times import from_microseconds
from afterwrite.resources.names import snake_case
from afterwrite.resources.write import Write

NOTHING = "\N{EN DASH}"
"""What stands for no value."""
_CUT = "\n… cut off here: the API has all of it"
_SHOWN_CHARACTERS = 20_000
_SHORT_CHARACTERS = 2_000
_FEW_TYPES = 2
_encoder = json.JSONEncoder(indent=2, ensure_ascii=False, default=str)
_TONES = {
    "APPLIED": "good",
    "COMPLETED": "good",
    "ok": "good",
    "FAILED": "bad",
    "degraded": "bad",
    "full": "bad",
    "retrying": "bad",
    "valid": "good",
    "CANCELLED": "faint",
    "idle": "faint",
    "paused": "warn",
    "simulated": "warn",
    "away": "bad",
    # Airflow's states of runs and tasks
    "success": "good",
    "failed": "bad",
    "upstream_failed": "bad",
    "up_for_retry": "warn",
    "skipped": "faint",
    "removed": "faint",
    "waiting": "faint",
}


def moment(value: datetime | int | None) -> Markup | str:
    """A time (or Unix microseconds): exact in the HTML; a script makes it relative, exact on hover."""
    if value is None:
        return NOTHING
    at = from_microseconds(value) if isinstance(value, int) else value
    exact = at.strftime("%Y-%m-%d %H:%M:%S") + f".{at.microsecond // 1000:03d} UTC"
    # The script changes its content, which a morph of the page must keep.
    return Markup('<time datetime="{}" title="{}" hx-morph-skip-children>{}</time>').format(
        at.isoformat(), exact, exact
    )


def write_title(write: Write) -> str:
    """What a write does to which record: Create product 1."""
    act, noun = write.operation.replace("_", " ").capitalize(), snake_case(write.resource).replace("_", " ")
    return f"{act} {noun} {write.record_id}"


def count(value: float | None) -> str:
    """A number with separators; a fraction below 1,000 has one decimal."""
    if value is None:
        return NOTHING
    return f"{value:,.1f}" if value != int(value) and value < 1_000 else f"{value:,.0f}"


def milliseconds(value: float | None) -> str:
    """A duration in a readable unit."""
    if value is None:
        return NOTHING
    if value < 1_000:
        return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"
    return f"{value / 1_000:.1f} s" if value < 120_000 else f"{value / 60_000:.0f} min"


def size(value: int) -> str:
    """A number of bytes in a readable unit."""
    return f"{value / (1 << 20):,.0f} MB" if value >= 1 << 20 else f"{value / (1 << 10):,.0f} kB"


def moment_text(value: Any) -> Markup | str:
    """An ISO 8601 time in a worker's result; any other value unchanged."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return shortened(str(value))
    return moment(at if at.tzinfo else at.replace(tzinfo=UTC))


def pretty_json(value: Any) -> str:
    """Indented JSON, truncated so that the page stays small."""
    parts: list[str] = []
    length = 0
    for part in _encoder.iterencode(value):
        parts.append(part)
        length += len(part)
        if length > _SHOWN_CHARACTERS:
            return "".join(parts)[:_SHOWN_CHARACTERS] + _CUT
    return "".join(parts)


def shortened(text: str) -> str:
    """A text, truncated if it is long."""
    return text if len(text) <= _SHORT_CHARACTERS else text[:_SHORT_CHARACTERS] + _CUT


def process_url(correlation_id: str | None) -> str | None:
    """The URL of a job's page; None for a correlation id that no URL can hold: browsers resolve dot segments."""
    steps = (correlation_id or "").split("/")
    if {"", ".", ".."} & set(steps) or correlation_id == "new":
        return None
    return url_for("console.process", correlation_id=correlation_id)


def pairs(values: Iterable[str]) -> list[tuple[str, str]]:
    """Options of a select whose labels are their values."""
    return [(value, value) for value in values]


def badge(status: str) -> Markup:
    """A status as a coloured badge."""
    return Markup('<span class="badge {}">{}</span>').format(_TONES.get(status, "busy"), status)


def doing(said: Mapping[str, Any]) -> str:
    """The activity of a process, from its heartbeat."""
    parts = ["applies writes"] if said.get("drains") else []
    running = [f"{count} {name}" for name, count in dict(said.get("tasks") or {}).items()]
    if running:
        parts.append(f"runs {', '.join(running)}")
    elif types := said.get("types"):
        few = len(types) <= _FEW_TYPES
        parts.append(f"waits for {', '.join(types)}" if few else f"waits for tasks of {len(types)} types")
    elif (requests := said.get("requests")) is not None:
        parts.append(f"begins {counted(requests, 'run')}" if requests else "waits for requests")
    return ", ".join(parts) or NOTHING


FILTERS: Sequence[Callable[..., Any]] = (
    moment,
    write_title,
    count,
    milliseconds,
    pretty_json,
    moment_text,
    shortened,
    size,
    process_url,
    badge,
    doing,
)
"""By their own names in the templates."""
