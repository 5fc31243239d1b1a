"""Compares Afterwrite with other GraphQL servers for Python, on the same schema and data."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.compare import AT_FEW, our_contender, plain_catalogue
from bench.compare_rows import TITLES
from bench.figures import CREATE, FEW, Figure, Figures, Measured, Step
from bench.peers.servers import PEERS, Peer
from bench.plan import Plan
from bench.rounds import Contender, kill_under_load, run_round, wait_until_idle
from bench.table import Row, median, megabytes, ms, spread, times, us, whole
from bench.workloads import FIELDS

BETTER_TIMES = 5
DOCUMENTS = (
    "{ product(productId: 4711) { %s } }",
    "{ product(productId: 999999) { %s } }",
    "{ allProducts(first: 10, skip: 90) { %s } }",
)
CREATES = (Step(CREATE, FEW),)


def compare_peers(plan: Plan) -> list[Row]:
    """Run the rounds, kill each server once in every round, and return the rows.

    Every server is one process, and every answered create is on disk. The peers are measured with two processes as
    well, and with creates that a power cut may lose (`synchronous=NORMAL`).
    """
    for peer in PEERS:
        plan.say(f"environment of {peer.name}")
        peer.install()
    home = plain_catalogue(plan.new_folder())

    def contender(
        peer: Peer, workers: int = 1, synchronous: str = "FULL", steps: tuple[Step, ...] = AT_FEW
    ) -> Contender:
        return Contender(peer.name, partial(peer.start, workers, synchronous), home, steps, wait_until_idle)

    ours = our_contender(plan, AT_FEW)
    peers = [contender(peer) for peer in PEERS]
    _check_same_answers(plan, ours, peers)
    doubled = [contender(peer, workers=2) for peer in PEERS]
    relaxed = [contender(peer, synchronous="NORMAL", steps=CREATES) for peer in PEERS]
    for number in range(plan.rounds):
        run_round(plan, number, [ours, *peers, *doubled, *relaxed])
        for one in (ours, *peers):
            kill_under_load(plan, one)
    return PeerRows(*(_by_name(some) for some in ([ours], peers, doubled, relaxed))).rows()


def _check_same_answers(plan: Plan, ours: Contender, peers: list[Contender]) -> None:
    """Raise RuntimeError if a peer answers with other data: figures of another schema would not compare."""
    wanted = _answers(plan, ours)
    for peer in peers:
        if (found := _answers(plan, peer)) != wanted:
            raise RuntimeError(f"{peer.name} answers {found} instead of {wanted}")


def _answers(plan: Plan, contender: Contender) -> list[dict[str, Any]]:
    with contender.start(plan.copy_of(contender.home)) as server:
        return [server.ask(document % FIELDS) for document in DOCUMENTS]


def _by_name(contenders: list[Contender]) -> dict[str, Figures]:
    return {contender.name: contender.figures for contender in contenders}


@dataclass(frozen=True)
class PeerRows:
    """The figures by name: of Afterwrite alone, of the peers, and of the peers under other settings."""

    ours: dict[str, Figures]
    peers: dict[str, Figures]
    doubled: dict[str, Figures]
    relaxed: dict[str, Figures]

    def rows(self) -> list[Row]:
        """Return a block for each workload, then what was lost, and memory."""
        rows = [row for workload in TITLES for row in self._workload(Step(workload, FEW))]
        rows += [self._aside("  creates that a power cut may lose", self.relaxed, CREATES[0]), self._lost()]
        rows.append(self._memory("resident memory after start", lambda figures: figures.started_bytes))
        rows.append(self._memory("  after load", lambda figures: figures.loaded_bytes))
        return rows

    @property
    def _own(self) -> Figures:
        (own,) = self.ours.values()
        return own

    def _workload(self, step: Step) -> list[Row]:
        return [
            self._ratio(TITLES[step.workload], step, Measured.rate, whole, more_is_better=True),
            self._ratio("  p50", step, Measured.p50_ms, ms),
            self._ratio("  p99", step, Measured.p99_ms, ms),
            self._aside("  peers with two processes, per second", self.doubled, step),
            self._cpu(step),
        ]

    def _ratio(
        self, title: str, step: Step, figure: Figure, form: Callable[[float], str], *, more_is_better: bool = False
    ) -> Row:
        """The ratio to the peer that is best at this figure, as the median of the rounds' ratios."""
        pick = max if more_is_better else min
        best = pick(self.peers, key=lambda name: median(self.peers[name].each(step, figure)))
        ratios = self._own.ratios(self.peers[best], step, figure)
        ratio = median(ratios if more_is_better else (1 / value for value in ratios))
        beside = self._each(lambda figures: spread(figures.each(step, figure), form))
        own = spread(self._own.each(step, figure), form)
        return Row(title, own, beside, f"{times(ratio)} {best}", f">= {BETTER_TIMES} x", ratio >= BETTER_TIMES)

    def _cpu(self, step: Step) -> Row:
        beside = self._each(lambda figures: spread(figures.each(step, Measured.cpu_us), us))
        return Row("  CPU per request", spread(self._own.each(step, Measured.cpu_us), us), beside)

    def _aside(self, title: str, others: dict[str, Figures], step: Step) -> Row:
        return Row(title, "", _listed(others, lambda figures: spread(figures.each(step, Measured.rate), whole)))

    def _lost(self) -> Row:
        beside = self._each(lambda figures: str(figures.lost_at_kill))
        lost = self._own.lost_at_kill
        return Row("  acknowledged and lost at SIGKILL", str(lost), beside, "", "0", not lost.lost)

    def _memory(self, title: str, of_rounds: Callable[[Figures], list[float]]) -> Row:
        def text(figures: Figures) -> str:
            return spread(of_rounds(figures), megabytes)

        return Row(title, text(self._own), self._each(text))

    def _each(self, text: Callable[[Figures], str]) -> str:
        return _listed(self.peers, text)


def _listed(all_figures: dict[str, Figures], text: Callable[[Figures], str]) -> str:
    return ", ".join(f"{name} {text(figures)}" for name, figures in all_figures.items())
