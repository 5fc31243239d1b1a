"""The API of a declared resource, over HTTP and on both databases: every kind of field, its filters and its orders."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from declarations import WHOLE_ORDER
from server_process import ServerProcess, wait_until
from write_load import PARCELS_PATH

if TYPE_CHECKING:
    from databases import Database

ORDER = "id number note state total tip weight pieces gift due paidAt link mail extra perPiece version"
TYPES = {
    "number": "String!",
    "note": "String",
    "state": "OrderState",
    "total": "Float!",
    "tip": "Float",
    "weight": "Float",
    "pieces": "BigInt",
    "gift": "Boolean",
    "due": "Date",
    "paidAt": "DateTime",
    "link": "String",
    "mail": "String",
    "extra": "JSON",
}


@pytest.fixture(scope="module")
def server(module_database: "Database") -> Iterator[ServerProcess]:
    """A running server of the application."""
    made = ServerProcess.on(module_database, PYTHONPATH=PARCELS_PATH)
    made.program = ("tests/support/orders_app.py",)
    yield made.start()
    made.kill()


@pytest.fixture
def create(server: ServerProcess) -> Iterator[Callable[..., Any]]:
    """Creates an order and returns the answer; every one is deleted at the end."""

    def send(**fields: Any) -> Any:
        declared = ", ".join(f"${name}: {TYPES[name]}" for name in fields)
        given = ", ".join(f"{name}: ${name}" for name in fields)
        document = f"""mutation ({declared}) {{ createOrderSync({given}) {{ success order {{ {ORDER} }}
          write {{ recordId error {{ code message }} }} errors {{ field code message }} }} }}"""
        return server.query(document, fields)["createOrderSync"]

    yield send
    last = 0
    for order in server.query("{ allOrders(first: 500) { id } }")["allOrders"]:
        answer = server.query(f"mutation {{ deleteOrder(orderId: {order['id']}) {{ write {{ id }} }} }}")
        last = int(answer["deleteOrder"]["write"]["id"])
    if last:
        wait_until(lambda: server.query(f"{{ write(id: {last}) {{ status }} }}")["write"]["status"] == "APPLIED")


def test_a_record_of_every_kind_of_field_is_stored_and_read_as_it_was_sent(create: Callable[..., Any]) -> None:
    order = create(**WHOLE_ORDER)["order"]
    expected = {**WHOLE_ORDER, "note": "étude", "weight": 2.0, "paidAt": "2026-11-30T11:00:00+00:00"}
    assert {name: order[name] for name in WHOLE_ORDER} == expected
    assert (order["perPiece"], order["version"]) == (0, 1)


def test_what_is_left_out_is_its_default_or_null(create: Callable[..., Any]) -> None:
    order = create(number="A-2", total=3)["order"]
    given = {"number": "A-2", "total": 3.0, "state": "OPEN", "pieces": 1, "gift": False}
    assert {name: order[name] for name in WHOLE_ORDER} == dict.fromkeys(WHOLE_ORDER) | given


def test_every_wrong_value_is_said_with_its_field_and_nothing_is_stored(
    server: ServerProcess, create: Callable[..., Any]
) -> None:
    wrong = {"number": " ", "total": 0.001, "tip": 0.5, "weight": -1, "pieces": -1, "link": "x", "mail": "x"}
    answer = create(**wrong)
    assert (answer["success"], answer["write"]) == (False, None)
    assert [(error["field"], error["code"]) for error in answer["errors"]] == [
        (["number"], "REQUIRED"),
        (["total"], "TOO_MANY_DECIMALS"),
        (["tip"], "TOO_MANY_DECIMALS"),
        (["weight"], "OUT_OF_RANGE"),
        (["pieces"], "OUT_OF_RANGE"),
        (["link"], "INVALID_URL"),
        (["mail"], "INVALID_EMAIL"),
    ]
    broken = create(number="A-3", total=1, gift=True, tip=1)
    said = "a gift has no tip: leave the tip out"
    assert broken["errors"] == [{"field": None, "code": "GIFT_WITH_TIP", "message": said}]
    assert server.query("{ orders { totalCount } }") == {"orders": {"totalCount": 0}}


def test_an_update_changes_what_it_names_and_never_what_is_immutable(
    server: ServerProcess, create: Callable[..., Any]
) -> None:
    order_id = create(**WHOLE_ORDER)["order"]["id"]
    names = server.query('{ __type(name: "Mutation") { fields { name args { name } } } }')["__type"]["fields"]
    [update] = [field for field in names if field["name"] == "updateOrder"]
    assert {argument["name"] for argument in update["args"]} == (WHOLE_ORDER.keys() - {"number"}) | {
        "orderId",
        "ifVersion",
        "idempotencyKey",
    }
    given = "state: SENT, tip: null, due: null, extra: 7, ifVersion: 1"
    document = f"mutation {{ updateOrder(orderId: {order_id}, {given}) {{ write {{ id ifVersion }} }} }}"
    write = server.query(document)["updateOrder"]["write"]
    assert write["ifVersion"] == 1
    found = server.query(f"{{ order(orderId: {order_id}, afterWrite: {write['id']}) {{ {ORDER} }} }}")["order"]
    changed = {"state": "SENT", "tip": None, "due": None, "extra": 7, "version": 2}
    assert {name: found[name] for name in changed} == changed
    assert (found["number"], found["mail"]) == ("A-1", "mia@example.org")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("state: OPEN", "ad"),
        ("stateIn: [PAID, SENT]", "bc"),
        ("stateIn: []", ""),
        ("minTotal: 2, maxTotal: 3", "bc"),
        ("minWeight: 1.5", "c"),
        ("piecesIn: [1, 1099511627776]", "ab"),
        ("maxPieces: 2", "acd"),
        ("gift: true", "d"),
        ('minDue: "2026-01-02"', "bc"),
        ('maxPaidAt: "2026-01-01T00:00:00Z"', "a"),
        ('mail: "b@x.example"', "b"),
        ('search: "ODD", minTotal: 2', "c"),
        ('search: "zz"', ""),
    ],
)
def test_filters_let_through_what_they_say(
    server: ServerProcess, create: Callable[..., Any], filters: str, expected: str
) -> None:
    create(number="a", total=1, note="odd", paidAt="2025-12-31T23:59:59Z", due="2026-01-01", weight=1)
    create(number="b", total=2, state="PAID", pieces=2**40, mail="b@x.example", due="2026-01-02")
    create(number="c", total=3, state="SENT", pieces=2, weight=1.5, note="Odd", due="2026-01-03")
    create(number="d", total=4, gift=True, pieces=0)
    found = server.query(f"{{ orders({filters}) {{ totalCount nodes {{ number }} }} }}")["orders"]
    assert "".join(order["number"] for order in found["nodes"]) == expected
    assert found["totalCount"] == len(expected)


@pytest.mark.parametrize("order", ["NOTE", "WEIGHT", "DUE", "PAID_AT", "TOTAL", "NUMBER"])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_pages_in_every_order_show_each_record_once_null_first(
    server: ServerProcess, create: Callable[..., Any], order: str, size: int
) -> None:
    days = [None, "2026-01-02", "2026-01-01", None, "2026-01-01"]
    rows = [
        {"note": note, "weight": weight, "due": day, "paidAt": day and f"{day}T00:00:00Z", "total": total}
        for note, weight, day, total in zip(
            [None, "b", "A", "", "a"], [None, 2.5, -0.0, None, 1], days, [3, 1, 2, 1, 5], strict=True
        )
    ]
    for number, row in enumerate(rows):
        create(number=f"n{number}", **row)
    asc = _walk(server, f"{order}_ASC", size)
    assert sorted(asc) == [f"n{number}" for number in range(5)]
    assert _walk(server, f"{order}_DESC", size) == asc[::-1]
    assert _walk(server, f"{order}_ASC", size, backwards=True) == asc
    expected = {
        "NOTE": ["n0", "n3", "n2", "n4", "n1"],
        "WEIGHT": ["n0", "n3", "n2", "n4", "n1"],
        "DUE": ["n0", "n3", "n2", "n4", "n1"],
        "PAID_AT": ["n0", "n3", "n2", "n4", "n1"],
        "TOTAL": ["n1", "n3", "n2", "n0", "n4"],
        "NUMBER": ["n0", "n1", "n2", "n3", "n4"],
    }
    assert asc == expected[order]


def _walk(server: ServerProcess, order: str, size: int, *, backwards: bool = False) -> list[str]:
    """The numbers of all orders, page by page from one end to the other, in the order of the list."""
    found: list[str] = []
    cursor, more = None, True
    while more:
        where = f'{"before" if backwards else "after"}: "{cursor}"' if cursor else ""
        document = f"""{{ orders(orderBy: {order}, {"last" if backwards else "first"}: {size}, {where}) {{
          nodes {{ number }} pageInfo {{ startCursor endCursor hasNextPage hasPreviousPage }} }} }}"""
        page = server.query(document)["orders"]
        numbers, info = [node["number"] for node in page["nodes"]], page["pageInfo"]
        found = numbers + found if backwards else found + numbers
        cursor = info["startCursor" if backwards else "endCursor"]
        more = info["hasPreviousPage" if backwards else "hasNextPage"]
        assert len(found) <= 20
    return found


def test_facets_operations_nodes_and_receipts_are_there_for_every_resource(
    server: ServerProcess, create: Callable[..., Any]
) -> None:
    made = create(number="a", total=2)
    order_id = made["order"]["id"]
    create(number="b", total=1, state="SENT")
    assert server.query("{ states { name count } }")["states"] == [
        {"name": "OPEN", "count": 1},
        {"name": "SENT", "count": 1},
    ]
    paid = server.query(
        f"""mutation {{ payOrderSync(orderId: {order_id}, amount: 200) {{ success order {{ state total paidAt nodeId }}
          write {{ id operation acceptedAt resource record {{ id version ... on Order {{ number }} }} }} }} }}"""
    )["payOrderSync"]
    assert paid["order"]["state"] == "PAID"
    assert paid["order"]["paidAt"] == paid["write"]["acceptedAt"]
    assert paid["write"]["record"] == {"id": order_id, "version": 2, "number": "a"}
    node_id, ask = paid["order"]["nodeId"], "query ($id: ID!) { node(id: $id) { nodeId ... on Order { number } } }"
    assert server.query(ask, {"id": node_id}) == {"node": {"nodeId": node_id, "number": "a"}}
    for wrong in ("", "x", "T3JkZXI6eA==", "Tm90aGluZzox", "T3JkZXI6OTk5OTk5"):
        assert server.query(ask, {"id": wrong}) == {"node": None}
    receipts = f'{{ writes(resource: "Order", recordId: {order_id}) {{ nodes {{ operation }} }} }}'
    assert server.query(receipts)["writes"]["nodes"] == [{"operation": "PAY"}, {"operation": "CREATE"}]
    again = server.query(
        f"mutation {{ payOrderSync(orderId: {order_id}, amount: 1) {{ write {{ id error {{ code }} }} }} }}"
    )
    failed = again["payOrderSync"]["write"]
    assert failed["error"] == {"code": "NOT_OPEN"}
    retried = server.query(f"mutation {{ retryWrite(id: {failed['id']}) {{ write {{ operation retryOf }} }} }}")
    assert retried["retryWrite"]["write"] == {"operation": "PAY", "retryOf": failed["id"]}


def test_a_key_gives_the_same_receipt_and_stands_for_one_request_of_one_resource(server: ServerProcess) -> None:
    create = 'mutation { createLocker(code: "k-1", content: 3, idempotencyKey: "one") { write { id recordId } } }'
    first = server.query(create)["createLocker"]["write"]
    assert server.query(create)["createLocker"]["write"] == first
    put = 'mutation { putLocker(lockerId: %s, amount: 1, %sidempotencyKey: "two") { write { id } errors { code } } }'
    second = server.query(put % (first["recordId"], ""))["putLocker"]["write"]
    assert server.query(put % (first["recordId"], ""))["putLocker"]["write"] == second
    reused = [{"code": "IDEMPOTENCY_KEY_REUSED"}]
    assert server.query(put % (first["recordId"], "ifVersion: 1, "))["putLocker"]["errors"] == reused
    other = 'mutation { createOrder(number: "k-1", total: 3, idempotencyKey: "one") { errors { code } } }'
    assert server.query(other)["createOrder"]["errors"] == reused
    found = server.query(
        f"{{ locker(lockerId: {first['recordId']}, afterWrite: {second['id']}) {{ content version }} }}"
    )
    assert found == {"locker": {"content": 4, "version": 2}}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ('{ writes(resource: "Product") { nodes { id } } }', "resource is 'Product': give one of Order, Locker"),
        ("{ writes(recordId: 1) { nodes { id } } }", "recordId is given without its resource: give both"),
        ('{ writes(resource: "Order", recordId: "x") { nodes { id } } }', "recordId is 'x': give a whole number"),
        ('{ order(orderId: "x") { id } }', "orderId is 'x': give a whole number"),
        ("{ orders(minWeight: -1) { nodes { id } } }", "minWeight is -1"),
    ],
)
def test_a_wrong_question_is_answered_with_what_to_ask(server: ServerProcess, document: str, says: str) -> None:
    from contextlib import closing

    with closing(server.client()) as client:
        [error] = client.execute(document)["errors"]
    assert says in error["message"]


def test_wrong_arguments_of_operations_queue_nothing(server: ServerProcess, create: Callable[..., Any]) -> None:
    order_id = create(number="a", total=2)["order"]["id"]
    document = """mutation { payOrder(orderId: %s, amount: %s%s) { success errors { field code message } } }"""
    for given, expected in (
        ((order_id, 0, ""), (["amount"], "OUT_OF_RANGE", "amount is 0: give a whole number from 1 to 2147483647")),
        (('"x"', 1, ""), (["orderId"], "INVALID_ID", "orderId is 'x': give the whole number of an order")),
        ((order_id, 1, ", ifVersion: 0"), (["ifVersion"], "INVALID_VERSION", "ifVersion is 0: give the version that")),
    ):
        answer = server.query(document % given)["payOrder"]
        [error] = answer["errors"]
        assert (answer["success"], error["field"], error["code"]) == (False, *expected[:2])
        assert error["message"].startswith(expected[2])


def test_codes_and_operations_that_another_version_declared_are_shown_as_such(server: ServerProcess) -> None:
    columns = "id, operation, record_id, arguments, accepted_at_us, status, error_code, error_message, settled_at_us"
    values = "500000000000000000, 'SHIP', 1, '{}', 1, 'FAILED', 'NO_SHIP', 'It has no ship', 2, 'Order'"
    server.database.rows(f"INSERT INTO ledger ({columns}, resource) VALUES ({values})")
    document = "{ write(id: 500000000000000000) { operation error { code message } record { id } } }"
    found = server.query(document)["write"]
    assert found == {"operation": "OTHER", "error": {"code": "OTHER", "message": "It has no ship"}, "record": None}
