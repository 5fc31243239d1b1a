"""Draws small charts as SVG paths: the server knows the figures, the browser only shows them."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 300, 60
_TOP = 4  # so that the line at the greatest value is not cut off


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: its name, what its figures are, the last figure, the greatest one, and the paths to draw."""

    name: str
    unit: str
    last: float | None
    greatest: float
    line: str
    area: str


def chart(name: str, unit: str, values: Sequence[float | None]) -> Chart:
    """The chart of figures that are evenly spaced in time, the last one now; None leaves a gap."""
    known = [value for value in values if value is not None]
    greatest = max(known, default=0)
    runs = _runs(values, greatest or 1)
    return Chart(
        name,
        unit,
        values[-1] if values else None,
        greatest,
        " ".join(_line(run) for run in runs),
        " ".join(_area(run) for run in runs),
    )


def _runs(values: Sequence[float | None], greatest: float) -> list[list[tuple[float, float]]]:
    """The points of the chart, apart where figures are missing."""
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
    (x, y), *rest = run
    if not rest:
        return f"M{x - 0.5} {y}h1"  # one figure between two gaps can be seen too
    return f"M{x} {y}" + "".join(f"L{x} {y}" for x, y in rest)


def _area(run: Sequence[tuple[float, float]]) -> str:
    return f"M{run[0][0]} {HEIGHT}" + "".join(f"L{x} {y}" for x, y in run) + f"L{run[-1][0]} {HEIGHT}Z"
