"""Sends writes as a client would, and keeps a record of what was answered."""

import contextlib
import http.client
import os
import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from server_process import ROOT, Client, ServerProcess

_LOAD_SECONDS = 60
PARCELS_APP = ("tests/support/parcels_app.py",)
PARCELS_PATH = f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'support'}"


class Kind(NamedTuple):
    """The documents for the writes on one resource."""

    resource: str
    create: str
    batch: str
    update: str
    delete: str
    operate: str | None


def _kind(name: str, field: str, more: str, operation: str = "") -> Kind:
    one, of = "write { id recordId }", f"{field}Id: $id"
    titled, weighed = "$id: ID!, $title: String!", f"{operation}{name}({of}, title: $title, grams: $grams, %s)"
    return Kind(
        name,
        _document("$title: String!", f"create{name}(title: $title, {more} %s)", one),
        _document(f"$items: [{name}Input!]!", f"create{name}s({field}s: $items, %s)", "writes { id recordId }"),
        _document(titled, f"update{name}({of}, title: $title, %s)", one),
        _document("$id: ID!", f"delete{name}({of}, %s)", one),
        _document(f"{titled}, $grams: Int!", weighed, one) if operation else None,
    )


def _document(variables: str, call: str, receipts: str) -> str:
    answer = f"answer: {call % 'idempotencyKey: $key'} {{ success {receipts} errors {{ code }} }}"
    return f"mutation ({variables}, $key: String) {{ {answer} }}"


PRODUCTS = _kind("Product", "product", "price: 1.5,")
PARCELS = _kind("Parcel", "parcel", "", "weigh")


@dataclass
class Sent:
    """A write that was sent; its title is given to no other write."""

    resource: str
    operation: str
    title: str
    record_id: int | None = None
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
    """One client with records of its own: creates, updates, deletes, and sends again what has a key."""

    name: str
    random: random.Random
    sent: list[Sent] = field(default_factory=list)
    unanswered: list[Request] = field(default_factory=list)  # only those that have a key
    answered: Request | None = None  # the last one that has a key
    records: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    serial: int = 0
    kinds: tuple[Kind, ...] = (PRODUCTS,)

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
            before = [(write.write_id, write.record_id) for write in self.answered.writes]
            self.deliver(client, self.answered)
            assert before == [(write.write_id, write.record_id) for write in self.answered.writes]
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
            record_id = int(receipt["recordId"])
            if write.operation == "CREATE" and write.write_id is None:
                self.records[write.resource].append(record_id)
            write.write_id, write.record_id = int(receipt["id"]), record_id
        return len(receipts)

    def next_request(self) -> Request:
        """Something that a client might do next."""
        key = self.title("key") if self.random.random() < 0.3 else None
        kind = self.random.choice(self.kinds)
        own, name = self.records[kind.resource], kind.resource
        act = self.random.choices(["create", "update", "batch", "delete"], [50, 38, 6, 6])[0]
        if act == "batch":
            writes = [Sent(name, "CREATE", self.title("batch")) for _ in range(self.random.randint(2, 20))]
            more = {"price": 1.5} if kind is PRODUCTS else {}
            items = [{"title": write.title, **more} for write in writes]
            return Request(kind.batch, {"items": items, "key": key}, writes)
        if act == "create" or not own:
            title = self.title("new")
            return Request(kind.create, {"title": title, "key": key}, [Sent(name, "CREATE", title)])
        record_id = self.random.choice(own[-20:])
        if act == "delete":
            own.remove(record_id)
            return Request(kind.delete, {"id": record_id, "key": key}, [Sent(name, "DELETE", "", record_id)])
        title = self.title("changed")
        given: dict[str, Any] = {"id": record_id, "title": title, "key": key}
        if kind.operate is not None and self.random.random() < 0.7:
            given["grams"] = self.random.randrange(1_000)
            return Request(kind.operate, given, [Sent(name, "WEIGH", title, record_id)])
        return Request(kind.update, given, [Sent(name, "UPDATE", title, record_id)])

    def title(self, word: str) -> str:
        """A text that no other write has."""
        self.serial += 1
        return f"{self.name} {word} {self.serial}"


def open_shop(keepers: int, seed: int, *, kinds: tuple[Kind, ...] = (PRODUCTS,)) -> list[Shopkeeper]:
    """Clients whose requests follow from the seed alone."""
    names = [(f"shop {number}", random.Random(f"{seed}.{number}")) for number in range(keepers)]
    return [Shopkeeper(name, chance, kinds=kinds) for name, chance in names]


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
