"""Calls the product API as a client does."""

import json
from typing import Any

from server_process import ServerProcess, wait_until

_CREATE = """mutation ($title: String!, $description: String, $key: String) {
  createProduct(title: $title, price: 1, description: $description, idempotencyKey: $key) {
    success message write { id productId status } errors { code message } } }"""
_CREATE_MANY = """mutation ($products: [ProductInput!]!) { createProducts(products: $products) {
    success message writes { id productId } errors { code message } } }"""
_UPDATE = """mutation ($id: ID!, $title: String!) { updateProduct(productId: $id, title: $title) {
    success message write { id status } errors { code message } } }"""


def create(server: ServerProcess, title: str, **fields: str) -> dict[str, Any]:
    """The answer of createProduct."""
    answer: dict[str, Any] = server.query(_CREATE, {"title": title, **fields})["createProduct"]
    return answer


def create_many(server: ServerProcess, titles: list[str], **fields: str) -> dict[str, Any]:
    """The answer of createProducts."""
    products = [{"title": title, "price": 1, **fields} for title in titles]
    answer: dict[str, Any] = server.query(_CREATE_MANY, {"products": products})["createProducts"]
    return answer


def update(server: ServerProcess, product_id: str, title: str) -> dict[str, Any]:
    """The answer of updateProduct."""
    answer: dict[str, Any] = server.query(_UPDATE, {"id": product_id, "title": title})["updateProduct"]
    return answer


def codes(answer: dict[str, Any]) -> list[str]:
    """The codes of the errors of a mutation that did not succeed."""
    assert answer["success"] is False
    return [error["code"] for error in answer["errors"]]


def health(server: ServerProcess) -> dict[str, Any]:
    """What /health says."""
    status, body = server.get("/health")
    assert status == 200
    found: dict[str, Any] = json.loads(body)
    return found


def wait_degraded(server: ServerProcess) -> str:
    """Wait until /health says degraded and the queue tries again; returns the trouble."""
    wait_until(lambda: health(server)["status"] == "degraded" and queue_state(server) == "RETRYING")
    return str(health(server)["database"]["trouble"])


def wait_held_up(server: ServerProcess) -> None:
    """Wait until a write of the drain is refused, or waits for somebody else's lock, as the database does it."""
    wait_until(lambda: health(server)["status"] == "degraded" or server.database.has_waiting())


def wait_applied(server: ServerProcess) -> None:
    """Wait until nothing waits any more and all is well."""
    wait_until(lambda: health(server)["queue"]["depth"] == 0 and health(server)["status"] == "ok")


def queue_state(server: ServerProcess) -> str:
    """The state of the queue."""
    return str(server.query("{ queue { state } }")["queue"]["state"])


def stored_titles(server: ServerProcess) -> list[str]:
    """The titles of all products, read from the database, in the order of their ids."""
    return [title for (title,) in server.database.rows("SELECT title FROM products ORDER BY id")]


def waiting_titles(server: ServerProcess) -> list[str]:
    """The titles in the journal of a stopped server, in the order of acceptance."""
    return [json.loads(arguments)["title"] for _, arguments in server.database.journal()]
