"""Small charts as SVG paths."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 300, 60
_BAR = 2.5
_TOP = 4  # so that the line at the maximum is not cut off


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: its name and unit, the last known value, the maximum, and the SVG paths of line and area."""

    name: str
    unit: str
    last: float | None
    greatest: float
    line: str
    area: str


def chart(name: str, unit: str, values: Sequence[float | None]) -> Chart:
    """The chart of values at equal intervals, the last one now; None leaves a gap."""
    known = [value for value in values if value is not None]
    greatest = max(known, default=0)
    runs = _runs(values, greatest or 1)
    return Chart(
        name,
        unit,
        known[-1] if known else None,
        greatest,
        " ".join(_line(run) for run in runs),
        " ".join(_area(run) for run in runs),
    )


def _runs(values: Sequence[float | None], greatest: float) -> list[list[tuple[float, float]]]:
    """The points of the chart, split where values are missing."""
    step = WIDTH / max(1, len(values) - 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            if runs[-1]:
                runs.append([])
            continue
        height = (HEIGHT - _TOP) * value / greatest
        runs[-1].append((round(number * step, 1), round(HEIGHT - height, 1)))
    return [run for run in runs if run]


def _line(run: Sequence[tuple[float, float]]) -> str:
    return f"M{run[0][0]} {run[0][1]}" + "".join(f"L{x} {y}" for x, y in _wide_enough(run))


def _area(run: Sequence[tuple[float, float]]) -> str:
    points = _wide_enough(run)
    return f"M{points[0][0]} {HEIGHT}" + "".join(f"L{x} {y}" for x, y in points) + f"L{points[-1][0]} {HEIGHT}Z"


def _wide_enough(run: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Widens a single value between two gaps to a bar, because a point would be invisible."""
    if len(run) > 1:
        return run
    [(x, y)] = run
    return [(max(0.0, x - _BAR / 2), y), (min(float(WIDTH), x + _BAR / 2), y)]
