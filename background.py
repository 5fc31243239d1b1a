"""Runs the one background thread with its asyncio loop: start, submit, stop."""

import asyncio
import concurrent.futures
import sys
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
# The driver of PostgreSQL cannot do with the other loop of Windows.
_LOOP = asyncio.SelectorEventLoop if sys.platform == "win32" else None


class BackgroundLoop:
    """An asyncio loop in a thread of its own; requests hand it coroutines and go on."""

    def __init__(self, name: str = "background") -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop. Raises RuntimeError before ``start`` and after ``stop``."""
        if self._loop is None:
            raise RuntimeError("The background loop does not run: call start() first")
        return self._loop

    def start(self) -> None:
        """Return when the loop runs."""
        if self._thread is not None:
            raise RuntimeError("The background loop runs already")
        running = threading.Event()
        # A daemon, because a request may hang at exit; what must be finished is finished in stop().
        self._thread = threading.Thread(target=self._run, args=(running,), name=self._name, daemon=True)
        self._thread.start()
        running.wait()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine on the loop, from any thread; the future has its result or its error."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def stop(self) -> None:
        """Cancel what still runs, wait until it has ended, close the loop; may be called twice."""
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _run(self, running: threading.Event) -> None:
        # Its exit cancels tasks, ends generators and the thread pool.
        with asyncio.Runner(loop_factory=_LOOP) as runner:
            loop = runner.get_loop()
            self._loop = loop
            loop.call_soon(running.set)
            loop.run_forever()
