"""Applications that hypothesis declares: an oracle of a few lines agrees with their API and database after a kill."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from databases import EmbeddedDatabase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_process import ROOT, ServerProcess, wait_until
from task_calls import rest

if TYPE_CHECKING:
    from databases import Database

APPLICATION = '''from afterwrite import *

class Thing(Resource):
    """A thing."""

{fields}

application = Application(resources=[Thing])
wsgi = application.wsgi

if __name__ == "__main__":
    raise SystemExit(application.run())
'''


class Spec(NamedTuple):
    """A field: how it is declared, and values that are valid or not, each as GraphQL writes it and as it is read."""

    declared: str
    valid: tuple[tuple[str, Any], ...]
    invalid: tuple[str, ...]
    required: bool
    unique: bool
    default: Any
    on_delete: str = ""


KINDS: dict[str, tuple[str, tuple[tuple[str, Any], ...], tuple[str, ...]]] = {
    "text": ("Text(max_length=3", (('"a"', "a"), ('"abc"', "abc"), ('"Ä"', "Ä")), ('"abcd"', '"a\\u0007"')),
    "integer": ("Integer(minimum=-2, maximum=5", (("-2", -2), ("0", 0), ("5", 5)), ("6", "-3")),
    "number": ("Number(minimum=0.5", (("0.5", 0.5), ("7", 7.0)), ("0.4",)),
    "money": ("Money(maximum=10", (("0.01", 0.01), ("10", 10.0), ("3.3", 3.3)), ("0.001", "10.01", "-1")),
    "boolean": ("Boolean(", (("true", True), ("false", False)), ()),
    "choice": ("Choice('A', 'B'", (("A", "A"), ("B", "B")), ()),
    "date": ("Date(", (('"2026-02-28"', "2026-02-28"), ('"2027-01-01"', "2027-01-01")), ()),
    "email": ("Email(", (('"a@b.example"', "a@b.example"), ('"c@d.example"', "c@d.example")), ('"a"',)),
}
IDS = tuple((str(number), str(number)) for number in range(1, 9))
ON_DELETE = ("restrict", "cascade", "set_null")
PYTHON = {"text": "'a'", "integer": "5", "number": "0.5", "choice": "'B'"}
READ = {"text": "a", "integer": 5, "number": 0.5, "choice": "B"}


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Spec]:
    """The fields of a declaration."""
    found = {}
    for number in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(sorted(KINDS)))
        start, valid, invalid = KINDS[kind]
        required = draw(st.booleans())
        unique = kind in ("text", "integer", "email") and draw(st.booleans())
        has_default = kind in PYTHON and not unique and draw(st.booleans())
        options = [f"required={required}", f"unique={unique}"]
        if has_default:
            options.append(f"default={PYTHON[kind]}")
        declared = f"{start}{'' if start.endswith('(') else ', '}{', '.join(options)})"
        name = f"{kind}_{'abcdef'[number]}"
        found[name] = Spec(declared, valid, invalid, required, unique, READ[kind] if has_default else None)
    for letter in "xy"[: draw(st.integers(0, 2))]:
        on_delete, unique = draw(st.sampled_from(ON_DELETE)), draw(st.booleans())
        declared = f"Reference('Thing', on_delete={on_delete!r}, unique={unique}, reverse='back_{letter}')"
        found[f"ref_{letter}_id"] = Spec(declared, IDS, ('"a"', "0"), False, unique, None, on_delete)
    return found


@st.composite
def courses(draw: st.DrawFn) -> tuple[dict[str, Spec], list[tuple[str, int, dict[str, tuple[str, Any, bool]]]]]:
    """A declaration and requests: an act, the id of a record, and of each field what is sent, is read, and is valid."""
    fields = draw(specs())
    requests = []
    for _ in range(draw(st.integers(10, 40))):
        act = draw(st.sampled_from(["create", "create", "create", "update", "delete"]))
        values: dict[str, tuple[str, Any, bool]] = {}
        for name, spec in fields.items():
            usual = draw(st.integers(0, 9))
            if usual == 0 and spec.invalid:
                values[name] = (draw(st.sampled_from(spec.invalid)), None, False)
            elif usual == 1:
                values[name] = ("null", None, not spec.required)
            elif usual < 8 or (spec.required and act == "create"):
                values[name] = (*draw(st.sampled_from(spec.valid)), True)
        requests.append((act, draw(st.integers(1, 8)), values))
    return fields, requests


class Oracle:
    """What the records must be."""

    def __init__(self, fields: dict[str, Spec]) -> None:
        self.fields, self.records, self.last_id = fields, dict[int, dict[str, Any]](), 0

    def send(self, act: str, record_id: int, values: dict[str, tuple[str, Any, bool]]) -> bool:
        """Whether a request is accepted, whose write has changed the records then."""
        if act == "delete":
            self._delete(record_id)
            return True
        given = {name: read for name, (_, read, _) in values.items()}
        is_whole = act == "update" or all(
            name in values or not spec.required or spec.default is not None for name, spec in self.fields.items()
        )
        if not is_whole or not all(valid for *_, valid in values.values()) or (act == "update" and not values):
            return False
        if act == "create":
            self.last_id = record_id = self.last_id + 1
            self._store(record_id, {name: spec.default for name, spec in self.fields.items()} | given | {"version": 1})
        elif record_id in self.records:
            before = self.records[record_id]
            self._store(record_id, before | given | {"version": before["version"] + 1})
        return True

    def _delete(self, record_id: int) -> None:
        changes: dict[int, dict[str, Any] | None] = {record_id: None}
        if record_id in self.records and self._follow(record_id, changes):
            now = {key: changes.get(key, record) for key, record in self.records.items()}
            self.records = {key: record for key, record in now.items() if record is not None}

    def _follow(self, gone: int, changes: dict[int, dict[str, Any] | None]) -> bool:
        """Whether the records that refer to one let it go; what becomes of them is in the changes."""
        for name, spec in self.fields.items():
            found = {
                key: now
                for key, record in self.records.items()
                if spec.on_delete and (now := changes.get(key, record)) is not None and now[name] == str(gone)
            }
            if found and spec.on_delete == "restrict":
                return False
            for key, record in found.items():
                emptied = record | {name: None, "version": record["version"] + 1}
                changes[key] = None if spec.on_delete == "cascade" else emptied
            if spec.on_delete == "cascade" and not all(self._follow(key, changes) for key in found):
                return False
        return True

    def _store(self, record_id: int, record: dict[str, Any]) -> None:
        before = self.records.get(record_id, dict.fromkeys(record))
        there = {str(key) for key in (*self.records, record_id)} | {None}
        if any(spec.on_delete and record[name] not in there | {before[name]} for name, spec in self.fields.items()):
            return
        others = [one for key, one in self.records.items() if key != record_id]
        unique = [name for name, spec in self.fields.items() if spec.unique and record[name] is not None]
        if not any(one[name] == record[name] for one in others for name in unique):
            self.records[record_id] = record


@contextlib.contextmanager
def new_database(kind: str, folder: Path) -> Iterator["Database"]:
    """An empty database."""
    if kind == "sqlite":
        yield EmbeddedDatabase(folder)
        return
    from many_processes import new_database as new_postgres
    from postgres_database import PostgresDatabase
    from postgres_server import require_postgres

    require_postgres()
    with new_postgres() as url:
        yield PostgresDatabase(folder, url)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@settings(max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(course=courses())
def test_an_oracle_agrees_with_an_application_of_any_declaration(
    kind: str, course: tuple[dict[str, Spec], list[tuple[str, int, dict[str, tuple[str, Any, bool]]]]]
) -> None:
    fields, requests = course
    oracle = Oracle(fields)
    with tempfile.TemporaryDirectory() as folder, new_database(kind, Path(folder) / "data") as database:
        named = {name.removesuffix("_id"): spec.declared for name, spec in fields.items()}
        declared = "\n".join(f"    {name} = {text}" for name, text in named.items())
        (Path(folder) / "app.py").write_text(APPLICATION.format(fields=declared), encoding="utf-8")
        server = ServerProcess.on(database, PYTHONPATH=str(ROOT))
        server.program = (str(Path(folder) / "app.py"),)
        try:
            server.start()
            for request in requests:
                accepted, answer = oracle.send(*request), _send(server, *request)
                assert answer["success"] is accepted, (request, answer)
            server.kill()
            server.start()
            wait_until(lambda: server.query("{ queue { depth } }")["queue"]["depth"] == 0)
            expected = [
                {"id": str(key), "version": record["version"], **{_camel(name): record[name] for name in fields}}
                for key, record in sorted(oracle.records.items())
            ]
            names = " ".join(_camel(name) for name in fields)
            assert server.query(f"{{ allThings(first: 500) {{ id version {names} }} }}")["allThings"] == expected
            listed = rest(server, "GET", "/api/things?limit=500").body["things"]
            assert [{name: one[name] for name in ("id", "version", *map(_camel, fields))} for one in listed] == expected
            if not any(spec.on_delete for spec in fields.values()):  # a reload gives new ids
                for ending in ("csv", "jsonl"):
                    _check_reload(server, Path(folder), ending)
        finally:
            server.kill()


def _check_reload(server: ServerProcess, folder: Path, ending: str) -> None:
    """An export that is loaded into a new data folder gives the same records."""
    (export := folder / f"things.{ending}").write_bytes(_get(server, f"/things/export.{ending}?order=ID_ASC"))
    loaded = EmbeddedDatabase(folder / ending)
    has_records = bool(server.database.rows("SELECT 1 FROM things"))
    run = subprocess.run(
        [sys.executable, "-m", "afterwrite", "init-db", str(export), "--app", "app"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "DATA_DIR": str(loaded.folder), "DATABASE_URL": ""},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (run.returncode == 0) is has_records, run.stdout + run.stderr
    columns = [name for name, *_ in loaded.rows("SELECT name FROM pragma_table_info('things')")]
    own = ", ".join(f'"{name}"' for name in columns if name not in ("id", "created_at_us", "updated_at_us", "version"))
    assert loaded.rows(f"SELECT {own} FROM things ORDER BY id") == server.database.rows(
        f"SELECT {own} FROM things ORDER BY id"
    )


def _get(server: ServerProcess, path: str) -> bytes:
    with contextlib.closing(server.client()) as client:
        status, body = client.request("GET", path)
    assert status == 200, body
    return body


def _send(server: ServerProcess, act: str, record_id: int, values: dict[str, tuple[str, Any, bool]]) -> Any:
    """The answer to a request; what GraphQL itself refuses is an answer without success."""
    arguments = [f"{_camel(name)}: {literal}" for name, (literal, *_) in values.items() if act != "delete"]
    if act != "create":
        arguments.append(f"thingId: {record_id}")
    call = f"{act}Thing({', '.join(arguments)})" if arguments else f"{act}Thing"
    with contextlib.closing(server.client()) as client:
        answer = client.execute(f"mutation {{ answer: {call} {{ success errors {{ message }} }} }}")
    if "data" in answer:
        return answer["data"]["answer"]
    assert all("required" in json.dumps(error) or "null" in json.dumps(error) for error in answer["errors"]), answer
    return {"success": False}


def _camel(name: str) -> str:
    return "".join(itertools.chain(name.split("_")[:1], (part.capitalize() for part in name.split("_")[1:])))
