"""How values look on the pages: moments, prices, figures, JSON; each returns text that is safe in HTML."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

_NOTHING = "\N{EN DASH}"
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
}


def moment(value: datetime | int | None) -> Markup | str:
    """A time (or microseconds since 1970): exact in the page; the script shows it relative, exact on hover."""
    if value is None:
        return _NOTHING
    at = datetime.fromtimestamp(value / 1_000_000, UTC) if isinstance(value, int) else value
    exact = at.strftime("%Y-%m-%d %H:%M:%S") + f".{at.microsecond // 1000:03d} UTC"
    # The script writes into it, so a morph that brings the same page again leaves that alone.
    return Markup('<time datetime="{}" title="{}" hx-morph-skip-children>{}</time>').format(
        at.isoformat(), exact, exact
    )


def price(minor: int) -> str:
    """Minor units as an amount: 239999 is 2,399.99."""
    return f"{minor / 100:,.2f}"


def count(value: float | None) -> str:
    """A number with separators; a fraction keeps one decimal while it is small."""
    if value is None:
        return _NOTHING
    return f"{value:,.1f}" if value != int(value) and value < 1_000 else f"{value:,.0f}"


def milliseconds(value: float | None) -> str:
    """A duration in the unit in which it is read best."""
    if value is None:
        return _NOTHING
    if value < 1_000:
        return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"
    return f"{value / 1_000:.1f} s" if value < 120_000 else f"{value / 60_000:.0f} min"


def pretty_json(value: Any) -> str:
    """A JSON value over several lines."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def badge(status: str) -> Markup:
    """A status in its colour; the text says it too."""
    return Markup('<span class="badge {}">{}</span>').format(_TONES.get(status, "busy"), status)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "moment": moment,
    "price": price,
    "count": count,
    "milliseconds": milliseconds,
    "pretty_json": pretty_json,
    "badge": badge,
}
