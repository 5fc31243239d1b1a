"""The result table: one row per figure, with its comparison and its goal."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

HEADINGS = ("measured", "Afterwrite", "compared with", "ratio", "goal", "reached")


@dataclass(frozen=True)
class Row:
    """One line of the table, ready to print; `reached` is None without a goal."""

    measured: str
    ours: str
    beside: str = ""
    ratio: str = ""
    goal: str = ""
    reached: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the texts of the row in the order of HEADINGS."""
        verdict = {True: "yes", False: "NO", None: ""}[self.reached]
        return (self.measured, self.ours, self.beside, self.ratio, self.goal, verdict)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text under HEADINGS."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join(text.rstrip() for text in (texts[0], rule, *texts[1:]))


def median(values: Iterable[float]) -> float:
    """Return the median, over the rounds of a figure."""
    return statistics.median(values)


def percentile(values: Iterable[float], percent: float) -> float:
    """Return this percentile of the values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def spread(values: Sequence[float], form: Callable[[float], str]) -> str:
    """Format the median of the rounds and, if there are several, the least and the greatest: 12 (11..14)."""
    middle = form(median(values))
    return middle if len(values) == 1 else f"{middle} ({form(min(values))}..{form(max(values))})"


def whole(value: float) -> str:
    """Format a rate: 12,345."""
    return f"{value:,.0f}"


def ms(value: float) -> str:
    """Format milliseconds with about three significant digits."""
    return f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms"


def times(ratio: float) -> str:
    """Format a ratio: 4.2 x."""
    return f"{ratio:.1f} x"


def us(value: float) -> str:
    """Format microseconds: 1,234 us."""
    return f"{value:,.0f} us"


def percents(value: float) -> str:
    """Format a share: 45 %."""
    return f"{value * 100:.0f} %"


def megabytes(value: float) -> str:
    """Format bytes: 123 MB."""
    return f"{value / 1e6:,.0f} MB"
