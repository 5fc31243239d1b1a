"""The background loop's end at any moment is no error of those who hand it something."""

import asyncio
import sys
from collections.abc import Iterator

import pytest

from afterwrite.base.background import BackgroundLoop

WAIT_SECONDS = 10


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[BackgroundLoop]:
    """A loop that ends in the moment after somebody has looked whether it is closed."""
    background = BackgroundLoop()
    background.start()
    loop, thread = background.loop, background._thread
    assert thread is not None

    background.call(sys.exit)
    thread.join(WAIT_SECONDS)
    assert loop.is_closed()
    monkeypatch.setattr(loop, "is_closed", lambda: False)
    yield background
    background.stop()


def test_a_call_of_a_loop_that_ends_meanwhile_does_nothing(ended: BackgroundLoop) -> None:
    called: list[int] = []
    ended.call(called.append, 1)
    assert called == []


def test_what_is_submitted_to_a_loop_that_ends_meanwhile_is_cancelled(ended: BackgroundLoop) -> None:
    assert ended.submit(asyncio.sleep(0)).cancelled()
    assert "The background loop has ended" in str(ended.trouble)
