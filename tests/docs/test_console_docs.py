"""What docs/console.md says of pages of a resource: the example with a template of its own is served as it stands."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from console_client import ConsoleClient
from server_process import ROOT, ServerProcess

pytestmark = pytest.mark.one_database("how pages look")

PAGE = (ROOT / "docs" / "console.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The only block of code in the language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_a_template_of_the_application_replaces_the_page_and_keeps_the_rest(
    make_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(block("python"), encoding="utf-8")
    template = tmp_path / "templates" / "console" / "parcels" / "list.html"
    template.parent.mkdir(parents=True)
    template.write_text(block("html"), encoding="utf-8")
    server = make_server(PYTHONPATH=str(ROOT))
    server.program = (str(tmp_path / "app.py"),)
    visitor = ConsoleClient(server.start())
    visitor.get("/")
    created = visitor.post("/parcels", {"title": "A <b>lamp</b>", "grams": "1250"})
    [receipt] = set(re.findall(r"/writes/(\d+)", created.text))
    server.query("query ($id: ID!) { parcels(afterWrite: $id) { totalCount } }", {"id": receipt})
    page = visitor.get("/parcels").text
    assert '<td class="number">1.25 kg</td>' in page
    assert "A &lt;b&gt;lamp&lt;/b&gt;" in page
    assert 'href="/parcels/1/delete"' in page
    assert "1 parcel " in page
    assert '<th scope="col">Title</th>' not in page
    assert 'name="grams"' in visitor.get("/parcels/1").text
    visitor.http.close()


def test_every_block_that_the_page_names_is_in_its_template() -> None:
    folder = ROOT / "afterwrite" / "console" / "templates"
    for template, names in re.findall(r"`console/(record\w*\.html)` has (?:the blocks )?(.*?)[;.]", PAGE):
        text = (folder / template).read_text(encoding="utf-8")
        for name in re.findall(r"`(\w+)`", names):
            assert f"{{% block {name}" in text, (template, name)
