"""The settings: read once, refused with name, value and what fits, and all of them in the docs."""

from dataclasses import fields
from pathlib import Path

import pytest
from server_process import ROOT

from settings import Settings, SettingsError, from_environment

NAMES = [item.name.upper() for item in fields(Settings)]


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


def test_the_docs_name_no_setting_that_is_not_there() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    named = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert sorted(named) == sorted(NAMES)
