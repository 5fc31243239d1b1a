"""The console over plain HTTP: what pages weigh, what is answered 304, forms without scripts, files in and out."""

import contextlib
import csv
import io
import json
import re
from collections.abc import Callable, Iterator

import pytest
from console_client import ConsoleClient
from console_pages import PLACES
from server_process import ROOT, ServerProcess, wait_until

from afterwrite.loading.spreadsheet_cells import harmless

MakeServer = Callable[..., ServerProcess]
CREATE_MANY = "mutation ($products: [ProductInput!]!) { createProducts(products: $products) { writes { id } } }"
LAST = "query ($id: ID!) { products(afterWrite: $id) { totalCount } }"


def create_many(server: ServerProcess, products: list[dict[str, object]]) -> None:
    """Create products, and wait until they are applied."""
    writes = server.query(CREATE_MANY, {"products": products})["createProducts"]["writes"]
    server.query(LAST, {"id": writes[-1]["id"]})


@pytest.fixture
def visitor(server: ServerProcess) -> Iterator[ConsoleClient]:
    found = ConsoleClient(server)
    found.get("/")
    yield found
    found.http.close()


def test_a_page_of_fifty_products_weighs_less_than_100_kb(server: ServerProcess, visitor: ConsoleClient) -> None:
    product = {"title": "A title of the usual length", "description": "d" * 500, "category": "Lamps", "price": 12.5}
    picture = "https://pictures.example/and/a/path/of/the/usual/length.jpg"
    create_many(server, [{**product, "image": picture, "ratingRate": 4.5, "ratingCount": 100}] * 60)
    page = visitor.get("/products")
    assert page.text.count("<tr id=") == 50
    assert len(page.content) < 100_000
    for asset in re.findall(r'(?:src|href)="(/console/[^"]+)"', page.text):
        kept = visitor.http.get(asset)
        assert kept.status_code == 200
        assert "max-age=604800" in kept.headers["Cache-Control"]
        assert "v=" in asset


def test_what_changes_a_page_changes_its_tag(server: ServerProcess, visitor: ConsoleClient) -> None:
    tags = {place: visitor.get(place).headers["ETag"] for place in PLACES}
    create_many(server, [{"title": "Desk", "price": 200.0}])
    for place in ("/", "/products", "/writes"):
        assert visitor.get(place, If_None_Match=tags[place]).status_code == 200
    tags = {place: visitor.get(place).headers["ETag"] for place in PLACES}
    server.query('mutation { createEntry(title: "Hello") { id } }')
    for place in ("/tasks", "/entries"):
        assert visitor.get(place, If_None_Match=tags[place]).status_code == 200
    tag = visitor.get("/products").headers["ETag"]
    stranger = ConsoleClient(server)  # another session has other tokens in its forms
    assert stranger.get("/products", If_None_Match=tag).status_code == 200
    stranger.http.close()


def test_forms_work_without_scripts(server: ServerProcess, visitor: ConsoleClient) -> None:
    refused = visitor.post("/products", {"title": "Desk", "price": "cheap"})
    assert refused.status_code == 422
    assert "&#39;cheap&#39;: give a number" in refused.text
    assert 'value="Desk"' in refused.text
    made = visitor.post("/products", {"title": "Desk", "price": "200", "idempotency_key": "once"})
    again = visitor.post("/products", {"title": "Desk", "price": "200", "idempotency_key": "once"})
    [receipt] = set(re.findall(r"/writes/\d+", made.text))
    assert receipt in again.text
    assert visitor.get(receipt).status_code == 200
    assert visitor.post("/entries", {"title": "Hello"}).headers["Location"] == "/entries"
    missing = visitor.get("/products/4711")
    assert missing.status_code == 404
    assert "There is no product 4711" in missing.text


def test_a_form_sent_again_with_other_values_gets_a_key_of_its_own(visitor: ConsoleClient) -> None:
    form = {"title": "Desk", "price": "200", "idempotency_key": "once"}
    assert visitor.post("/products", form).status_code == 200
    again = visitor.post("/products", {**form, "price": "210"})
    assert again.status_code == 422
    assert "This form was sent before, with other values" in again.text
    [key] = re.findall(r'name="idempotency_key" value="([^"]+)"', again.text)
    assert key != "once"
    assert visitor.post("/products", {**form, "price": "210", "idempotency_key": key}).status_code == 200
    entry = {"title": "Hello", "idempotency_key": "one entry"}
    assert visitor.post("/entries", entry).status_code == 303
    assert "with other values" in visitor.post("/entries", {**entry, "title": "Bye"}).text


def test_a_refused_row_of_a_json_array_is_found_by_its_place(visitor: ConsoleClient) -> None:
    rows = [{"title": "Desk", "price": 1}, {"title": "Chair"}, {"title": "Lamp", "price": 1}]
    answer = visitor.post("/products/upload", files={"file": ("rows.json", json.dumps(rows).encode())})
    assert 'product 2 <span class="faint">(line 1)</span>' in answer.text
    assert "product 3 " not in answer.text


def test_many_categories_make_no_heavy_page(server: ServerProcess, visitor: ConsoleClient) -> None:
    create_many(server, [{"title": f"Lamp {n}", "price": 1.0, "category": f"Kind {n}"} for n in range(900)])
    page = visitor.get("/products?category=Kind+899")
    assert page.text.count("<option") < 120
    assert '<option value="Kind 899" selected>' in page.text


@pytest.mark.one_database("it never comes to the database")
def test_a_few_files_at_a_time_leave_threads_to_the_others(make_server: MakeServer) -> None:
    server = make_server(THREADS="26").start()  # three of them for files
    visitor = ConsoleClient(server)
    visitor.get("/")
    for _ in range(3):
        create_many(server, [{"title": "Lamp", "price": 1.0, "description": "d" * 9_000}] * 300)
    with contextlib.ExitStack() as slow:
        for _ in range(3):  # each reads its answer's head only, and more comes than fits on the way
            slow.enter_context(visitor.http.stream("GET", "/products/export.csv"))
        busy = visitor.get("/products/export.csv")
        assert (busy.status_code, busy.headers["Retry-After"]) == (503, "5")
        assert visitor.get("/products").status_code == 200
    wait_until(lambda: visitor.get("/products/export.csv").status_code == 200)
    visitor.http.close()


def test_an_upload_may_be_sent_again_and_adds_no_row_twice(server: ServerProcess, visitor: ConsoleClient) -> None:
    rows = "".join(json.dumps({"title": f"Lamp {n}", "price": n}) + "\n" for n in range(1_200))
    for _ in range(2):
        answer = visitor.post(
            "/products/upload", {"idempotency_key": "one"}, files={"file": ("lamps.jsonl", rows.encode())}
        )
        assert "1,200 accepted, 0 refused" in answer.text
    [last] = server.query("{ writes(first: 1) { nodes { id } } }")["writes"]["nodes"]
    assert server.query(LAST, {"id": last["id"]})["products"]["totalCount"] == 1_200


def test_an_upload_meets_a_full_queue_half_way_and_goes_on_later(make_server: MakeServer) -> None:
    server = make_server(QUEUE_MAX_WRITES="900").start()
    visitor = ConsoleClient(server)
    visitor.get("/")
    rows = "title,price\n" + "".join(f"Lamp {n},{n}\n" for n in range(2_000))
    answers = []
    for _ in range(100):
        file = {"file": ("lamps.csv", rows.encode())}
        answers.append(visitor.post("/products/upload", {"idempotency_key": "one"}, files=file))
        if answers[-1].status_code == 200:
            break
        assert answers[-1].status_code == 422
        assert "send the file again from this form" in answers[-1].text
    assert "2,000 accepted" in answers[-1].text
    visitor.http.close()
    [last] = server.query("{ writes(first: 1) { nodes { id } } }")["writes"]["nodes"]
    assert server.query(LAST, {"id": last["id"]})["products"]["totalCount"] == 2_000


@pytest.mark.one_database("it never comes to the database")
def test_a_file_that_is_too_long_is_refused(make_server: MakeServer) -> None:
    server = make_server(UPLOAD_MAX_BYTES="10000").start()
    visitor = ConsoleClient(server)
    visitor.get("/")
    headers = {"X-CSRF-Token": visitor.token}
    for size, status in ((20_000, 422), (200_000, 413)):  # a form around the file may be a little longer
        answer = visitor.http.post("/products/upload", files={"file": ("x.csv", b"x" * size)}, headers=headers)
        assert answer.status_code == status
        assert "are the limit" in answer.text
        assert (answer.headers.get("Connection") == "close") is (status == 413)  # it was not read to its end
    assert (
        visitor.http.post("/products/upload", files={"file": ("x.csv", b"title,price\n")}, headers=headers).status_code
        == 200
    )
    visitor.http.close()


@pytest.mark.one_database("it never comes to the database")
@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (b'--x\r\nContent-Disposition: form-data; name="file"; filename="\xe9t\xe9.csv"\r\n\r\n', "is not UTF-8"),
        (b"--x\r\nContent-Type: text/csv\r\n\r\n", "cannot be read: Missing Content-Disposition"),
    ],
)
def test_an_upload_that_cannot_be_read_is_refused_with_the_reason(
    visitor: ConsoleClient, form: bytes, reason: str
) -> None:
    visitor.get("/")
    token = f'--x\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{visitor.token}\r\n'.encode()
    answer = visitor.http.post(
        "/products/upload",
        content=token + form + b"title,price\nLamp,1\n\r\n--x--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert answer.status_code == 400
    assert reason in answer.text
    assert "token" not in answer.text.partition("<main")[2]


EVIL_CELLS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\uff1d1", "=cmd|' /C calc'!A0"]


def test_an_export_has_every_selected_product_and_nothing_that_a_spreadsheet_runs(
    server: ServerProcess, visitor: ConsoleClient
) -> None:
    create_many(server, [{"title": f"Lamp {n:04d}", "price": float(n), "category": "Lamps"} for n in range(1_000)])
    create_many(server, [{"title": f"{title}", "price": 1.0, "category": title} for title in EVIL_CELLS])
    answer = visitor.get("/products/export.csv?category=Lamps&order=PRICE_DESC")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["title"] for row in rows] == [f"Lamp {n:04d}" for n in reversed(range(1_000))]
    assert re.fullmatch(r'attachment; filename="products-\d{8}-\d{6}\.csv"', answer.headers["Content-Disposition"])
    assert "Content-Length" not in answer.headers  # streamed
    everything = list(csv.DictReader(io.StringIO(visitor.get("/products/export.csv?max_price=1&min_price=1").text)))
    evil = [row for row in everything if not row["title"].startswith("Lamp")]
    assert len(evil) == len(EVIL_CELLS)
    for row in evil:
        assert row["title"].startswith("'") and row["category"].startswith("'")
    lines = visitor.get("/products/export.jsonl?search=cmd").text.splitlines()
    assert [json.loads(line)["title"] for line in lines] == ["=cmd|' /C calc'!A0"]
    assert visitor.get("/products/export.xml").status_code == 404


def test_what_an_export_gives_an_upload_takes(server: ServerProcess, visitor: ConsoleClient) -> None:
    fields = {"description": '=A "quoted" text,\nover lines', "category": "Lämps", "ratingRate": 4.5, "ratingCount": 3}
    create_many(server, [{"title": " '=SUM(A1) ", "price": 12.5, **fields}])
    for kind in ("csv", "jsonl"):
        file = visitor.get(f"/products/export.{kind}").content
        answer = visitor.post("/products/upload", files={"file": (f"products.{kind}", file)})
        assert " 0 refused" in answer.text
        [write] = server.query("{ writes(first: 1) { nodes { id } } }")["writes"]["nodes"]
        server.query(LAST, {"id": write["id"]})
    found = server.query("{ products { nodes { title price description category ratingRate ratingCount } } }")
    assert {json.dumps(product, sort_keys=True) for product in found["products"]["nodes"]} == {
        json.dumps({"title": " '=SUM(A1) ", "price": 12.5, **fields}, sort_keys=True)
    }


def test_an_upload_tells_what_it_does_not_read_and_takes_the_decimal_sign(
    server: ServerProcess, visitor: ConsoleClient
) -> None:
    file = {"file": ("lamps.csv", b'title,price,sku\nLamp,"1,234 USD",7\n,,\n')}
    asked = visitor.post("/products/upload", files=file)
    assert asked.status_code == 422
    assert "lamps.csv, line 2: price is &#39;1,234 USD&#39;, which is 1234 or 1.234" in asked.text
    assert "choose it in the field &#34;Decimal sign&#34;" in asked.text
    answer = visitor.post("/products/upload", {"decimal": "comma", "idempotency_key": "x"}, files=file)
    assert "0 accepted, 1 refused" in answer.text  # 1.234 has three decimals
    answer = visitor.post("/products/upload", {"decimal": "point", "idempotency_key": "y"}, files=file)
    assert "1 accepted, 0 refused" in answer.text
    assert "the whole file would add" not in answer.text
    assert "Columns ignored: sku" in answer.text
    assert "Prices are in USD. Only the amounts were kept" in answer.text
    wrong = visitor.post("/products/upload", {"decimal": "dot"}, files=file)
    assert wrong.status_code == 422
    assert "choose point or comma" in wrong.text


def test_a_file_in_doubt_accepts_nothing_and_one_with_refused_rows_says_what_to_send_next(
    server: ServerProcess, visitor: ConsoleClient
) -> None:
    rows = b"title;price\n" + b"Lamp;5\n" * 600  # more than the rows of one commit
    asked = visitor.post("/products/upload", files={"file": ("lamps.csv", rows + b"Desk;1,234\n")})
    assert (asked.status_code, "line 602: price is" in asked.text) == (422, True)
    broken = visitor.post("/products/upload", files={"file": ("lamps.csv", rows + b'"Desk;1\n')})
    assert (broken.status_code, "look for an open quote" in broken.text) == (422, True)
    assert server.query("{ writes { nodes { id } } }") == {"writes": {"nodes": []}}
    shown = visitor.post("/products/upload", files={"file": ("a.csv", rows + b"Desk;1.234\nBed;1,5\nTub;x\n")})
    assert "602 accepted, 1 refused" in shown.text
    assert "Load only the corrected rows: the whole file would add the others again" in shown.text


@pytest.mark.parametrize("cell", EVIL_CELLS)
def test_a_cell_that_would_run_is_a_text(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    # Some spreadsheets take a tab or a semicolon for the end of a cell.
    assert harmless(f"x;{cell}") == f"x;'{cell}"
    assert harmless(f"x\t{cell}") == f"x\t'{cell}"


@pytest.mark.parametrize("cell", ["a=b", "", 3.5, None, "Desk - large"])
def test_other_cells_stay_as_they_are(cell: object) -> None:
    assert harmless(cell) == cell


def test_every_vendored_file_has_its_licence_and_its_version() -> None:
    folder = ROOT / "afterwrite" / "console" / "static"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    [version] = re.findall(r"htmx\.org ([\d.]+)", readme)
    assert f'this.version="{version}"' in (folder / "htmx.min.js").read_text(encoding="utf-8")
    for path in folder.iterdir():
        assert path.name == "README.md" or f"`{path.name}`" in readme
