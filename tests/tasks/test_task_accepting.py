"""Which tasks are accepted: what is refused, what was sent before, and how many may wait."""

from typing import Any

import pytest
from server_process import wait_until
from task_house import CalledWorker, MakeHouse, TaskHouse, echo

from afterwrite.tasks.listing import TaskFilter
from afterwrite.tasks.registry import Refusal, TaskRefused
from afterwrite.tasks.task import NewTask, Task


@pytest.mark.parametrize(
    ("new", "refusal", "field"),
    [
        (NewTask("unheard_of", {}), Refusal.UNKNOWN_TASK_TYPE, "type"),
        (NewTask("called", []), Refusal.INVALID_PAYLOAD, "payload"),
        (NewTask("called", {"text": "x" * 70_000}), Refusal.INVALID_PAYLOAD, "payload"),
        (NewTask("called", {"text": "\x00"}), Refusal.INVALID_PAYLOAD, "payload"),
        (NewTask("called", {"text": "\ud800"}), Refusal.INVALID_PAYLOAD, "payload"),
        (NewTask("called", {"n": float("inf")}), Refusal.INVALID_PAYLOAD, "payload"),
        (NewTask("called", {}, priority=5_000), Refusal.INVALID_ARGUMENT, "priority"),
        (NewTask("called", {}, max_attempts=0), Refusal.INVALID_ARGUMENT, "maxAttempts"),
        (NewTask("called", {}, run_at_us=-1), Refusal.INVALID_ARGUMENT, "runAt"),
        (NewTask("called", {}, idempotency_key=""), Refusal.INVALID_ARGUMENT, "idempotencyKey"),
        (NewTask("called", {}, correlation_id="a\nb"), Refusal.INVALID_ARGUMENT, "correlationId"),
    ],
)
def test_a_bad_task_is_refused_and_changes_nothing(
    make_house: MakeHouse, new: NewTask, refusal: Refusal, field: str
) -> None:
    house = make_house(CalledWorker(echo))
    with pytest.raises(TaskRefused) as refused:
        house.queue.create_many([NewTask("called", {}), new])
    assert (refused.value.refusal, refused.value.field) == (refusal, field)
    assert house.queue.count(TaskFilter()) == 0


def test_an_idempotency_key_gives_the_same_task_and_never_another(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo)).start()
    first = house.create(payload={"n": 1}, idempotency_key="k")
    done = house.wait(first)
    assert house.create(payload={"n": 1}, idempotency_key="k") == done
    with pytest.raises(TaskRefused) as refused:
        house.create(payload={"n": 2}, idempotency_key="k")
    assert refused.value.refusal is Refusal.IDEMPOTENCY_KEY_REUSED
    both = house.queue.create_many([NewTask("called", {}, idempotency_key="twice")] * 2)
    assert both[0].id == both[1].id
    assert house.queue.count(TaskFilter()) == 2


def test_a_full_queue_refuses_and_takes_tasks_again_later(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo), max_waiting=3)
    house.queue.create_many([NewTask("called", {})] * 3)
    with pytest.raises(TaskRefused, match="3 tasks wait, the limit is 3") as refused:
        house.create()
    assert refused.value.refusal is Refusal.QUEUE_FULL
    assert house.queue.count(TaskFilter()) == 3


def test_a_key_is_known_whatever_the_order_of_names(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo))
    first = house.create(payload={"a": 1, "b": {"c": 2, "d": 3}}, idempotency_key="k")
    assert house.create(payload={"b": {"d": 3, "c": 2}, "a": 1}, idempotency_key="k").id == first.id


def test_what_has_ended_or_was_sent_twice_takes_no_room(make_house: MakeHouse) -> None:
    house = make_house(CalledWorker(echo), max_waiting=2).start()
    for _ in range(5):
        house.wait(wait_until(lambda: created(house)))
    first = house.wait(wait_until(lambda: created(house, idempotency_key="again")))
    wait_until(lambda: created(house))
    for _ in range(50):
        assert house.create(idempotency_key="again").id == first.id


def created(house: TaskHouse, **fields: Any) -> Task | None:
    """A new task; None while the queue seems full, which it may for the time between two counts."""
    try:
        return house.create(**fields)
    except TaskRefused as error:
        assert error.refusal is Refusal.QUEUE_FULL
        return None
