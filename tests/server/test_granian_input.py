"""The body of a request under Granian: its read ends for good, whenever another thread ends it."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

from server_process import wait_until

from afterwrite.server.granian_exchange import Exchange, Input


class Proto:
    """Granian's side of a request."""

    def __init__(self) -> None:
        self.asked: list[Future[dict[str, Any]]] = []

    def receive(self) -> "Future[dict[str, Any]]":
        self.asked.append(Future())
        return self.asked[-1]

    def deliver(self, body: bytes) -> None:
        self.asked[-1].set_result({"body": body, "more_body": True})


def begun() -> tuple[Proto, Input]:
    proto = Proto()
    exchange = Exchange(SimpleNamespace(scope={}, proto=proto))
    body = Input(exchange, 1_000)
    body.begin(lambda: None)
    return proto, body


def test_a_read_that_waits_is_ended() -> None:
    proto, body = begun()
    proto.deliver(b"{")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(body.read)
        wait_until(lambda: len(proto.asked) == 2)
        body.end()
        assert reading.result(30) == b"{"
    assert proto.asked[-1].cancelled()


def test_a_read_that_is_ended_between_two_pieces_asks_for_none_that_may_not_come() -> None:
    proto, body = begun()
    proto.deliver(b"{")  # the next piece is not asked for yet
    body.end()
    threading.Thread(target=body.read, daemon=True).start()
    wait_until(lambda: proto.asked[-1].cancelled())
    assert len(proto.asked) == 2
