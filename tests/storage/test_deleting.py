"""What a deletion does to records that refer to it in several ways does not depend on the order of the classes."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest
from declarations import resource

from afterwrite import Reference, Text
from afterwrite.resources.registry import Resources
from afterwrite.resources.write import Write
from afterwrite.service.service import Service
from afterwrite.writes import requests

if TYPE_CHECKING:
    from databases import Database

CUSTOMER = resource("Customer", label=Text(max_length=20))
DEAL = resource("Deal", customer=Reference(CUSTOMER, on_delete="cascade"))
LINE = resource("Line", customer=Reference(CUSTOMER), deal=Reference(DEAL, on_delete="cascade"))


def _in_order(classes: Sequence[type]) -> str:
    return "-".join(one.__name__ for one in classes)


@pytest.mark.one_database("computed in memory")
@pytest.mark.parametrize("classes", list(itertools.permutations([CUSTOMER, DEAL, LINE])), ids=_in_order)
def test_a_record_that_goes_itself_does_not_restrict_the_deletion(database: "Database", classes: Sequence[Any]) -> None:
    service = Service(database.settings(), Resources(classes))
    service.start()
    context = service.context()

    def done(write: Write) -> Write:
        return requests.settled(context.queue, write, 30) or write

    def made(name: str, **fields: Any) -> int:
        kind = service.resources[name]
        return done(requests.create(context.queue, kind, fields, None, None)).record_id

    def deleted(name: str, record_id: int) -> str | None:
        kind = service.resources[name]
        return done(requests.delete(context.queue, kind, str(record_id), None, None)).error_code

    try:
        customer = made("Customer", label="Ann")
        line = made("Line", customer_id=customer)
        assert deleted("Customer", customer) == "REFERENCED"
        deal = made("Deal", customer_id=customer)
        moved = requests.update(context.queue, service.resources["Line"], str(line), {"deal_id": deal}, None, None)
        assert done(moved).error is None
        assert deleted("Customer", customer) is None
        assert [one.last_id() for one in service.records.values()] == [0, 0, 0]
    finally:
        service.stop()
