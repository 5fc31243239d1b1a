"""The load generator: keep-alive clients in a separate process, as cheap as Python allows.

`python -m bench.load` reads a Load as JSON from stdin and writes a Result as JSON to stdout.
"""

import json
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.workloads import Workload, workload

GRACE_SECONDS = 30
CLIENTS = 16


@dataclass(frozen=True)
class Load:
    """A load: the workload by name, the port on 127.0.0.1, the duration and the number of clients.

    A warm-up of `warm_seconds` comes first; its acknowledged numbers count, its rate and latencies do not. With
    `other_ports`, the clients are spread over all ports. Requests are numbered from `first_number`.
    """

    port: int
    name: str
    seconds: float
    warm_seconds: float = 0.5
    clients: int = CLIENTS
    catalogue_size: int = 1
    other_ports: Sequence[int] = ()
    first_number: int = 0


@dataclass
class Result:
    """The result: good answers, latencies in ms, acknowledged numbers, bad answers, the generator's share of a core."""

    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    bad: int = 0
    first_bad: str = ""
    generator_share: float = 0.0

    @property
    def per_second(self) -> float:
        """Good answers per second, without the warm-up."""
        return len(self.latencies_ms) / self.seconds if self.seconds else 0.0

    @property
    def answers(self) -> int:
        """Every answer, bad ones and those of the warm-up included."""
        return len(self.acknowledged) + self.bad

    def percentile_ms(self, percent: float) -> float:
        """Return this percentile of the latencies (nan if there are no answers)."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")


def apply_load(load: Load) -> Result:
    """Run `load` in a separate process and return its result; RuntimeError with its output if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(load)),
        capture_output=True,
        encoding="utf-8",
        cwd=Path(__file__).parent.parent,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the load generator stopped with {done.returncode}: {done.stderr.strip()[-2000:]}")
    result = Result(**json.loads(done.stdout))
    if not result.acknowledged:
        raise RuntimeError(f"{load.name}: no good answer, {result.bad} bad ones; the first: {result.first_bad}")
    return result


class Client:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, port: int, work: Workload) -> None:
        self._address = ("127.0.0.1", port)
        self._pieces = work.pieces()
        self._size = sum(map(len, self._pieces))
        self._value = work.value
        self._get = not work.body
        self._answer = bytearray()
        self.number = -1
        self.sent_at = 0.0
        self.socket = self._connect()

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(self._address, timeout=GRACE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def send(self, number: int) -> None:
        """Send request `number`."""
        self.number = number
        self._answer.clear()
        message = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" if self._get else self._post(number)
        self.sent_at = time.perf_counter()
        self.socket.sendall(message)

    def _post(self, number: int) -> bytes:
        value = self._value(number).encode()
        length = self._size + (len(self._pieces) - 1) * len(value)
        head = (
            b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Accept: application/json\r\nContent-Length: %d\r\n\r\n" % length
        )
        return head + value.join(self._pieces)

    def receive(self) -> tuple[bytes, bytes] | None:
        """Read what has arrived; return (status line, body) once the answer is complete, else None."""
        arrived = self.socket.recv(262_144)
        if not arrived:
            raise ConnectionResetError("the server closed the connection")
        self._answer += arrived
        end = self._answer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self._answer[:end]).lower()
        body = _whole_body(head, self._answer, end + 4)
        return None if body is None else (head[: head.find(b"\r")], body)


def _whole_body(head: bytes, answer: bytearray, start: int) -> bytes | None:
    at = head.find(b"content-length:")
    if at >= 0:
        line_end = head.find(b"\r", at)
        length = int(head[at + 15 : line_end if line_end >= 0 else len(head)])
        return bytes(answer[start:]) if len(answer) - start >= length else None
    if b"transfer-encoding: chunked" in head:
        return _joined_chunks(bytes(answer[start:])) if answer.endswith(b"0\r\n\r\n") else None
    raise ValueError(f"an answer with neither a length nor chunks: {head!r}")


def _joined_chunks(text: bytes) -> bytes:
    chunks: list[bytes] = []
    at = 0
    while True:
        line_end = text.index(b"\r\n", at)
        size = int(text[at:line_end].split(b";")[0], 16)
        if size == 0:
            return b"".join(chunks)
        chunks.append(text[line_end + 2 : line_end + 2 + size])
        at = line_end + 2 + size + 2


class Generator:
    """Keeps every client busy until the time is over, then waits for outstanding answers."""

    def __init__(self, load: Load) -> None:
        work = workload(load.name, load.catalogue_size)
        self._load = load
        self._is_good = work.is_good()
        self._next = load.first_number
        self._result = Result()
        self._selector = selectors.DefaultSelector()
        ports = [load.port, *load.other_ports]
        for number in range(load.clients):
            client = Client(ports[number % len(ports)], work)
            self._selector.register(client.socket, selectors.EVENT_READ, client)

    def run(self) -> Result:
        """Send, and return what came back."""
        begin = time.perf_counter()
        self._counted_from = begin + self._load.warm_seconds
        self._until = self._counted_from + self._load.seconds
        cpu = time.process_time()
        for key in list(self._selector.get_map().values()):
            self._send(key.data)
        while self._selector.get_map() and time.perf_counter() < self._until + GRACE_SECONDS:
            for key, _ in self._selector.select(1.0):
                self._step(key.data)
        for key in self._selector.get_map().values():
            self._refuse(f"request {key.data.number} had no answer within {GRACE_SECONDS} s")
        self._result.seconds = self._load.seconds
        self._result.generator_share = (time.process_time() - cpu) / (time.perf_counter() - begin)
        return self._result

    def _send(self, client: Client) -> None:
        client.send(self._next)
        self._next += 1

    def _step(self, client: Client) -> None:
        try:
            answer = client.receive()
            if answer is None:
                return
            now = time.perf_counter()
            self._count(client, *answer, now)
            if now < self._until:
                self._send(client)
                return
        except OSError as error:
            self._refuse(f"request {client.number}: {error}")
        self._selector.unregister(client.socket)
        client.socket.close()

    def _count(self, client: Client, status: bytes, body: bytes, now: float) -> None:
        if b" 200" not in status or not self._is_good(body):
            self._refuse(f"{status!r} {body[:500]!r}")
            return
        result = self._result
        result.acknowledged.append(client.number)
        if self._counted_from <= now < self._until:
            result.latencies_ms.append((now - client.sent_at) * 1_000)

    def _refuse(self, reason: str) -> None:
        self._result.bad += 1
        self._result.first_bad = self._result.first_bad or reason


if __name__ == "__main__":
    json.dump(asdict(Generator(Load(**json.load(sys.stdin))).run()), sys.stdout)
