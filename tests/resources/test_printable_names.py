"""Names in one line (keys, correlation ids, names of callers, stages): what no line can show is refused in each."""

import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from databases import Database
from server_process import ServerProcess
from task_calls import CREATE, execute

from afterwrite.base.text import unprintable_character

HIDDEN = ["\x00", "\n", "\x7f", "\x85", "\u00ad", "\u200b", "\u2028", "\u2029", "\u202e", "\ufeff", "\U000e0041"]
SHOWN = ["order 7", "é", "注文\u30007", "a\u00a0b", "🦓", "\ue000"]


@pytest.fixture(scope="module")
def api(module_database: Database) -> Iterator[ServerProcess]:
    """One server for all tests."""
    server = ServerProcess.on(module_database, STAGE_SECONDS="0").start()
    yield server
    server.kill()


def test_every_control_format_and_separator_of_lines_is_found_and_nothing_that_is_shown() -> None:
    for letter in map(chr, range(sys.maxunicode + 1)):
        found = unprintable_character(f"a{letter}b") is not None
        assert found == (unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")), hex(ord(letter))
        assert not (found and letter.isprintable())


def refused(answer: Any, field: str) -> str:
    """The message about a field, as the API of tasks or that of products says it."""
    if "errors" in answer:
        [error] = answer["errors"]
        assert error["extensions"]["field"] == field
        return str(error["message"])
    [outcome] = answer["data"].values()
    assert outcome["success"] is False
    [error] = outcome["errors"]
    assert error["field"] == [field]
    return str(error["message"])


PRODUCT = """mutation ($key: String) { deleteProduct(productId: "1", idempotencyKey: $key) {
  success errors { field message code } } }"""


@pytest.mark.parametrize("letter", HIDDEN)
def test_a_name_with_a_character_that_is_not_shown_is_refused_and_named(api: ServerProcess, letter: str) -> None:
    name, payload = f"a{letter}b", {"title": "x"}
    told = f"has the character U+{ord(letter):04X}, which is not printable: remove it"
    for given, field in (({"correlationId": name}, "correlationId"), ({"key": name}, "idempotencyKey")):
        answer = execute(api, CREATE, {"type": "entry", "payload": payload, **given})
        assert refused(answer, field) == f"{field} {told}"
    assert refused(execute(api, PRODUCT, {"key": name}), "idempotencyKey") == f"idempotencyKey {told}"
    by = execute(api, "query ($by: String) { tasks(by: $by) { totalCount } }", {"by": name})
    assert "give a name of 1 to 64 printable characters" in refused(by, "by")


@pytest.mark.parametrize("name", SHOWN)
def test_a_name_that_is_shown_is_taken(api: ServerProcess, name: str) -> None:
    given = {"type": "entry", "payload": {"title": "x"}, "correlationId": name, "key": f"key {name}"}
    assert "errors" not in execute(api, CREATE, given)
    assert execute(api, PRODUCT, {"key": name})["data"]["deleteProduct"]["success"] is True
