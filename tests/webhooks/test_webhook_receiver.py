"""The receiver tells good signatures from bad ones and keeps the last hundred tries over restarts."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from databases import Database
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterwrite.base.store_errors import StoreUnavailable
from afterwrite.storage.received import KEPT, Received, ReceivedWebhooks
from afterwrite.webhooks.receiver import BODY_KEPT_BYTES, Receiver
from afterwrite.webhooks.signing import Verdict, sign

SECRET, NOW = "whsec_test", 1_700_000_000.25
BODY = b'{"event":"task.completed","correlation_id":"order-17"}'


class Desk:
    """A receiver over a real database; ``now`` is its clock."""

    def __init__(self, database: Database) -> None:
        self.tasks, self.now = database.open_tasks().tasks, NOW
        self.store = ReceivedWebhooks(self.tasks.commits, self.tasks.reader)
        self.receiver = Receiver(SECRET, self.store, clock=lambda: self.now)

    def close(self) -> None:
        """Let go of the database; may be called twice."""
        self.tasks.close()

    def receive(self, body: bytes = BODY, **changed: str | None) -> Received:
        """Receive a body, signed well but for the headers that are ``changed`` (None: left out)."""
        signature = sign(SECRET, int(NOW), body)
        headers: dict[str, Any] = {"id": "event-1", "timestamp": str(int(NOW)), "signature": signature}
        given = {f"Webhook-{name.title()}": value for name, value in (headers | changed).items() if value is not None}
        return self.receiver.receive(given, body)


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    """A receiver over an empty database."""
    one = Desk(database)
    yield one
    one.close()


def test_a_good_webhook_is_kept_as_valid_with_its_ids(desk: Desk) -> None:
    received = desk.receive()
    assert received == Received(
        1, 1_700_000_000_250_000, "event-1", "order-17", 1_700_000_000, Verdict.VALID, BODY.decode()
    )
    assert desk.receiver.newest() == [received]


def test_the_names_of_headers_may_be_in_any_case(desk: Desk) -> None:
    signature = sign(SECRET, int(NOW), BODY)
    headers = {"WEBHOOK-ID": "event-1", "webhook-timestamp": str(int(NOW)), "wEbhook-Signature": signature}
    assert desk.receiver.receive(headers, BODY).verdict == Verdict.VALID


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"id": None}, Verdict.MISSING_HEADER),
        ({"timestamp": None}, Verdict.MISSING_HEADER),
        ({"signature": None}, Verdict.MISSING_HEADER),
        ({"timestamp": "yesterday"}, Verdict.BAD_FORMAT),
        ({"signature": "v1=" + "0" * 64}, Verdict.WRONG_SIGNATURE),
        ({"timestamp": str(int(NOW) + 1)}, Verdict.WRONG_SIGNATURE),
        ({"signature": sign("other", int(NOW), BODY)}, Verdict.WRONG_SIGNATURE),
    ],
)
def test_a_bad_webhook_is_kept_with_the_reason(desk: Desk, changed: dict[str, Any], verdict: Verdict) -> None:
    received = desk.receive(**changed)
    assert received.verdict == verdict
    assert desk.receiver.newest() == [received]


def test_a_recorded_webhook_is_refused_after_five_minutes(desk: Desk) -> None:
    desk.now += 301
    assert desk.receive().verdict == Verdict.TOO_OLD
    desk.now = NOW - 301
    assert desk.receive().verdict == Verdict.TOO_NEW


def test_every_try_of_an_event_is_kept_newest_first(desk: Desk) -> None:
    tries = [desk.receive() for _ in range(3)]
    assert [received.id for received in tries] == [1, 2, 3]
    assert desk.receiver.newest() == tries[::-1]
    assert desk.receiver.newest(2) == [tries[2], tries[1]]


def test_the_last_hundred_are_kept(desk: Desk) -> None:
    for number in range(KEPT + 5):
        desk.receive(id=f"event-{number}")
    kept = desk.receiver.newest(1_000)
    assert [received.event_id for received in kept] == [f"event-{number}" for number in range(KEPT + 4, 4, -1)]


def test_what_was_kept_is_there_after_a_restart(database: Database) -> None:
    first = Desk(database)
    received = first.receive()
    first.close()
    second = Desk(database)
    assert second.receiver.newest() == [received]
    assert second.receive().id == received.id + 1
    second.close()


def test_webhooks_may_come_in_many_threads(desk: Desk) -> None:
    def many(name: int) -> None:
        for number in range(20):
            desk.receive(id=f"{name}-{number}")

    threads = [threading.Thread(target=many, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = desk.receiver.newest()
    assert len({received.event_id for received in kept}) == len(kept) == 80


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'"order-17"', b"{", b'{"correlation_id": 7}', b"{}", b"[" * 100_000, b"\xff\xfe", b"9" * 5_000],
)
def test_a_body_that_is_no_event_has_no_correlation_id(desk: Desk, body: bytes) -> None:
    received = desk.receive(body)
    assert (received.verdict, received.correlation_id) == (Verdict.VALID, None)


@pytest.mark.parametrize("filling", [b"x", b"\xff", "ü".encode(), b"\x00"])
def test_64_kib_of_a_body_are_kept_as_text(desk: Desk, filling: bytes) -> None:
    received = desk.receive(b"1" + filling * 200_000)
    assert received.verdict == Verdict.VALID
    assert BODY_KEPT_BYTES - 3 < len(received.body.encode()) <= BODY_KEPT_BYTES
    assert desk.receiver.newest() == [received]


def test_half_a_character_in_a_correlation_id_is_no_error(desk: Desk) -> None:
    received = desk.receive(json.dumps({"correlation_id": "a\ud83d"}).encode())
    assert (received.correlation_id, desk.receiver.newest()) == ("a?", [received])


def test_a_nul_is_kept_as_a_sign_of_one(desk: Desk) -> None:
    received = desk.receive(b'{"correlation_id": "a\\u0000"}')
    assert (received.correlation_id, desk.receiver.newest()) == ("a\ufffd", [received])
    assert desk.receive(b"a\0").body == "a\ufffd"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])  # it writes to a disk
@given(st.dictionaries(st.sampled_from(["id", "timestamp", "signature"]), st.text()), st.binary())
def test_anything_that_comes_is_kept(desk: Desk, changed: dict[str, str], body: bytes) -> None:
    received = desk.receive(body, **changed)
    assert desk.receiver.newest(1) == [received]
    assert (received.verdict == Verdict.VALID) is (not changed.keys() - {"id"} and changed.get("id") != "")


@pytest.mark.one_database("it takes the table away; test_postgres_away takes PostgreSQL away")
def test_nothing_is_kept_when_the_database_is_away(desk: Desk, database: Database) -> None:
    database.rows("DROP TABLE received_webhooks")
    with pytest.raises(StoreUnavailable):
        desk.receive()


def test_without_a_secret_there_is_no_receiver(desk: Desk) -> None:
    with pytest.raises(ValueError, match="WEBHOOK_SECRET"):
        Receiver("", desk.store)
