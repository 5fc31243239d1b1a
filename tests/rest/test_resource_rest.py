"""The REST face of declared resources, over HTTP and on both databases: records, lists, writes and conditions."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from declarations import WHOLE_ORDER
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from server_process import ServerProcess, wait_until
from task_calls import Answer, problem, rest
from write_load import PARCELS_PATH

if TYPE_CHECKING:
    from databases import Database

MERGE_PATCH = "application/merge-patch+json"


@pytest.fixture(scope="module")
def shared(module_database: "Database") -> Iterator[ServerProcess]:
    """A running server of the application with three resources."""
    made = ServerProcess.on(module_database, PYTHONPATH=PARCELS_PATH)
    made.program = ("tests/support/four_resources_app.py",)
    yield made.start()
    made.kill()


@pytest.fixture
def server(shared: ServerProcess) -> Iterator[ServerProcess]:
    """The server, whose records are deleted after each test."""
    yield shared
    for plural in ("orders", "lockers", "products"):
        for record in rest(shared, "GET", f"/api/{plural}?limit=500").body[plural]:
            assert rest(shared, "DELETE", f"/api/{plural}/{record['id']}", Prefer="wait=30").status == 204


def create(server: ServerProcess, plural: str, **fields: Any) -> Answer:
    """The answer to a POST that waits until the record is there."""
    answer = rest(server, "POST", f"/api/{plural}", fields, Prefer="wait=30")
    assert answer.status == 201, answer.body
    return answer


def links(answer: Answer) -> dict[str, str]:
    """The paths of the Link header by their relation."""
    found = re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers.get("Link", ""))
    return {rel: path for path, rel in found}


# -- records -----------------------------------------------------------------------------------------------------------


def test_a_record_is_answered_as_it_was_sent_and_as_graphql_shows_it(server: ServerProcess) -> None:
    answer = create(server, "orders", **WHOLE_ORDER)
    order = answer.body
    expected = {**WHOLE_ORDER, "note": "étude", "weight": 2.0, "paidAt": "2026-11-30T11:00:00+00:00"}
    assert {name: order[name] for name in WHOLE_ORDER} == expected
    assert (order["perPiece"], order["version"]) == (0, 1)
    path = f"/api/orders/{order['id']}"
    assert answer.headers["Location"] == path
    assert rest(server, "GET", path).body == order
    assert rest(server, "GET", "/api/orders").body == {"orders": [order]}
    shown = server.query(f"{{ order(orderId: {order['id']}) {{ {' '.join(order)} }} }}")["order"]
    assert shown == order


def test_left_out_fields_have_their_defaults_and_a_path_of_the_server_is_absolute(server: ServerProcess) -> None:
    order = create(server, "orders", number="A-2", total=1, pieces=3.0).body
    assert (order["state"], order["pieces"], order["gift"], order["extra"]) == ("OPEN", 3, False, None)
    product = create(server, "products", title="Lamp", price=12.5, ratingRate=4.5).body
    assert product["rating"] == {"rate": 4.5, "count": None}
    assert product["image"] is None


def test_a_record_has_an_etag_that_changes_with_it(server: ServerProcess) -> None:
    made = create(server, "lockers", code="A")
    path = made.headers["Location"]
    found = rest(server, "GET", path)
    assert found.headers["ETag"] == made.headers["ETag"] == '"1"'
    for known in ('"1"', 'W/"1"', '"7", "1"', "*"):
        same = rest(server, "GET", path, If_None_Match=known)
        assert (same.status, same.headers["ETag"], same.body) == (304, '"1"', None)
    changed = rest(server, "PATCH", path, {"content": 5}, Prefer="wait=30")
    assert (changed.status, changed.headers["ETag"], changed.body["version"]) == (200, '"2"', 2)
    assert rest(server, "GET", path, If_None_Match='"1"').body == changed.body


@pytest.mark.parametrize("record_id", ["0", "-1", "x", "1e3", "9223372036854775808", "1234567"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_record_that_is_not_there_is_not_found(shared: ServerProcess, method: str, record_id: str) -> None:
    body = {"content": 1} if method == "PATCH" else None
    answer = rest(shared, method, f"/api/lockers/{record_id}", body, Prefer="wait=30")
    problem(answer, 404, "LOCKER_NOT_FOUND")


# -- lists -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["ID_ASC", "ID_DESC", "WEIGHT_ASC", "WEIGHT_DESC", "NUMBER_DESC", "DUE_ASC"])
@pytest.mark.parametrize("more", ["", "&search=a&minPieces=1"])
def test_links_lead_through_all_pages_and_back(server: ServerProcess, order: str, more: str) -> None:
    for number in range(11):
        fields = {"weight": number // 3} if number % 4 else {"due": f"2026-12-{number + 1:02}"}
        rest(server, "POST", "/api/orders", {"number": f"A-{number}", "total": 1, **fields})
    last = create(server, "orders", number="a-x", total=1)
    whole = rest(server, "GET", f"/api/orders?orderBy={order}{more}")
    assert links(whole) == {}
    pages = [rest(server, "GET", f"/api/orders?limit=5&orderBy={order}{more}")]
    assert links(pages[0]).keys() == {"next"}
    while path := links(pages[-1]).get("next"):
        pages.append(rest(server, "GET", path))
    assert [len(page.body["orders"]) for page in pages] == [5, 5, 2]
    assert [one for page in pages for one in page.body["orders"]] == whole.body["orders"]
    for page in reversed(pages[:-1]):
        back = rest(server, "GET", links(pages.pop())["prev"])
        assert back.body == page.body
    assert last.body in whole.body["orders"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=PAID", ["2"]),
        ("stateIn=PAID&stateIn=SENT", ["2", "3"]),
        ("minTotal=1.5&maxTotal=2", ["2"]),
        ("minTotal=1e0", ["1", "2", "3"]),
        ("minWeight=0.5", ["3"]),
        ("gift=true", ["3"]),
        ("gift=false", ["1", "2"]),
        ("piecesIn=1&piecesIn=1099511627776", ["1", "2", "3"]),
        ("minPieces=1099511627776", ["2"]),
        ("minDue=2026-12-24", ["2"]),
        ("minPaidAt=2026-11-30T12:00:00%2B01:00", ["3"]),
        ("mail=mia@example.org", ["1"]),
        ("search=SECOND", ["2"]),
        ("search=second&state=OPEN", []),
        ("orderBy=TOTAL_DESC", ["3", "2", "1"]),
        ("orderBy=TOTAL_DESC&limit=2", ["3", "2"]),
    ],
)
def test_a_list_is_searched_filtered_and_ordered(server: ServerProcess, query: str, found: list[str]) -> None:
    create(server, "orders", number="1", total=1, mail="mia@example.org")
    create(server, "orders", number="2", total=2, state="PAID", due="2026-12-24", note="Second", pieces=2**40)
    create(server, "orders", number="3", total=3, state="SENT", weight=1, gift=True, paidAt="2026-11-30T11:00:00Z")
    answer = rest(server, "GET", f"/api/orders?{query}")
    assert [order["number"] for order in answer.body["orders"]] == found


@pytest.mark.parametrize("text", ["%00", "x" * 5_000, "%F0%9F%A6%93", "%ff", "'", "a%0Ab"])
def test_any_text_may_be_looked_for(server: ServerProcess, text: str) -> None:
    create(server, "products", title="Lamp", price=1, category="Home")
    assert rest(server, "GET", f"/api/products?category={text}").body == {"products": []}


def test_a_filter_that_is_not_declared_is_refused_and_not_ignored(shared: ServerProcess) -> None:
    refused = problem(rest(shared, "GET", "/api/orders?state=OPEN&colour=red"), 422, "UNKNOWN_PARAMETER")
    assert refused["errors"] == [{"parameter": "colour", "detail": "is not a parameter"}]
    assert refused["detail"].startswith("colour is not a parameter: give only search, state, ")


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("limit=0", ["limit"]),
        ("limit=501", ["limit"]),
        ("limit=x&orderBy=x&state=x", ["limit", "orderBy", "state"]),
        ("limit=1&limit=2", ["limit"]),
        ("stateIn=OPEN&stateIn=x", ["stateIn"]),
        ("minTotal=0.001", ["minTotal"]),
        ("minTotal=1e999", ["minTotal"]),
        ("minTotal=-1", ["minTotal"]),
        ("minWeight=nan", ["minWeight"]),
        ("gift=1", ["gift"]),
        ("minPieces=1.5", ["minPieces"]),
        ("maxPieces=1099511627777", ["maxPieces"]),
        ("minDue=tomorrow", ["minDue"]),
        ("minPaidAt=2026-11-30", ["minPaidAt"]),
        ("mail=nobody", ["mail"]),
        ("search=" + "x" * 201, ["search"]),
        ("search=%00", ["search"]),
        ("afterWrite=x", ["afterWrite"]),
        ("after=a&before=b", ["after", "before"]),
        ("after=x", []),
        ("after=WyJUSVRMRV9BU0MiLCIxIiwxXQ", []),
        ("afterWrite=9223372036854775807", []),
    ],
)
def test_a_list_that_cannot_be_is_refused_with_the_parameters(
    shared: ServerProcess, query: str, parameters: list[str]
) -> None:
    refused = problem(rest(shared, "GET", f"/api/orders?{query}"), 422, "INVALID_REQUEST")
    assert sorted(error["parameter"] for error in refused.get("errors", ())) == sorted(parameters)
    assert len(refused["detail"]) < 400


# -- writes ------------------------------------------------------------------------------------------------------------


def test_a_write_is_answered_with_its_receipt_which_says_later_what_became_of_it(server: ServerProcess) -> None:
    answer = rest(server, "POST", "/api/lockers", {"code": "A", "content": 2})
    assert answer.status == 202
    receipt = answer.body
    assert answer.headers["Location"] == f"/api/writes/{receipt['id']}"
    assert "Preference-Applied" not in answer.headers
    assert receipt["record"] == f"/api/lockers/{receipt['recordId']}"
    assert (receipt["resource"], receipt["operation"], receipt["status"]) == ("Locker", "CREATE", "QUEUED")
    record = rest(server, "GET", f"{receipt['record']}?afterWrite={receipt['id']}").body
    assert (record["code"], record["content"]) == ("A", 2)
    settled = rest(server, "GET", answer.headers["Location"]).body
    assert settled == {**receipt, "status": "APPLIED", "settledAt": settled["settledAt"]}
    assert settled["settledAt"] >= receipt["acceptedAt"]


@pytest.mark.parametrize("write_id", ["x", "0", "9223372036854775807", "9223372036854775808"])
def test_a_receipt_that_never_was_is_not_found(shared: ServerProcess, write_id: str) -> None:
    problem(rest(shared, "GET", f"/api/writes/{write_id}"), 404, "WRITE_NOT_FOUND")


def test_a_failed_write_says_why_in_its_receipt(server: ServerProcess) -> None:
    path = create(server, "lockers", code="A").headers["Location"]
    receipt = rest(server, "POST", f"{path}/put", {"amount": -1}, If_Match='"1"').body
    assert receipt["ifVersion"] == 1
    rest(server, "GET", f"{path}?afterWrite={receipt['id']}")
    settled = rest(server, "GET", f"/api/writes/{receipt['id']}").body
    assert (settled["status"], settled["error"]) == ("FAILED", {"code": "EMPTY", "message": "0 are in it"})


def test_whoever_waits_is_answered_with_the_record_or_the_reason(server: ServerProcess) -> None:
    path = create(server, "lockers", code="A").headers["Location"]
    put = rest(server, "POST", f"{path}/put", {"amount": 3}, Prefer="respond-async, WAIT = 30; x=y")
    assert (put.status, put.body["content"], put.headers["ETag"]) == (200, 3, '"2"')
    assert put.headers["Preference-Applied"] == "wait=30"
    taken = problem(rest(server, "POST", "/api/lockers", {"code": "A"}, Prefer="wait=30"), 409, "NOT_UNIQUE")
    assert rest(server, "GET", f"/api/writes/{taken['writeId']}").body["status"] == "FAILED"
    assert (
        "3 are in it"
        in problem(rest(server, "POST", f"{path}/put", {"amount": -4}, Prefer="wait=30"), 409, "EMPTY")["detail"]
    )
    gone = rest(server, "DELETE", path, Prefer="wait=30")
    assert (gone.status, gone.body, gone.headers["Preference-Applied"]) == (204, None, "wait=30")
    problem(rest(server, "POST", f"{path}/put", {"amount": 1}, Prefer="wait=30"), 404, "LOCKER_NOT_FOUND")


@pytest.mark.parametrize("preference", ["", "wait", "wait=", "wait=-1", "wait=1.5", "wait=x", "return=minimal", ",,;"])
def test_a_preference_that_cannot_be_followed_is_ignored(server: ServerProcess, preference: str) -> None:
    answer = rest(server, "POST", "/api/lockers", {"code": "A"}, Prefer=preference)
    assert (answer.status, answer.headers.get("Preference-Applied")) == (202, None)
    rest(server, "GET", f"{answer.body['record']}?afterWrite={answer.body['id']}")


def test_if_match_lets_a_write_change_only_that_version(server: ServerProcess) -> None:
    path = create(server, "lockers", code="A").headers["Location"]
    assert rest(server, "PATCH", path, {"content": 1}, If_Match='"1"', Prefer="wait=30").status == 200
    for method, body in (("PATCH", {"content": 2}), ("DELETE", None)):
        answer = rest(server, method, path, body, If_Match='"1"', Prefer="wait=30")
        assert "has version 2, not 1" in problem(answer, 412, "VERSION_CONFLICT")["detail"]
    problem(
        rest(server, "POST", f"{path}/put", {"amount": 1}, If_Match='"9"', Prefer="wait=30"), 412, "VERSION_CONFLICT"
    )
    receipt = rest(server, "PATCH", path, {"content": 2}, If_Match='"1"').body
    assert wait_until(lambda: rest(server, "GET", f"/api/writes/{receipt['id']}").body["error"]) == {
        "code": "VERSION_CONFLICT",
        "message": f"Locker {receipt['recordId']} has version 2, not 1: read it again and decide; nothing was changed",
    }
    assert rest(server, "PATCH", path, {"content": 3}, If_Match="*", Prefer="wait=30").headers["ETag"] == '"3"'


@pytest.mark.parametrize("given", ['W/"1"', "1", '"x"', '"0"', '"01"', '"1", "2"', '""', "", '"2147483648"'])
@pytest.mark.parametrize("method", ["PATCH", "DELETE", "POST"])
def test_an_if_match_that_no_record_can_have_is_refused(server: ServerProcess, method: str, given: str) -> None:
    path = create(server, "lockers", code="A").headers["Location"]
    body = {"PATCH": {"content": 1}, "POST": {"amount": 1}, "DELETE": None}[method]
    answer = rest(server, method, f"{path}/put" if method == "POST" else path, body, If_Match=given)
    refused = problem(answer, 400, "BAD_REQUEST")
    assert [error["header"] for error in refused["errors"]] == ["If-Match"]
    assert rest(server, "GET", path).headers["ETag"] == '"1"'


def test_a_repeat_with_the_same_key_has_the_same_receipt_and_another_request_is_refused(server: ServerProcess) -> None:
    first = rest(server, "POST", "/api/lockers", {"code": "A"}, Idempotency_Key="rest-1").body
    again = rest(server, "POST", "/api/lockers", {"code": "A"}, Idempotency_Key="rest-1", Prefer="wait=30")
    assert (again.status, again.body["id"]) == (201, first["recordId"])
    receipt = rest(server, "POST", "/api/lockers", {"code": "A"}, Idempotency_Key="rest-1").body
    assert (receipt["id"], receipt["status"]) == (first["id"], "APPLIED")
    other = rest(server, "POST", "/api/lockers", {"code": "B"}, Idempotency_Key="rest-1")
    problem(other, 422, "IDEMPOTENCY_KEY_REUSED")
    path = again.headers["Location"]
    for number in range(2):
        put = rest(server, "POST", f"{path}/put", {"amount": 5}, Idempotency_Key="rest-2", Prefer="wait=30")
        assert put.body["content"] == 5, number
    for key in ("", "x" * 256, "clé"):
        for method, place, body in (("POST", "/api/lockers", {"code": "C"}), ("DELETE", path, None)):
            refused = problem(rest(server, method, place, body, Idempotency_Key=key), 422, "INVALID_ARGUMENT")
            assert [error["header"] for error in refused["errors"]] == ["Idempotency-Key"]


# -- refusals ----------------------------------------------------------------------------------------------------------

ORDER = {"number": "A-1", "total": 1}


@pytest.mark.parametrize(
    ("body", "code", "pointers"),
    [
        ({}, "REQUIRED", ["#/number", "#/total"]),
        ({"number": " ", "total": 0.001}, "REQUIRED", ["#/number", "#/total"]),
        ({**ORDER, "number": "x" * 21}, "TOO_LONG", ["#/number"]),
        ({**ORDER, "total": None, "gift": None}, "REQUIRED", ["#/total", "#/gift"]),
        ({**ORDER, "total": "1"}, "WRONG_TYPE", ["#/total"]),
        ({**ORDER, "total": True}, "WRONG_TYPE", ["#/total"]),
        ({**ORDER, "total": -1}, "OUT_OF_RANGE", ["#/total"]),
        ({**ORDER, "tip": 1.5}, "TOO_MANY_DECIMALS", ["#/tip"]),
        ({**ORDER, "state": "LOST"}, "NOT_A_CHOICE", ["#/state"]),
        ({**ORDER, "pieces": 1.5}, "WRONG_TYPE", ["#/pieces"]),
        ({**ORDER, "pieces": 2**40 + 1}, "OUT_OF_RANGE", ["#/pieces"]),
        ({**ORDER, "due": "2026-02-30"}, "INVALID_TIME", ["#/due"]),
        ({**ORDER, "paidAt": "2026-11-30T12:00:00"}, "INVALID_TIME", ["#/paidAt"]),
        ({**ORDER, "link": "ftp://x"}, "INVALID_URL", ["#/link"]),
        ({**ORDER, "mail": "mia"}, "INVALID_EMAIL", ["#/mail"]),
        ({**ORDER, "note": "\u0007"}, "INVALID_TEXT", ["#/note"]),
        ({**ORDER, "extra": "x" * 70_000}, "TOO_LONG", ["#/extra"]),
        ({**ORDER, "gift": True, "tip": 1}, "GIFT_WITH_TIP", []),
        ({**ORDER, "paid_at": None, "id": 1}, "UNKNOWN_FIELD", ["#/paid_at", "#/id"]),
        ({**ORDER, "a/b~ü": 1}, "UNKNOWN_FIELD", ["#/a~1b~0%C3%BC"]),
        ([ORDER], "INVALID_REQUEST", ["#"]),
        (None, "INVALID_REQUEST", ["#"]),
    ],
)
def test_a_record_that_does_not_fit_is_refused_with_the_places(
    server: ServerProcess, body: Any, code: str, pointers: list[str]
) -> None:
    answer = rest(server, "POST", "/api/orders", raw=json.dumps(body).encode(), Prefer="wait=30")
    refused = problem(answer, 422, code)
    assert [error["pointer"] for error in refused.get("errors", ())] == pointers
    assert rest(server, "GET", "/api/orders").body == {"orders": []}


def test_a_change_and_the_arguments_of_an_operation_are_refused_with_the_places(server: ServerProcess) -> None:
    path = create(server, "orders", **ORDER).headers["Location"]
    for place, body, code, pointers in (
        ("", {}, "NOTHING_TO_CHANGE", []),
        ("", {"number": "B"}, "IMMUTABLE", ["#/number"]),
        ("", {"total": None, "weight": -1}, "REQUIRED", ["#/total", "#/weight"]),
        ("", {"perPiece": 1}, "UNKNOWN_FIELD", ["#/perPiece"]),
        ("/pay", {}, "REQUIRED", ["#/amount"]),
        ("/pay", {"amount": 0}, "OUT_OF_RANGE", ["#/amount"]),
        ("/pay", {"amount": 1, "at": "2026-11-30T12:00:00Z"}, "UNKNOWN_FIELD", ["#/at"]),
        ("/add", {"pieces": "1"}, "WRONG_TYPE", ["#/pieces"]),
        ("/postpone", {"until": "soon"}, "INVALID_TIME", ["#/until"]),
    ):
        refused = problem(rest(server, "POST" if place else "PATCH", path + place, body), 422, code)
        assert [error["pointer"] for error in refused.get("errors", ())] == pointers, body
    assert rest(server, "GET", path).headers["ETag"] == '"1"'


def test_operations_take_their_arguments_and_fill_in_defaults(server: ServerProcess) -> None:
    path = create(server, "orders", **ORDER).headers["Location"]
    assert rest(server, "POST", f"{path}/add", {}, Prefer="wait=30").body["pieces"] == 2
    assert rest(server, "POST", f"{path}/add", {"pieces": 3.0}, Prefer="wait=30").body["pieces"] == 5
    paid = rest(server, "POST", f"{path}/pay", {"amount": 100}, Prefer="wait=30").body
    assert (paid["state"], paid["paidAt"]) == ("PAID", paid["updatedAt"])
    until = {"until": "2026-12-24T10:00:00Z"}
    assert rest(server, "POST", f"{path}/postpone", until, Prefer="wait=30").body["due"] == "2026-12-24"


def test_a_change_is_a_merge_patch_only_where_no_field_holds_an_object(server: ServerProcess) -> None:
    path = create(server, "lockers", code="M-1").headers["Location"]
    changed = rest(server, "PATCH", path, {"content": 7}, Content_Type=MERGE_PATCH, Prefer="wait=30").body
    assert (changed["content"], changed["version"]) == (7, 2)
    path = create(server, "orders", **WHOLE_ORDER).headers["Location"]
    problem(rest(server, "PATCH", path, {"weight": 7}, Content_Type=MERGE_PATCH), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_change_replaces_the_given_fields_and_null_empties(server: ServerProcess) -> None:
    path = create(server, "orders", **WHOLE_ORDER).headers["Location"]
    patch = {"note": None, "extra": {"b": 1}, "weight": 7}
    changed = rest(server, "PATCH", path, patch, Prefer="wait=30").body
    assert (changed["note"], changed["extra"], changed["weight"]) == (None, {"b": 1}, 7.0)
    assert (changed["number"], changed["total"], changed["version"]) == ("A-1", 12.5, 2)


@pytest.mark.parametrize("path", ["/api/lockers", "/api/lockers/1/put", "/api/lockers/1"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", MERGE_PATCH])
def test_only_json_is_taken_and_a_merge_patch_only_by_patch(shared: ServerProcess, path: str, kind: str) -> None:
    method = "PATCH" if path.endswith("/1") else "POST"
    answer = rest(shared, method, path, raw=b"{}", Content_Type=kind)
    if (method, kind) == ("PATCH", MERGE_PATCH):
        problem(answer, 422, "NOTHING_TO_CHANGE")
        return
    problem(answer, 415, "UNSUPPORTED_MEDIA_TYPE")
    assert answer.headers["Accept"] == ("application/json, " + MERGE_PATCH if method == "PATCH" else "application/json")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/lockers", "GET, HEAD, OPTIONS, POST"),
        ("POST", "/api/lockers/1", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("GET", "/api/lockers/1/put", "OPTIONS, POST"),
        ("DELETE", "/api/writes/1", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_method_that_is_not_answered_names_those_that_are(
    shared: ServerProcess, method: str, path: str, allowed: str
) -> None:
    answer = rest(shared, method, path)
    problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["Allow"] == allowed


def test_the_openapi_document_of_three_resources_is_sound(shared: ServerProcess) -> None:
    document = rest(shared, "GET", "/openapi.json").body
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    order = document["components"]["schemas"]["NewOrder"]
    assert order["required"] == ["number", "total"]
    assert order["properties"]["pieces"] == {"type": "integer", "minimum": 0, "maximum": 2**40, "default": 1}
    state = {"type": "string", "enum": ["OPEN", "PAID", "SENT"], "default": "OPEN"}
    assert order["properties"]["state"] == state
    assert "number" not in document["components"]["schemas"]["OrderChange"]["properties"]
    assert document["paths"]["/api/orders/{order_id}/pay"]["post"]["operationId"] == "payOrder"


def test_head_has_the_headers_of_get(server: ServerProcess) -> None:
    path = create(server, "lockers", code="A").headers["Location"]
    assert rest(server, "HEAD", path).headers["ETag"] == '"1"'
    create(server, "lockers", code="B")
    assert "next" in rest(server, "HEAD", "/api/lockers?limit=1").headers["Link"]
