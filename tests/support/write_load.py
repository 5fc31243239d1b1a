"""Sends writes as a client would, and keeps a record of what was answered."""

import contextlib
import http.client
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from server_process import Client, ServerProcess

_LOAD_SECONDS = 60
_RECEIPT = "id productId"
_CREATE = f"""mutation ($title: String!, $price: Float!, $key: String) {{
  answer: createProduct(title: $title, price: $price, idempotencyKey: $key) {{
    success write {{ {_RECEIPT} }} errors {{ code }} }} }}"""
_BATCH = f"""mutation ($products: [ProductInput!]!, $key: String) {{
  answer: createProducts(products: $products, idempotencyKey: $key) {{
    success writes {{ {_RECEIPT} }} errors {{ code }} }} }}"""
_UPDATE = f"""mutation ($id: ID!, $title: String!, $key: String) {{
  answer: updateProduct(productId: $id, title: $title, idempotencyKey: $key) {{
    success write {{ {_RECEIPT} }} errors {{ code }} }} }}"""
_DELETE = f"""mutation ($id: ID!, $key: String) {{
  answer: deleteProduct(productId: $id, idempotencyKey: $key) {{
    success write {{ {_RECEIPT} }} errors {{ code }} }} }}"""


@dataclass
class Sent:
    """A write that was sent; its title is given to no other write."""

    operation: str
    title: str
    product_id: int | None = None
    write_id: int | None = None
    refused: str | None = None


@dataclass
class Request:
    """One request and the writes that it asks for."""

    document: str
    variables: dict[str, Any]
    writes: list[Sent]


class Quota:
    """Says when a number of writes has been acknowledged."""

    def __init__(self, writes: int) -> None:
        self.reached = threading.Event()
        self._left = writes
        self._lock = threading.Lock()

    def count(self, writes: int) -> None:
        """Count acknowledged writes."""
        with self._lock:
            self._left -= writes
            if self._left <= 0:
                self.reached.set()


@dataclass
class Shopkeeper:
    """One client with products of its own: creates, updates, deletes, and sends again what has a key."""

    name: str
    random: random.Random
    sent: list[Sent] = field(default_factory=list)
    unanswered: list[Request] = field(default_factory=list)  # only those that have a key
    answered: Request | None = None  # the last one that has a key
    products: list[int] = field(default_factory=list)
    serial: int = 0

    def work(self, server: ServerProcess, quota: Quota) -> None:
        """Send one write after the other until the server is gone or stops."""
        gone = contextlib.suppress(OSError, http.client.HTTPException)
        with contextlib.closing(server.client()) as client, gone:
            self.catch_up(client)
            while accepted := self.send(client, self.next_request()):
                quota.count(accepted)

    def catch_up(self, client: Client) -> None:
        """Send again what had a key and no answer, and a request that was answered."""
        while self.unanswered:
            self.deliver(client, self.unanswered[0])
            self.unanswered.pop(0)
        if self.answered is not None:
            before = [(write.write_id, write.product_id) for write in self.answered.writes]
            self.deliver(client, self.answered)
            assert before == [(write.write_id, write.product_id) for write in self.answered.writes]
            self.answered = None

    def send(self, client: Client, request: Request) -> int:
        """Send a request for the first time; returns how many writes were accepted."""
        self.sent += request.writes
        keyed = request.variables["key"] is not None
        if keyed:
            self.unanswered.append(request)
        accepted = self.deliver(client, request)
        if keyed:
            self.unanswered.pop()
            self.answered = request if accepted else None
        return accepted

    def deliver(self, client: Client, request: Request) -> int:
        """Send a request and note what was answered; returns how many writes were accepted."""
        answer = client.query(request.document, request.variables)["answer"]
        if not answer["success"]:
            for write in request.writes:
                write.refused = answer["errors"][0]["code"]
            return 0
        receipts = answer["writes"] if "writes" in answer else [answer["write"]]
        for write, receipt in zip(request.writes, receipts, strict=True):
            product_id = int(receipt["productId"])
            if write.operation == "CREATE" and write.write_id is None:
                self.products.append(product_id)
            write.write_id, write.product_id = int(receipt["id"]), product_id
        return len(receipts)

    def next_request(self) -> Request:
        """Something that a client might do next."""
        key = self.title("key") if self.random.random() < 0.3 else None
        kind = self.random.choices(["create", "update", "batch", "delete"], [50, 38, 6, 6])[0]
        if kind == "batch":
            writes = [Sent("CREATE", self.title("batch")) for _ in range(self.random.randint(2, 20))]
            items = [{"title": write.title, "price": 1.5} for write in writes]
            return Request(_BATCH, {"products": items, "key": key}, writes)
        if kind == "create" or not self.products:
            title = self.title("new")
            return Request(_CREATE, {"title": title, "price": 1.5, "key": key}, [Sent("CREATE", title)])
        product_id = self.random.choice(self.products[-20:])
        if kind == "delete":
            self.products.remove(product_id)
            return Request(_DELETE, {"id": product_id, "key": key}, [Sent("DELETE", "", product_id)])
        title = self.title("changed")
        return Request(_UPDATE, {"id": product_id, "title": title, "key": key}, [Sent("UPDATE", title, product_id)])

    def title(self, word: str) -> str:
        """A text that no other write has."""
        self.serial += 1
        return f"{self.name} {word} {self.serial}"


def open_shop(keepers: int, seed: int) -> list[Shopkeeper]:
    """Clients whose requests follow from the seed alone."""
    return [Shopkeeper(f"shop {number}", random.Random(f"{seed}.{number}")) for number in range(keepers)]


@contextlib.contextmanager
def load(server: ServerProcess, shop: list[Shopkeeper], writes: int) -> Iterator[None]:
    """All clients at work; the body begins when so many writes are acknowledged, and must end the server."""
    quota = Quota(writes)
    with ThreadPoolExecutor(len(shop)) as pool:
        working = [pool.submit(keeper.work, server, quota) for keeper in shop]
        try:
            reached = quota.reached.wait(_LOAD_SECONDS)
            yield
        finally:
            for done in working:
                done.result()
    assert reached, f"{writes} writes were not acknowledged in {_LOAD_SECONDS} s"
