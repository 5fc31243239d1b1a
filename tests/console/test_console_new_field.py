"""A line added to a declaration is in form, list, upload, export, REST and OpenAPI, without another line."""

import csv
import io
import re
from pathlib import Path

import pytest
from console_client import ConsoleClient
from databases import EmbeddedDatabase
from next_version import make_next_version, next_server
from task_calls import rest

pytestmark = pytest.mark.one_database("what a page shows")


def test_a_field_added_to_the_declaration_is_everywhere(tmp_path: Path) -> None:
    server = next_server(make_next_version(tmp_path / "next"), EmbeddedDatabase(tmp_path / "data")).start()
    visitor = ConsoleClient(server)
    try:
        form = visitor.get("/products/new").text
        assert re.search(
            r'<label for="f-brand">Brand</label>\s*<input id="f-brand" name="brand" [^>]*maxlength="100"', form
        )
        created = visitor.post("/products", {"title": "Desk", "price": "200", "brand": "Böck"})
        file = {"file": ("lamps.csv", "title,price,brand\nLamp,5,Nöck\n".encode())}
        assert (
            "optional description, category, image, rating_rate, rating_count, brand"
            in visitor.get("/products/upload").text
        )
        uploaded = visitor.post("/products/upload", files=file)
        assert "1 accepted, 0 refused" in uploaded.text
        assert "ignored" not in uploaded.text
        for answer in (created, uploaded):
            receipt = re.findall(r"receipt-(\d+)", answer.text)[0]
            server.query("query ($id: ID!) { products(afterWrite: $id) { totalCount } }", {"id": receipt})
        page = visitor.get("/products?search=b%C3%B6ck").text
        assert '<th scope="col" class="wide">Brand</th>' in page
        assert '<td class="wide">Böck</td>' in page
        assert "Nöck" not in page
        assert 'placeholder="Title, description, category, brand"' in page
        document = rest(server, "GET", "/openapi.json").body["components"]["schemas"]
        assert all("brand" in document[name]["properties"] for name in ("Product", "NewProduct", "ProductChange"))
        new = {"title": "Chair", "price": 80, "brand": "Zöck"}
        assert rest(server, "POST", "/api/products", new, Prefer="wait=30").body["brand"] == "Zöck"
        assert [one["title"] for one in rest(server, "GET", "/api/products?search=z%C3%B6ck").body["products"]] == [
            "Chair"
        ]
        rows = csv.DictReader(io.StringIO(visitor.get("/products/export.csv?order=TITLE_ASC").text))
        assert [row["brand"] for row in rows] == ["Zöck", "Böck", "Nöck"]
    finally:
        visitor.http.close()
        server.kill()
