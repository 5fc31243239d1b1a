"""Pages of resources that refer to each other: the shop of examples/shop."""

import re
from collections.abc import Callable, Iterator

import pytest
from console_client import ConsoleClient
from server_process import ServerProcess, wait_until

pytestmark = pytest.mark.one_database("how pages look")


@pytest.fixture
def visitor(make_server: Callable[..., ServerProcess]) -> Iterator[ConsoleClient]:
    server = make_server()
    server.program = ("-m", "afterwrite", "serve", "examples.shop.app")
    found = ConsoleClient(server.start())
    found.get("/")
    yield found
    found.http.close()


def settled(visitor: ConsoleClient, path: str, fields: dict[str, str]) -> str:
    """Send a form, and return the page of its receipt once it is settled."""
    answer = visitor.post(path, fields)
    assert answer.status_code == 200, answer.text
    [receipt] = set(re.findall(r"/writes/\d+", answer.text))
    wait_until(lambda: 'data-receipt="QUEUED"' not in visitor.get(receipt).text)
    return visitor.get(receipt).text


def test_a_reference_leads_to_its_record_and_must_exist(visitor: ConsoleClient) -> None:
    assert "APPLIED" in settled(visitor, "/products", {"title": "Lamp", "price": "12.5"})
    assert "REFERENCE_NOT_FOUND" in settled(visitor, "/stocks", {"sku": "lamp-1", "product_id": "9", "on_hand": "5"})
    assert "APPLIED" in settled(visitor, "/stocks", {"sku": "lamp-1", "product_id": "1", "on_hand": "5"})
    assert '<a href="/products/1">1</a>' in visitor.get("/stocks").text
    page = visitor.get("/stocks/export.csv").text
    assert '2,"lamp-1",1,5,' in page
    file = {"file": ("stocks.csv", b"sku,product_id,on_hand\nlamp-3,1,7\n")}
    assert "1 accepted, 0 refused" in visitor.post("/stocks/upload", files=file).text
    refused = visitor.post("/stocks", {"sku": "lamp-2", "product_id": "lamp", "on_hand": "5"})
    assert (refused.status_code, "give the id of a product" in refused.text) == (422, True)


def test_the_form_that_deletes_says_what_becomes_of_what_refers_to_it(visitor: ConsoleClient) -> None:
    settled(visitor, "/products", {"title": "Lamp", "price": "12.5"})
    asked = visitor.get("/products/1/delete").text
    assert "Stocks that refer to it are deleted too. It cannot be deleted while orders refer to it." in asked


def test_an_operation_without_arguments_is_confirmed(visitor: ConsoleClient) -> None:
    settled(visitor, "/products", {"title": "Lamp", "price": "12.5"})
    order = {"product_id": "1", "customer": "mia@example.org", "pieces": "1", "state": "NEW"}
    assert "APPLIED" in settled(visitor, "/orders", order)
    asked = visitor.get("/orders/1/pay").text
    assert "Record the payment of a new order" in asked
    assert '<button type="submit" class="primary" autofocus>Pay</button>' in asked
    assert "APPLIED" in settled(visitor, "/orders/1/pay", {})
    assert "WRONG_STATE" in settled(visitor, "/orders/1/pay", {})
    page = visitor.get("/orders/1").text
    assert '<option value="PAID" selected>' in page
