"""The log: one line per event, whatever is in it."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_process import ROOT, free_port

from afterwrite.base.logs import set_up_logs
from afterwrite.base.settings import from_environment


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, which is as it was afterwards."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    for handler in logger.handlers:
        if handler not in handlers:
            handler.close()
    logger.handlers[:], logger.level = handlers, level
    logging.captureWarnings(capture=False)


def logged(tmp_path: Path, text_format: str) -> list[str]:
    """The lines of the log after a plain event, one with line breaks, and one with a traceback."""
    environment = {"DATA_DIR": str(tmp_path), "LOG_FORMAT": text_format, "LOG_STDERR": "off"}
    set_up_logs(from_environment(environment))
    logger = logging.getLogger("afterwrite.test")
    logger.debug("not this one")
    logger.info("plain")
    logger.warning("first\nsecond\rthird\u2028fourth", extra={"write_id": 7})
    try:
        raise RuntimeError("on purpose")
    except RuntimeError:
        logger.exception("failed")
    return (tmp_path / "afterwrite.log").read_bytes().decode().rstrip("\n").split("\n")


def test_a_text_log_has_one_line_for_each_event(root_logger: logging.Logger, tmp_path: Path) -> None:
    plain, broken, failed = logged(tmp_path, "text")
    assert plain.endswith(" INFO afterwrite.test: plain")
    assert broken.endswith("WARNING afterwrite.test: first | second | third | fourth")
    assert "Traceback" in failed
    assert failed.endswith("RuntimeError: on purpose")


def test_a_json_log_has_one_object_for_each_event(root_logger: logging.Logger, tmp_path: Path) -> None:
    events = [json.loads(line) for line in logged(tmp_path, "json")]
    assert [event["level"] for event in events] == ["info", "warning", "error"]
    assert events[1]["message"] == "first\nsecond\rthird\u2028fourth"
    assert events[1]["write_id"] == 7
    assert events[2]["traceback"].endswith("RuntimeError: on purpose")


@pytest.mark.parametrize("place", ["a-file/x.log", "a-folder"])
def test_a_log_file_that_cannot_be_written_stops_the_start_with_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").write_text("")
    (tmp_path / "a-folder").mkdir()
    environment = {
        "DATA_DIR": str(tmp_path / "data"),
        "LOG_FILE": str(tmp_path / place),
        "PORT": str(free_port()),
        "PATH": "",
    }
    command = [sys.executable, str(ROOT / "app.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"The log file {tmp_path / place} cannot be written" in done.stderr
