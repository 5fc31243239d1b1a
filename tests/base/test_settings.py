"""The settings: read once, refused with name, value and what fits, and all of them in the docs."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from server_process import ROOT

from afterwrite.base.settings import GROUPS, Settings, SettingsError, from_environment
from afterwrite.base.settings_file import OF_OTHERS, read_settings_file

NAMES = [item.name.upper() for item in fields(Settings)]
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
OTHERS = "Commands and containers"


def _grouped() -> dict[str, list[str]]:
    """The names of the settings by their group, in the order of settings.py."""
    found: dict[str, list[str]] = {}
    group = ""
    for name in NAMES:
        group = GROUPS.get(name.lower(), group)
        found.setdefault(group, []).append(name)
    return found


GROUPED = _grouped()


def test_an_empty_environment_gives_the_defaults() -> None:
    assert from_environment({}) == Settings()
    assert from_environment({"PORT": "", "DATA_DIR": "  "}) == Settings()


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8000")
    monkeypatch.setenv("DATA_DIR", "/somewhere")
    monkeypatch.setenv("JOURNAL_SYNC", "Normal")
    settings = from_environment()
    assert (settings.port, settings.data_dir, settings.journal_sync) == (8000, Path("/somewhere"), "normal")
    assert settings.journal_path == Path("/somewhere/journal.db")
    assert settings.log_path == Path("/somewhere/afterwrite.log")


@pytest.mark.parametrize(("text", "path"), [("off", None), ("/var/log/x.log", Path("/var/log/x.log"))])
def test_the_log_file_can_be_moved_or_turned_off(text: str, path: Path | None) -> None:
    assert from_environment({"LOG_FILE": text}).log_path == path


@pytest.mark.parametrize(
    ("name", "value", "fitting"),
    [
        ("PORT", "http", "a whole number of at least 0"),
        ("PORT", "-1", "a whole number of at least 0"),
        ("PORT", "٣", "a whole number of at least 0"),
        ("BATCH_SIZE", "0", "a whole number of at least 1"),
        ("PORT", "65536", "at most 65535"),
        ("WAIT_SECONDS", "999999999999", "at most 3600"),
        ("QUEUE_MAX_BYTES", "1" * 5_000, "at most"),
        ("SERVER", "apache", "granian, gunicorn"),
        ("JOURNAL_SYNC", "off", "full, normal"),
        ("LOG_LEVEL", "loud", "debug, info, warning, error"),
    ],
)
def test_a_bad_value_is_refused_with_name_value_and_what_fits(name: str, value: str, fitting: str) -> None:
    with pytest.raises(SettingsError) as refused:
        from_environment({name: value})
    assert f"{name}={value!r}" in str(refused.value)
    assert fitting in str(refused.value)


def test_waiters_and_streams_must_leave_threads_for_queries() -> None:
    with pytest.raises(SettingsError, match="THREADS=24 leaves no thread for queries"):
        from_environment({"THREADS": "24"})
    assert from_environment({"THREADS": "25"}).threads == 25


@pytest.mark.parametrize("name", NAMES)
def test_the_docs_name_every_setting_with_default_and_meaning(name: str) -> None:
    [item] = [item for item in fields(Settings) if item.name.upper() == name]
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    [row] = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
    default = f"`{item.default}`" if str(item.default) else "empty"
    assert f"| {default} |" in row
    assert item.metadata["help"] in row


def test_the_docs_have_the_settings_in_their_groups_and_no_others() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert _sections(page, r"## (.+)", r"\| `([A-Z_]+)` \|") == GROUPED | {OTHERS: list(OF_OTHERS)}


def test_the_example_has_the_settings_in_their_groups_and_no_others() -> None:
    grouped = GROUPED | {OTHERS: list(OF_OTHERS)}
    grouped["The server"] = [name for name in grouped["The server"] if name != "ENV_FILE"]  # it names the file
    assert _sections(EXAMPLE, r"# -+ (.+) -+", r"#([A-Z_]+)=") == grouped


@pytest.mark.parametrize("name", sorted({*NAMES, *OF_OTHERS} - {"ENV_FILE"}))
def test_the_example_says_what_each_setting_means(name: str) -> None:
    found = {item.name.upper(): item.metadata for item in fields(Settings)}
    text = found[name]["help"] if name in found else OF_OTHERS[name]
    choices = f" ({', '.join(found[name]['choices'])})" if name in found and found[name]["choices"] else ""
    assert f"# {text.replace('`', '')}{choices}\n#{name}=" in EXAMPLE


def test_the_example_without_its_signs_of_a_comment_is_all_defaults(tmp_path: Path) -> None:
    uncommented = tmp_path / ".env"
    uncommented.write_text(re.sub(r"^#(?=[A-Z_]+=)", "", EXAMPLE, flags=re.MULTILINE), encoding="utf-8")
    read = read_settings_file(uncommented, {*NAMES, *OF_OTHERS})
    assert set(read) == {item.name.upper() for item in fields(Settings) if str(item.default)}
    assert from_environment(read) == Settings()


def _sections(text: str, heading: str, entry: str) -> dict[str, list[str]]:
    """What the entries of a text name, by the heading over them."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in text.splitlines():
        if opens := re.fullmatch(heading, line):
            section = opens[1]
        elif named := re.match(entry, line):
            found.setdefault(section, []).append(named[1])
    return found
