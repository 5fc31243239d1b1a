"""Tests what the benchmark's command line takes."""

import pytest

from bench.__main__ import main


@pytest.mark.parametrize("where", [[], ["--peers"], ["--postgres"], ["--stack"]])
def test_an_unknown_measurement_is_refused_with_the_names_of_those_there_are(
    where: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*where, "--only", "nothing"])
    assert stopped.value.code == 2
    assert "--only names 'nothing': choose from " in capsys.readouterr().err


def test_a_commit_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--before", "no-such-commit"])
    assert "invalid commit value: 'no-such-commit'" in capsys.readouterr().err
