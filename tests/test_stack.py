"""Jobs go through the whole stack: RabbitMQ, Redis, PostgreSQL and Airflow are real, and nothing is in their place."""

from collections.abc import Iterator

import pytest
from airflow_house import Airflow
from product_lists import LAMP
from server_process import wait_until
from stack_house import Stack, new_stack


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Airflow]]:
    with new_stack(tmp_path_factory.mktemp("stack")) as found:
        yield found


@pytest.fixture
def stack(both: tuple[Stack, Airflow]) -> Stack:
    """The stack, all running."""
    return both[0]


def test_a_job_goes_through(stack: Stack) -> None:
    job = stack.submit([LAMP, {"title": "", "price": 3}])
    found = stack.ended(job)
    assert (found["status"], found["stage"], found["progress"]) == ("COMPLETED", "COMPLETED", 100)
    assert (found["result"]["accepted"], found["result"]["refused"]) == (1, 1)
    [told] = wait_until(lambda: stack.told()[job])
    assert told.event["result"] == found["result"]
