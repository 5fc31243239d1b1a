"""What the OpenAPI document lets through is taken: requests made from its schemas are not refused as malformed."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from server_process import ServerProcess
from task_calls import problem, rest

from afterwrite.webhooks.callback_pattern import callback_pattern
from afterwrite.webhooks.guarded_http import check_callback_url

pytestmark = pytest.mark.one_database("requests are checked before a database is asked")

# What depends on what came before, and what no schema can say.
STATE = {"IDEMPOTENCY_KEY_REUSED", "MOVE_NOT_ALLOWED", "TASK_LOCKED", "TASK_NOT_FOUND"}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(-1e300, 1e300) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
REQUESTS = [("get", "/api/entries"), ("post", "/api/entries"), ("patch", "/api/entries/{entry_id}"),
            ("post", "/api/process")]  # fmt: skip


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all requests."""
    server = ServerProcess(tmp_path_factory.mktemp("accepts") / "data", STAGE_SECONDS="1000").start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def document(api: ServerProcess) -> Any:
    """The document as the server shows it."""
    return rest(api, "GET", "/openapi.json").body


@pytest.fixture(scope="module")
def entry(api: ServerProcess) -> str:
    """An entry to be changed."""
    return str(rest(api, "POST", "/api/entries", {"title": "Changed"}).body["id"])


def validator(document: Any, schema: Any) -> Draft202012Validator:
    """A validator of a schema in the document."""
    resource = Resource.from_contents(document, default_specification=DRAFT202012)
    text = json.dumps(schema).replace('"#/', '"urn:document#/')
    return Draft202012Validator(json.loads(text), registry=Registry().with_resource("urn:document", resource))


def resolved(document: Any, schema: Any) -> Any:
    """A schema, or the one that its reference names."""
    return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def values(document: Any, schema: Any) -> st.SearchStrategy[Any]:
    """Values that nearly always fit a schema; its validator sorts the others out."""
    schema = resolved(document, schema)
    if "allOf" in schema:
        return values(document, schema["allOf"][0])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([of_type(document, kind, schema) for kind in kinds])


def of_type(document: Any, kind: str, schema: Any) -> st.SearchStrategy[Any]:
    """Values of one type of a schema."""
    match kind:
        case "null":
            return st.none()
        case "integer":
            return st.integers(schema["minimum"], schema["maximum"])
        case "array":
            return st.lists(values(document, schema["items"]), min_size=schema.get("minItems", 0), max_size=3)
        case "string":
            most = schema["maxLength"]
            text = st.text(max_size=most)
            return text | st.from_regex(schema["pattern"]) if "pattern" in schema else text
    if "properties" not in schema:
        return st.dictionaries(st.text(max_size=10), ANY_JSON, max_size=4)
    named = {name: values(document, one) for name, one in schema["properties"].items()}
    required = {name: named.pop(name) for name in schema.get("required", ())}
    return st.fixed_dictionaries(required, optional=named)


@pytest.mark.parametrize(("method", "path"), REQUESTS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_request_that_fits_its_schemas_is_not_refused(
    api: ServerProcess, document: Any, entry: str, method: str, path: str, data: st.DataObject
) -> None:
    described = document["paths"][path][method]
    query: dict[str, Any] = {}
    headers: dict[str, Any] = {}
    for parameter in described.get("parameters", ()):
        if data.draw(st.booleans()):
            schema = parameter["schema"]
            fits = validator(document, schema).is_valid
            value = data.draw(values(document, schema).filter(fits))
            (query if parameter["in"] == "query" else headers)[parameter["name"]] = value
    body = None
    if "requestBody" in described:
        schema = described["requestBody"]["content"]["application/json"]["schema"]
        body = data.draw(values(document, schema).filter(validator(document, schema).is_valid))
    place = path.replace("{entry_id}", entry) + (f"?{urlencode(query)}" if query else "")
    answer = rest(api, method.upper(), place, body, **headers)
    assert answer.status < 300 or answer.body["code"] in STATE, answer.body


@pytest.mark.parametrize("search", ["\x1c", "a\x00", "\x7f"])
@pytest.mark.parametrize("name", ["search", "by"])
def test_what_is_refused_does_not_fit_its_schema(api: ServerProcess, document: Any, name: str, search: str) -> None:
    refused = problem(rest(api, "GET", f"/api/entries?{urlencode({name: search})}"), 422, "INVALID_REQUEST")
    assert refused["detail"] == f"{name} is {search!r}: give a text without control characters"
    parameters = document["paths"]["/api/entries"]["get"]["parameters"]
    (schema,) = [one["schema"] for one in parameters if one["name"] == name]
    assert not validator(document, schema).is_valid(search)


TAKEN = ["http://example.com", "HTTPS://Example.com/", "https://a.b:65535/x?y#z", "http://a_b-c.example./é ü",
         "https://93.184.216.34/", "https://168.63.129.160/", "https://[2606:2800:220:1:248:1893:25c8:1946]:443/",
         "https://[2a00::1]/", "https://[2001:4860:4860::8888]/", "http://1.2.3.example/", "http://localhost.example/",
]  # fmt: skip
REFUSED = ["nonsense", "", "ftp://example.com/", "http://", "http:///x", "http://u:p@example.com/", "http://u@h/",
           "http://a b/", "http://example.com\n", "http://example.com/\t", "http://example.com:0/",
           "http://example.com:65536/", "http://localhost/", "http://x.LocalHost./", "http://127.0.0.1/",
           "http://2130706433/", "http://0x7f000001/", "http://127.1/", "http://10.0.0.1/", "http://172.31.255.255/",
           "http://100.64.0.1/", "http://169.254.169.254/", "http://192.168.1.1:8080/x", "http://224.0.0.1/",
           "http://168.63.129.16/", "http://[::1]/", "http://[fd00::1]/", "http://[::ffff:10.0.0.1]/",
           "http://[2001:db8::1]/", "http://999.1.1.1/", "http://.example.com/"]  # fmt: skip


@pytest.mark.parametrize("url", TAKEN)
def test_the_pattern_of_a_callback_lets_a_public_url_through(url: str) -> None:
    check_callback_url(url, allow_private=False)
    for allow_private in (False, True):
        assert re.search(callback_pattern(allow_private=allow_private), url)


@pytest.mark.parametrize("url", ["http://bücher.example/", "http://134744072/"])
def test_a_url_that_no_pattern_can_tell_is_taken_all_the_same(api: ServerProcess, url: str) -> None:
    body = {"payload": {"products": [{"title": "Lamp", "price": 1}]}, "callback_url": url}
    assert rest(api, "POST", "/api/process", body).status == 202


@pytest.mark.parametrize("url", REFUSED)
def test_the_pattern_of_a_callback_lets_nothing_through_that_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        check_callback_url(url, allow_private=False)
    assert not re.search(callback_pattern(allow_private=False), url)


@pytest.mark.parametrize("allow_private", [False, True])
def test_every_url_that_the_pattern_of_a_callback_lets_through_is_taken(allow_private: bool) -> None:
    pattern = callback_pattern(allow_private=allow_private)

    @settings(max_examples=500, deadline=None)
    @given(st.from_regex(pattern).filter(lambda url: len(url) <= 2_000))
    def is_taken(url: str) -> None:
        check_callback_url(url, allow_private=allow_private)

    is_taken()


@pytest.mark.parametrize("kind", ["granian", "gunicorn"])
def test_an_idempotency_key_that_is_not_ascii_is_told_so(
    tmp_path_factory: pytest.TempPathFactory, api: ServerProcess, kind: str
) -> None:
    server = api
    if kind == "gunicorn":
        server = ServerProcess(tmp_path_factory.mktemp("gunicorn") / "data", SERVER="gunicorn").start()
    try:
        for key in ("clé-1", "clé-1".encode().decode("latin-1"), "a\tb"):
            answer = rest(server, "POST", "/api/entries", {"title": "x"}, Idempotency_Key=key)
            refused = problem(answer, 422, "INVALID_ARGUMENT")
            assert refused["detail"].endswith(": give 1 to 255 printable ASCII characters")
            assert [error["header"] for error in refused["errors"]] == ["Idempotency-Key"]
    finally:
        if server is not api:
            server.kill()
