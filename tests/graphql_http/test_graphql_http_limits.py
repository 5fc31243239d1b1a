"""Each limit on a document, one by one, and what the worst documents that pass them cost."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest
from graphql import build_schema, get_introspection_query, parse
from graphql_http_client import GRAPHQL_RESPONSE, Client, answered, refused
from graphql_http_site import SCHEMA

from afterwrite.base.settings import Settings
from afterwrite.graphql_http import Limits
from afterwrite.graphql_http.compiled import CompiledOperation, InterpretedOperation
from afterwrite.graphql_http.cost import CostCounter
from afterwrite.graphql_http.documents import MAX_CACHED_CHARS, MAX_CACHED_CHARS_TOTAL, DocumentStore
from afterwrite.graphql_http.errors import GraphQLRefusal
from afterwrite.graphql_http.parsing import parse_document

GRAPHIQL_QUERY = get_introspection_query(
    schema_description=True, specified_by_url=True, directive_is_repeatable=True, input_value_deprecation=True
)


def _refusal(limits: Limits, query: str, variables: Any = None) -> dict[str, Any]:
    return refused(Client(limits=limits).post(query, variables), 200, "GRAPHQL_VALIDATION_FAILED")


def _nested(levels: int) -> str:
    return "{ item { " + "again { " * (levels - 2) + "id" + " }" * levels


@pytest.mark.parametrize(
    ("limit", "maximum", "allowed", "refused_query", "found"),
    [
        ("max_document_chars", 20, "{ hello }", "{ hello hello hello }", 21),
        ("max_operations", 1, "{ hello }", "query A { hello } query B { hello }", 2),
        ("max_depth", 3, _nested(3), _nested(4), 4),
        ("max_aliases", 1, "{ a: hello }", "{ a: hello b: hello }", 2),
        ("max_root_fields", 2, "{ hello item { id name } }", "{ hello hello item { id } }", 3),
        ("max_directives", 1, "{ hello @skip(if: false) }", "query @a { hello @b }", 2),
        ("max_fields", 2, "{ item { id } }", "{ item { id name } }", 3),
        ("max_comparisons", 1, "{ hello hello }", "{ hello hello hello }", 3),
        ("max_cost", 12, "{ items(first: 4) { id name } }", "{ items(first: 5) { id name } }", 15),
    ],
)
def test_a_limit_is_named_with_what_it_allows_and_what_was_found(
    limit: str, maximum: int, allowed: str, refused_query: str, found: int
) -> None:
    limits = Limits(**{limit: maximum})
    assert answered(Client(limits=limits).post(allowed), 200)["data"]
    error = _refusal(limits, refused_query)
    name = f" ({limit.upper()})" if hasattr(Settings, limit) else ""
    assert f"the limit is {maximum}{name}. " in error["message"]
    assert f"has {found} " in error["message"]
    expected = {"limit": limit, "maximum": maximum, "found": found}
    assert error["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED", **expected}


def test_tokens_are_limited_and_so_are_comments() -> None:
    client = Client(limits=Limits(max_tokens=6))
    assert client.data("{ hello }")
    error = refused(client.post("{ hello hello hello hello hello }"), 200, "GRAPHQL_PARSE_FAILED")
    assert "more than 6 tokens" in error["message"]
    refused(client.post("#\n" * 7 + "{ hello }"), 200, "GRAPHQL_PARSE_FAILED")


def test_fragments_count_wherever_they_are_spread() -> None:
    query = "{ item { ...F again { ...F } } } fragment F on Item { a: id b: name }"
    assert _refusal(Limits(max_aliases=3), query)["extensions"]["found"] == 4
    assert _refusal(Limits(max_fields=7), query)["extensions"]["found"] == 8
    deep = "{ ...A } fragment A on Query { item { ...B } } fragment B on Item { again { id } }"
    assert _refusal(Limits(max_depth=2), deep)["extensions"]["found"] == 3
    inline = "{ ... { ... on Query { hello a: hello b: hello } } }"
    assert _refusal(Limits(max_root_fields=2), inline)["extensions"]["found"] == 3


def test_a_fragment_that_nothing_spreads_is_counted_too() -> None:
    query = "{ hello } fragment F on Query { " + "hello " * 200 + "}"
    assert _refusal(Limits(), query)["extensions"]["limit"] == "max_comparisons"


def test_fragments_that_double_each_other_take_no_time() -> None:
    doubling = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(100))
    query = "{ ...F0 } " + doubling + " fragment F100 on Query { hello }"
    start = time.thread_time()
    _refusal(Limits(), query)
    assert time.thread_time() - start < 1


@pytest.mark.parametrize(
    "query",
    [
        "{ ...A } fragment A on Query { ...A }",
        "{ ...A } fragment A on Query { hello ...B } fragment B on Query { ...A }",
        "{ ...A } fragment A on Query { item { again { ...B } } } fragment B on Item { ...C ...B }"
        " fragment C on Item { id }",
    ],
)
def test_fragments_that_spread_themselves_are_refused(query: str) -> None:
    assert "within itself" in _refusal(Limits(), query)["message"]


def test_deeply_nested_documents_are_refused_not_failed() -> None:
    client = Client()
    for query in (
        "{" * 3_000,
        "{ item " * 3_000 + "}" * 3_000,
        "{ echo(texts: " + "[" * 3_000 + "]" * 3_000 + ") }",
        "{ ...F0 } "
        + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} }}" for n in range(900))
        + " fragment F900 on Query { hello }",
        "{ " + "... { " * 150 + "hello" + " }" * 151,
        "query($a: " + "[" * 400 + "Int" + "]" * 400 + ") { hello }",
    ):
        answered(client.post(query), 200)


def test_the_introspection_query_of_graphiql_passes_the_default_limits() -> None:
    assert Client().data(GRAPHIQL_QUERY)["__schema"]["types"]


@pytest.mark.parametrize(
    ("query", "variables", "cost"),
    [
        ("{ hello }", {}, 1),
        ("{ items { id } }", {}, 20),
        ("{ items(first: 3) { id } }", {}, 6),
        ("{ items(first: 3, last: 5) { id } }", {}, 10),
        ("{ items(last: 3) { id } }", {}, 20),
        ("{ items(first: null) { id } }", {}, 20),
        ("{ items(first: 0) { id } }", {}, 2),
        ("{ item { pages { id } } }", {}, 1 + 50 * 2),
        ("{ items(first: 3) { items(first: 4) { id name } } hello }", {}, 3 * (1 + 4 * 3) + 1),
        ("query($n: Int) { items(first: $n) { id } }", {"n": 7}, 14),
        ("query($n: Int) { items(first: $n) { id } }", {"n": 7.0}, 14),
        ("query($n: Int) { items(first: $n) { id } }", {}, 20),
        ("query($n: Int) { items(first: $n) { id } }", {"n": None}, 20),
        ("query($n: Int) { items(first: $n) { id } }", {"n": "many"}, 20),
        ("query($n: Int = 30) { items(first: $n) { id } }", {}, 60),
        ("query($n: Int) { items(first: 2, last: $n) { id } }", {"n": 1}, 4),
        ("query($n: Int) { items(first: 2, last: $n) { items(first: $n) { id } } }", {"n": 4}, 4 * (1 + 8)),
        ("query($n: Int) { ...F } fragment F on Query { items(first: $n) { ...G } } "
         "fragment G on Item { id ... on Node { id } }", {"n": 2}, 6),
    ],
)  # fmt: skip
def test_the_cost_is_the_product_of_the_page_sizes(query: str, variables: dict[str, Any], cost: int) -> None:
    document = DocumentStore(SCHEMA.graphql_schema, Limits()).get(query)
    assert document.operation(None).cost.of(variables) == cost


def test_a_page_size_of_any_length_is_refused() -> None:
    query = "query($n: Int) { items(first: $n) { id } }"
    client = Client()
    for size in (10**9, 10**4_000, 1e300):
        refused(client.post(query, {"n": size}), 200, "GRAPHQL_VALIDATION_FAILED")


def test_only_so_many_documents_are_remembered() -> None:
    store = DocumentStore(SCHEMA.graphql_schema, Limits(document_cache_size=3))
    for number in range(5):
        store.get(f"{{ hello }} # {number}")
    assert len(store) == 3


WRONG = ["{ nothing }", "{ hello", "{ ...F } fragment F on Query { ...F }", "{ item " * 21 + "}" * 21]


@pytest.mark.parametrize("query", WRONG)
def test_a_wrong_document_is_refused_the_second_time_without_being_read(
    query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    first = answered(client.post(query), 200)
    assert first["errors"]
    monkeypatch.setattr("afterwrite.graphql_http.documents.parse_document", None)
    assert answered(client.post(query), 200) == first
    assert answered(client.post(query, accept=GRAPHQL_RESPONSE), 400) == first
    assert answered(client.post(query, {"name": "x"}, operationName="Other"), 200) == first


def test_wrong_documents_drop_no_valid_one_and_only_so_many_are_remembered() -> None:
    store = DocumentStore(SCHEMA.graphql_schema, Limits(document_cache_size=3))
    kept = store.get("{ hello } # kept")
    for number in range(9):
        with pytest.raises(GraphQLRefusal):
            store.get(f"{{ nothing{number} }}")
    assert store.get("{ hello } # kept") is kept
    assert len(store._wrong) == 3


def test_what_the_errors_of_wrong_documents_take_is_bounded() -> None:
    store = DocumentStore(SCHEMA.graphql_schema, Limits(max_errors=50))

    def refuse(query: str) -> None:
        with pytest.raises(GraphQLRefusal):
            store.get(query)

    refuse("{ " + " ".join(f"item{'s' * 1_000} : nothing{'x' * 300}{n}" for n in range(12)) + " }")
    assert len(store._wrong) == 0
    size = MAX_CACHED_CHARS // 2
    for number in range(2 * MAX_CACHED_CHARS_TOTAL // size):
        refuse("{ " + " ".join(f"x{n}: nothing{number}{'x' * (size // 5)}" for n in range(4)) + " }")
    assert 0 < len(store._wrong) < MAX_CACHED_CHARS_TOTAL // (size // 2)


def test_a_wrong_document_is_remembered_however_long_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    store = DocumentStore(SCHEMA.graphql_schema, Limits())
    query = "{ nothing } #" + "x" * 200_000
    for _ in range(2):
        with pytest.raises(GraphQLRefusal, match="Cannot query field 'nothing'"):
            store.get(query)
        monkeypatch.setattr("afterwrite.graphql_http.documents.parse_document", None)


def test_a_flood_of_documents_drops_none_that_is_used_again() -> None:
    store = DocumentStore(SCHEMA.graphql_schema, Limits(document_cache_size=20))
    honest = [f"{{ hello }} # honest {number}" for number in range(10)]
    kept = [store.get(query) for query in honest]
    assert [store.get(query) for query in honest] == kept
    for number in range(100):
        store.get(f"{{ hello }} # {number}")
    assert [store.get(query) for query in honest] == kept


def test_known_documents_are_answered_while_an_unknown_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    store = DocumentStore(SCHEMA.graphql_schema, Limits())
    known = store.get("{ hello }")
    with pytest.raises(GraphQLRefusal):
        store.get("{ nothing }")
    begun, go_on = Event(), Event()

    def read_slowly(source: str, **limits: int) -> Any:
        begun.set()
        assert go_on.wait(30)
        return parse_document(source, **limits)

    monkeypatch.setattr("afterwrite.graphql_http.documents.parse_document", read_slowly)
    with ThreadPoolExecutor(1) as pool:
        unknown = pool.submit(store.get, "{ item { id } }")
        try:
            assert begun.wait(30)
            assert store.get("{ hello }") is known
            with pytest.raises(GraphQLRefusal):
                store.get("{ nothing }")
        finally:
            go_on.set()
        assert unknown.result(30).operation(None)


@pytest.mark.parametrize("query", ["{ hello }", "{ nothing }", "{ hello"])
def test_threads_that_send_one_unknown_document_read_it_once(query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DocumentStore(SCHEMA.graphql_schema, Limits())
    all_here, second, read = Barrier(8), Event(), []

    def count(source: str, **limits: int) -> Any:
        read.append(source)
        if len(read) > 1:
            second.set()
        second.wait(0.2)  # time for another thread to begin as well
        return parse_document(source, **limits)

    def send() -> Any:
        all_here.wait(30)
        try:
            return store.get(query)
        except GraphQLRefusal as refusal:
            return refusal.errors[0]["message"]

    monkeypatch.setattr("afterwrite.graphql_http.documents.parse_document", count)
    with ThreadPoolExecutor(8) as pool:
        results = [future.result(30) for future in [pool.submit(send) for _ in range(8)]]
    assert len(read) == 1
    assert all(result == results[0] for result in results)


def test_an_operation_is_compiled_when_it_is_used_again() -> None:
    document = DocumentStore(SCHEMA.graphql_schema, Limits()).get("query A { hello } query B { hello }")
    kinds = [type(document.operation(name).executable) for name in ("A", "B", "A", "A")]
    assert kinds == [InterpretedOperation, InterpretedOperation, CompiledOperation, CompiledOperation]
    assert document.operation("A") is document.operation("A")


def test_a_variable_or_an_operation_that_is_wrong_leaves_the_document_right() -> None:
    client = Client()
    query = "query A($n: Int) { echo(integer: $n) } query B { hello }"
    for _ in range(2):
        refused(client.post(query), 200, "BAD_USER_INPUT")
        refused(client.post(query, {"n": "x"}, operationName="A"), 200, "BAD_USER_INPUT")
        assert "data" in answered(client.post(query, {"n": 1}, operationName="A"), 200)


def test_the_document_used_last_stays_remembered() -> None:
    store = DocumentStore(SCHEMA.graphql_schema, Limits(document_cache_size=2))
    kept = store.get("{ hello } # kept")
    for number in range(5):
        store.get(f"{{ hello }} # {number}")
        assert store.get("{ hello } # kept") is kept


def test_long_documents_are_not_remembered_and_all_of_them_share_a_bound() -> None:
    store = DocumentStore(SCHEMA.graphql_schema, Limits())
    store.get("{ hello } #" + "x" * MAX_CACHED_CHARS)
    assert len(store) == 0
    size = MAX_CACHED_CHARS - 100
    for number in range(MAX_CACHED_CHARS_TOTAL // size + 10):
        store.get(f"{{ hello }} # {number} " + "x" * size)
    assert len(store) == MAX_CACHED_CHARS_TOTAL // size


def test_a_cost_is_counted_once_for_each_operation() -> None:
    schema = build_schema("type Query { a(first: Int = 5): Query }")
    counter = CostCounter(schema, {}, 50)
    document = parse("{ a { a } }")
    assert counter.count(document.definitions[0]).of({}) == 5 * (1 + 5)  # type: ignore[arg-type]


def _worst_documents() -> dict[str, str]:
    def inside(body: str) -> str:
        return "{ item { " + body + " } }"

    def fragments(count: int, body: str) -> str:
        spreads = " ".join(f"...F{n}" for n in range(count))
        return inside(spreads) + " ".join(f"fragment F{n} on Item {{ {body} }}" for n in range(count))

    return {
        "one field, again and again": inside("id " * 4_900),
        "the same arguments to compare": inside("items(first: 1) { id } " * 130),
        "different arguments to compare": inside(" ".join(f"items(first: {n}) {{ id }}" for n in range(135))),
        "a nest, again and again": "{ " + ("item { " + "again { " * 16 + "id" + " }" * 17) * 21 + " }",
        "many fragments": fragments(700, "id"),
        "as many fragments as pass": fragments(20, "id name again { id }"),
        "many operations": " ".join(f"query Q{n}($v: String) {{ ...F }}" for n in range(20))
        + " fragment F on Query { echo(texts: ["
        + "$v " * 4_500
        + "]) }",
        "many errors": inside(" ".join(f"x{n}" for n in range(4_900))),
        "many wrong names to guess at": inside(" ".join("item" + "s" * 2_500 for _ in range(99))),
        "a long list": "{ echo(texts: [" + '"" ' * 9_900 + "]) }",
        "a long text": '{ hello(name: "' + "x" * 262_000 + '") }',
        "commas": "{ hello } " + "," * 262_000,
    }


@pytest.mark.parametrize("name", _worst_documents())
def test_the_worst_documents_are_read_or_refused_within_a_second(name: str) -> None:
    store = DocumentStore(SCHEMA.graphql_schema, Limits())
    document = _worst_documents()[name]
    start = time.thread_time()
    try:
        store.get(document).operation("Q0" if name == "many operations" else None)
    except GraphQLRefusal as refusal:
        assert refusal.errors
    # About 0.1 s on an idle machine; a regression to quadratic work takes many seconds.
    assert time.thread_time() - start < 1
