"""A line added to a declaration is in the form, the list, the upload and the export, without another line."""

import csv
import io
import re
from pathlib import Path

import pytest
from console_client import ConsoleClient
from databases import EmbeddedDatabase
from next_version import make_next_version, next_server

pytestmark = pytest.mark.one_database("what a page shows")


def test_a_field_added_to_the_declaration_is_everywhere_in_the_console(tmp_path: Path) -> None:
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
        rows = csv.DictReader(io.StringIO(visitor.get("/products/export.csv?order=TITLE_ASC").text))
        assert [row["brand"] for row in rows] == ["Böck", "Nöck"]
    finally:
        visitor.http.close()
        server.kill()
