"""The rows of the comparison: rates, latencies and CPU time beside those of `hello`, the plain version and a commit."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.figures import CREATE, FEW, Figure, Figures, Measured, Step
from bench.table import Row, median, megabytes, ms, percents, spread, times, us, whole

TAIL_MOST = 4  # p99 of reads, in multiples of p50
CREATE_P99_MS, APPLIED_P50_MS = 10, 15
GENERATOR_MOST = 0.85  # above this share of a core the load generator may be what limits a rate
TITLES = {
    "product": "product(productId) per second",
    "allProducts": "allProducts(first: 10) per second",
    CREATE: "createProduct per second, on disk when answered",
}
OF_HELLO = {"product": 0.60, "allProducts": 0.45, CREATE: 0.40}
OF_PLAIN = {"product": 11, "allProducts": 11, CREATE: 8}


@dataclass(frozen=True)
class Compared:
    """The figures of every server; `before` has those of the commit `commit`, if one was given."""

    ours: Figures
    hello: Figures
    plain: Figures
    before: Figures | None
    commit: str

    def rows(self) -> list[Row]:
        """Return every row: a block for each workload, then what was lost."""
        rows = [row for workload in TITLES for row in self._workload(workload)]
        rows += [*self._applied(), self._lost(at_stop=False), self._lost(at_stop=True)]
        return [*rows, *self._memory(), self._generator()]

    def _workload(self, workload: str) -> list[Row]:
        step = Step(workload, FEW)
        latencies = [self._latency(one) for one in self.ours.measured if one.workload == workload]
        return [self._rate(step), self._share_of_hello(step), self._cpu(step), *self._progress(step), *latencies]

    def _rate(self, step: Step) -> Row:
        ratio, goal = median(self.ours.ratios(self.plain, step, Measured.rate)), OF_PLAIN[step.workload]
        rate, plain = (spread(one.each(step, Measured.rate), whole) for one in (self.ours, self.plain))
        return Row(TITLES[step.workload], rate, f"{plain} plain", times(ratio), f">= {goal} x", ratio >= goal)

    def _share_of_hello(self, step: Step) -> Row:
        shares, goal = self.ours.ratios(self.hello, step, Measured.rate), OF_HELLO[step.workload]
        hello = spread(self.hello.each(step, Measured.rate), whole)
        reached = median(shares) >= goal
        return Row("  of hello's rate", spread(shares, percents), f"{hello} hello", "", f">= {goal:.0%}", reached)

    def _cpu(self, step: Step) -> Row:
        ratio = median(self.ours.ratios(self.hello, step, Measured.cpu_us))
        cpu, hello, plain = (spread(one.each(step, Measured.cpu_us), us) for one in (self.ours, self.hello, self.plain))
        return Row("  CPU per request", cpu, f"{hello} hello, {plain} plain", f"{times(ratio)} hello")

    def _progress(self, step: Step) -> list[Row]:
        if self.before is None:
            return []
        return [
            self._beside(self.before, step, "  rate", Measured.rate, whole),
            self._beside(self.before, step, "  CPU per request", Measured.cpu_us, us),
        ]

    def _beside(self, before: Figures, step: Step, title: str, figure: Figure, form: Callable[[float], str]) -> Row:
        ratios = self.ours.ratios(before, step, figure)
        now, then = (spread(one.each(step, figure), form) for one in (self.ours, before))
        return Row(f"{title}, now and before", now, f"{then} {self.commit}", spread(ratios, "{:.2f} x".format))

    def _latency(self, step: Step) -> Row:
        p50, p99 = self.ours.each(step, Measured.p50_ms), self.ours.each(step, Measured.p99_ms)
        hello = [median(self.hello.each(step, figure)) for figure in (Measured.p50_ms, Measured.p99_ms)]
        tail = median(self.ours.each(step, Measured.tail))
        created = step.workload == CREATE
        goal = f"p99 < {CREATE_P99_MS} ms" if created else f"<= {TAIL_MOST} x"
        reached = median(p99) < CREATE_P99_MS if created else tail <= TAIL_MOST
        return Row(
            f"  p50, p99 with {step.clients} clients",
            f"{ms(median(p50))}, {spread(p99, ms)}",
            f"{ms(hello[0])}, {ms(hello[1])} hello",
            times(tail),
            goal,
            reached,
        )

    def _applied(self) -> list[Row]:
        p50, p99 = self.ours.delay_ms(50), self.ours.delay_ms(99)
        beside = f"{spread(self.before.delay_ms(50), ms)} {self.commit}" if self.before else ""
        reached = median(p50) < APPLIED_P50_MS
        title = "  from accepted to applied, under this load: p50"
        return [
            Row(title, spread(p50, ms), beside, goal=f"< {APPLIED_P50_MS} ms", reached=reached),
            Row("    its p99", spread(p99, ms)),
        ]

    def _lost(self, *, at_stop: bool) -> Row:
        ours, plain = (one.lost_at_stop if at_stop else one.lost for one in (self.ours, self.plain))
        title = "  the same, SIGTERM after the last answer" if at_stop else "  acknowledged but not stored"
        return Row(title, str(ours), f"{plain} plain", goal="0", reached=not ours.lost)

    def _memory(self) -> list[Row]:
        named = {"hello": self.hello, "plain": self.plain} | ({self.commit: self.before} if self.before else {})
        started = ", ".join(f"{spread(one.started_bytes, megabytes)} {name}" for name, one in named.items())
        loaded = ", ".join(f"{spread(one.loaded_bytes, megabytes)} {name}" for name, one in named.items())
        return [
            Row("resident memory after start", spread(self.ours.started_bytes, megabytes), started),
            Row("  after load", spread(self.ours.loaded_bytes, megabytes), loaded),
        ]

    def _generator(self) -> Row:
        busiest = max(figures.generator_share() for figures in (self.ours, self.hello, self.plain))
        goal = f"<= {GENERATOR_MOST:.0%}"
        return Row("load generator, share of a core", percents(busiest), "", "", goal, busiest <= GENERATOR_MOST)
