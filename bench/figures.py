"""What is measured of one server over the rounds of a comparison."""

from collections.abc import Callable
from dataclasses import dataclass, field

from bench.load import Result
from bench.table import median, percentile, whole

CREATE, FEW, MANY = "createProduct", 16, 64


@dataclass(frozen=True)
class Step:
    """One load of each round: a workload by name, and its number of clients."""

    workload: str
    clients: int


@dataclass(frozen=True)
class Measured:
    """One load and the processor time of all processes of the server, until it was idle again."""

    result: Result
    cpu_seconds: float

    def rate(self) -> float:
        """Return good answers per second."""
        return self.result.per_second

    def cpu_us(self) -> float:
        """Return the microseconds of user and system time per answer."""
        return self.cpu_seconds / self.result.answers * 1e6

    def p50_ms(self) -> float:
        """Return the median latency."""
        return self.result.percentile_ms(50)

    def p99_ms(self) -> float:
        """Return the 99th percentile of the latency."""
        return self.result.percentile_ms(99)

    def tail(self) -> float:
        """Return p99 in multiples of p50."""
        return self.p99_ms() / self.p50_ms()


Figure = Callable[[Measured], float]


@dataclass(frozen=True)
class Lost:
    """The number of acknowledged creates that are not stored."""

    lost: int = 0
    acknowledged: int = 0

    def __add__(self, other: "Lost") -> "Lost":
        return Lost(self.lost + other.lost, self.acknowledged + other.acknowledged)

    def __str__(self) -> str:
        return f"{whole(self.lost)} of {whole(self.acknowledged)} ({self.lost / self.acknowledged:.0%})"


@dataclass
class Figures:
    """The measurements of one server by step, in the order of the rounds, and what it lost."""

    measured: dict[Step, list[Measured]] = field(default_factory=dict)
    delays_ms: list[list[float]] = field(default_factory=list)  # from accepted to applied, by round
    started_bytes: list[float] = field(default_factory=list)  # resident memory after the start, by round
    loaded_bytes: list[float] = field(default_factory=list)  # and after the load
    lost: Lost = Lost()
    lost_at_stop: Lost = Lost()
    lost_at_kill: Lost = Lost()

    def add(self, step: Step, measured: Measured) -> None:
        """Add the measurement of one round."""
        self.measured.setdefault(step, []).append(measured)

    def each(self, step: Step, figure: Figure) -> list[float]:
        """Return the figure of every round."""
        return [figure(measured) for measured in self.measured[step]]

    def ratios(self, other: "Figures", step: Step, figure: Figure) -> list[float]:
        """Return the ratio of this server's figure to the other's, round by round: a busy moment slows both."""
        return [mine / theirs for mine, theirs in zip(self.each(step, figure), other.each(step, figure), strict=True)]

    def delay_ms(self, percent: float) -> list[float]:
        """Return this percentile of the delays of every round."""
        return [percentile(delays, percent) for delays in self.delays_ms]

    def generator_share(self) -> float:
        """Return the greatest median share of a core that the load generator took in a step."""
        steps = self.measured.values()
        return max(median(measured.result.generator_share for measured in some) for some in steps)
