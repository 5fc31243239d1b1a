"""Messages name a command that exists where they are read: dev.py in a clone, else that of the package."""

from pathlib import Path

import pytest

from afterwrite.base import own_command


@pytest.mark.parametrize(("file", "said"), [("dev.py", "python3 dev.py key list"), ("app.py", "afterwrite key list")])
def test_the_command_is_that_of_a_clone_or_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, said: str
) -> None:
    (tmp_path / file).touch()
    monkeypatch.setattr(own_command, "ROOT", tmp_path)
    assert own_command.own_command.__wrapped__("key list") == said
