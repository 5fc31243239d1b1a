"""The background thread with its asyncio loop, and its health."""

import asyncio
import concurrent.futures
import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

_log = logging.getLogger("afterwrite.background")

T = TypeVar("T")
Kept = concurrent.futures.Future[None] | asyncio.Task[None]
_BEAT_SECONDS = 1.0
_STALLED_SECONDS = 10.0
# psycopg does not support the Proactor loop, the default on Windows.
_LOOP = asyncio.SelectorEventLoop if sys.platform == "win32" else None


class BackgroundLoop:
    """An asyncio loop in its own thread, to which other threads submit coroutines."""

    def __init__(self, name: str = "background") -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._beat_at = 0.0
        self._ended_with: BaseException | None = None
        self._kept: dict[str, Kept] = {}
        self._stop_announced = False

    @property
    def trouble(self) -> str | None:
        """Why this process needs a restart: the loop ended, is blocked, or a kept coroutine ended before the stop.

        None while the loop is healthy, and while it does not run.
        """
        if trouble := self._loop_trouble():
            return trouble
        if self._stop_announced:
            return None
        ended = ((name, job) for name, job in list(self._kept.items()) if job.done())
        return next((f"{name} has ended ({_end_of(job)}): restart the process" for name, job in ended), None)

    def _loop_trouble(self) -> str | None:
        thread = self._thread
        if thread is None:
            return None
        if not thread.is_alive():  # also in a forked child
            reason = "" if self._ended_with is None else f" ({_described(self._ended_with)})"
            return f"The background loop has ended{reason}: restart the process"
        silent = time.monotonic() - self._beat_at
        if silent > _STALLED_SECONDS:
            return f"Something has blocked the background loop for {silent:.0f} s: if it goes on, restart the process"
        return None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop. Raises RuntimeError before ``start`` and after ``stop``."""
        if self._loop is None:
            raise RuntimeError("The background loop does not run: call start() first")
        return self._loop

    def start(self) -> None:
        """Start the thread; return when the loop runs."""
        if self._thread is not None:
            raise RuntimeError("The background loop runs already")
        running = threading.Event()
        # A daemon thread, because a request may hang at exit; stop() finishes what must be finished.
        self._thread = threading.Thread(target=self._run, args=(running,), name=self._name, daemon=True)
        self._thread.start()
        running.wait()
        self._beat_at = time.monotonic()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine on the loop, from any thread; the future is cancelled if the loop has ended."""
        loop = self.loop
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError:  # closed; a check before the call would be a race
            coroutine.close()
            never: concurrent.futures.Future[T] = concurrent.futures.Future()
            never.cancel()
            return never

    def keep(self, name: str, coroutine: Coroutine[Any, Any, None]) -> concurrent.futures.Future[None]:
        """Run a coroutine until the stop; if it ends earlier, `trouble` reports it."""
        job = self.submit(coroutine)
        self.watch({name: job})
        return job

    def watch(self, tasks: Mapping[str, Kept]) -> None:
        """Report it in `trouble` if one of these ends before the stop."""
        self._kept |= tasks

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Schedule a function on the loop, from any thread; does nothing if the loop has ended."""
        _call_soon(self.loop, function, *arguments)

    def announce_stop(self) -> None:
        """Allow kept coroutines to end from now on."""
        self._stop_announced = True

    def finish(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a shutdown step and wait for it; give up if the loop does not run."""
        if self._loop_trouble():
            coroutine.close()
            return
        step = self.submit(coroutine)
        while not concurrent.futures.wait([step], _BEAT_SECONDS).done:
            if self._loop_trouble():
                return
        step.result()

    def stop(self) -> None:
        """Cancel what still runs, wait for it, close the loop; may be called twice.

        A blocked loop is abandoned: its thread ends with the process.
        """
        trouble = self._loop_trouble()
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        if trouble is not None:
            _log.error("%s", trouble)
            return
        _call_soon(loop, loop.stop)
        thread.join()

    def _run(self, running: threading.Event) -> None:
        try:
            # Leaving the block cancels tasks and shuts down generators and the thread pool.
            with asyncio.Runner(loop_factory=_LOOP) as runner:
                loop = runner.get_loop()
                self._loop = loop
                loop.call_soon(running.set)
                self._beat(loop)
                loop.run_forever()
        except BaseException as error:  # noqa: BLE001 - reported by `trouble`; this thread has no caller
            self._ended_with = error
            _log.exception("the background loop has ended")

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beat_at = time.monotonic()
        loop.call_later(_BEAT_SECONDS, self._beat, loop)


class Signal:
    """An event that a coroutine waits for and any thread may set; made on the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def set(self) -> None:
        """Set it; does nothing if the loop has ended."""
        if asyncio._get_running_loop() is self._loop:
            self._event.set()
        else:
            _call_soon(self._loop, self._event.set)

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait until it is set and clear it; False on timeout."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._event.wait()
        was_set = self._event.is_set()
        self._event.clear()
        return was_set


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> None:
    with contextlib.suppress(
        RuntimeError
    ):  # the loop may close at any moment; errors of the function are not raised here
        loop.call_soon_threadsafe(function, *arguments)


def _end_of(job: Kept) -> str:
    if job.cancelled():
        return "it was cancelled"
    error = job.exception()
    return "without an error" if error is None else _described(error)


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
