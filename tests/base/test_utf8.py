"""Every command reads and writes UTF-8, whatever the locale and Python's own settings say."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from server_process import ROOT

from devkit import background_server, errors, place
from devkit.place import Place

pytestmark = pytest.mark.one_database("it is about what goes through pipes, arguments and paths")

LOCALES = {
    "the locale C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "a code page of Windows": {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"},
    "streams of ASCII": {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
}
TITLE = "Zażółć gęślą jaźń, 東京 €"
CREATE = "mutation ($title: String!) { createProductSync(title: $title, price: 1) { product { title } } }"
TITLES = "{ products(first: 500) { nodes { title } } }"
ENTRIES = {
    path.relative_to(ROOT).as_posix()
    for folder in (ROOT, ROOT / "devkit", ROOT / "afterwrite" / "access")
    for path in folder.glob("*.py")
    if "__main__" in path.read_text(encoding="utf-8")
} - {"app.py"}  # Application.run does it


@pytest.fixture(params=LOCALES)
def locale(request: pytest.FixtureRequest) -> dict[str, str]:
    """What makes Python use another encoding than UTF-8."""
    return LOCALES[request.param]


def _run(
    here: Place, locale: dict[str, str], *command: str, typed: bytes = b"", code: int = 0
) -> "subprocess.CompletedProcess[str]":
    """Run a command of the project; what it prints must be UTF-8."""
    environment = {name: value for name, value in here.environment().items() if not name.startswith("LC_")}
    done = subprocess.run(
        [sys.executable, *command], env=environment | locale, cwd=ROOT, input=typed, capture_output=True, timeout=120
    )
    said = subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
    )
    assert said.returncode == code, said.stdout + said.stderr
    assert "Traceback" not in said.stderr
    return said


def test_a_start_a_mutation_and_a_query_keep_every_letter(tmp_path: Path, locale: dict[str, str]) -> None:
    here = place.temporary_place(tmp_path / "Łódź")
    started = _run(here, locale, "dev.py", "start")
    assert f"data in {here.data_dir}" in started.stdout
    try:
        variables = json.dumps({"title": f"argument {TITLE}"}, ensure_ascii=False)
        answered = _run(here, locale, "dev.py", "graphql", CREATE, "--variables", variables).stdout
        assert f'"argument {TITLE}"' in answered
        document = CREATE.replace("($title: String!)", "").replace("$title", f'"input {TITLE}"')
        answered = _run(here, locale, "dev.py", "graphql", "-", typed=document.encode()).stdout
        assert f'"input {TITLE}"' in answered
        listed = json.loads(_run(here, locale, "dev.py", "graphql", TITLES).stdout)
        stored = {node["title"] for node in listed["data"]["products"]["nodes"]}
        assert {f"argument {TITLE}", f"input {TITLE}"} <= stored
        assert "Łódź" in _run(here, locale, "dev.py", "logs", "--no-follow").stdout
    finally:
        if server := background_server.running(here):
            background_server.stop(here, server)


def test_input_that_is_not_utf8_is_refused_in_one_line(tmp_path: Path, locale: dict[str, str]) -> None:
    here = place.temporary_place(tmp_path / "data")
    refused = _run(here, locale, "dev.py", "graphql", "-", typed='{ product(id: "é") }'.encode("latin-1"), code=1)
    assert "standard input is not UTF-8" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_program_run_by_hand_names_paths_as_they_are(tmp_path: Path, locale: dict[str, str]) -> None:
    here = place.temporary_place(tmp_path / "żółw")
    feed = tmp_path / "東京.jsonl"
    feed.write_text(json.dumps({"title": TITLE, "price": 1}) + "\n", encoding="utf-8")
    assert str(feed) in _run(here, locale, "init_db.py", str(feed)).stdout
    missing = _run(here, locale, "init_db.py", str(tmp_path / "東.csv"), code=1)
    assert str(tmp_path / "東.csv") in missing.stderr
    assert "żółw" in _run(here, locale, "dev.py", "key", "add", "ann", "--role", "read").stderr
    (here.data_dir / "journal.db").write_bytes(b"no database" * 1_000)
    assert "żółw" in _run(here, locale, "app.py", code=1).stderr


@pytest.mark.parametrize("entry", sorted(ENTRIES))
def test_every_program_begins_with_utf8(entry: str) -> None:
    text = (ROOT / entry).read_text(encoding="utf-8")
    _, _, begins = text.rpartition('if __name__ == "__main__":\n')
    if begins == "    run(main)\n":  # the programs of devkit begin in one function
        assert "from devkit.errors import" in text
        _, _, begins = inspect.getsource(errors.run).rpartition('"""\n')
    assert begins.startswith("    use_utf8()\n")


def test_a_program_that_is_started_again_keeps_its_arguments_and_its_process(tmp_path: Path) -> None:
    code = "import os, sys; from afterwrite.base.utf8 import use_utf8; print(os.getpid()); sys.stdout.flush(); "
    code += "use_utf8(); print(sys.argv[1], sys.flags.utf8_mode)"
    done = subprocess.run(
        [sys.executable, "-c", code, TITLE],
        env=os.environ | LOCALES["the locale C"],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
    )
    first, again, last = done.stdout.decode("utf-8").splitlines()
    assert first == again
    assert last == f"{TITLE} 1"
