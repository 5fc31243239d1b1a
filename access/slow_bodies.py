"""Ends the reading of bodies that come too slowly, or of which one caller sends too many at a time.

No HTTP server limits how long a body may take, and the thread that reads one waits for it. Bodies that come at once
are not counted: a server that is busy would refuse them for its own slowness.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from access.bodies import PIECE_BYTES, Body
from access.caller import sender_in
from access.ending import Answer, Ending, can_end
from access.refusal import Refused
from access.session import FORM_TYPES
from settings import Settings

SLOW_SECONDS = 1.0
"""A body that is still being read after this time takes one of the places of its caller."""
_LOOK_SECONDS = 0.25
_IDLE_SECONDS = 60.0
_RETRY_AFTER_SECONDS = 2
_FORMS, _ANONYMOUS = "forms without a key", "callers without a key"

_log = logging.getLogger("afterwrite.access")


class SlowBodies:
    """Reads bodies, and watches from a thread of its own how long that takes; may be used from any number of threads.

    Of the threads that waits and event streams leave, each key has half for slow bodies, all callers without a key
    together half, and forms that come without one a quarter, so that people can sign in meanwhile. All of them together
    leave one. Further ones get 503, and a piece of 64 KiB that takes longer than ``BODY_SECONDS`` gets 408.
    """

    def __init__(
        self, settings: Settings, can_be_ended: Callable[[Mapping[str, Any]], bool] = can_end
    ) -> None:
        left = settings.threads - settings.max_waiters - settings.max_streams
        self._places = max(1, left - 1)
        self._each, self._forms = max(1, left // 2), max(1, left // 4)
        self._unended_each = max(1, settings.threads // 2)
        self._seconds = settings.body_seconds
        self._can_be_ended = can_be_ended
        self._ending = Ending(settings.body_seconds)
        self._open: dict[Body, bool] = {}
        self._slow: Counter[str] = Counter()
        self._is_watching = False
        self._turn = threading.Lock()

    def answer_with(self, answer: Answer) -> None:
        """Let ``answer`` make the answers of requests whose threads still wait."""
        self._ending.answer = answer

    def read(self, body: Body, size: int) -> bytes:
        """Up to ``size`` bytes of the body; fewer only at its end. Raises Refused."""
        now = time.monotonic()
        if not body.started:
            body.group = _group_of(body.environ)
            self._admit(body)
            body.started = now
        body.piece_started, body.is_back = now, False
        self._open[body] = True
        if not self._is_watching:
            self._watch()
        try:
            piece: bytes = body.stream.read(size)
        except Exception as error:  # gunicorn has errors of its own for broken chunks
            self._close(body)
            raise error if isinstance(error, OSError) else OSError(f"the body is broken: {error}") from error
        self._close(body)
        return piece

    def _close(self, body: Body) -> None:
        body.is_back = True
        # Whoever takes it out of here has the last word, this thread or the one that watches.
        if not self._open.pop(body, False):
            assert body.refused is not None
            raise body.refused

    def _admit(self, body: Body) -> None:
        """Refuse a caller who has all its places taken by slow bodies, and is sending as many again."""
        most = self._limit_of(body.group)
        if not self._can_be_ended(body.environ):
            if self._count_open(body.group) >= self._unended_each:
                raise _busy(body.group)
        elif self._slow[body.group] >= most and self._count_open(body.group) >= 2 * most:
            raise _busy(body.group)

    def _count_open(self, group: str) -> int:
        return sum(body.group == group for body in list(self._open))

    def _limit_of(self, group: str) -> int:
        return self._forms if group == _FORMS else self._each

    def _watch(self) -> None:
        with self._turn:
            if not self._is_watching:
                self._is_watching = True
                threading.Thread(target=self._keep_watch, name="slow-bodies", daemon=True).start()

    def _keep_watch(self) -> None:
        """Look at what is being read until nothing was for a minute."""
        pause, idle_since = threading.Event(), time.monotonic()
        while True:
            pause.wait(_LOOK_SECONDS)  # bodies do not tell that they are slow
            now = time.monotonic()
            if self._open or self._ending.is_busy:
                idle_since = now
            elif now - idle_since > _IDLE_SECONDS:
                with self._turn:
                    self._is_watching = False  # from here on a new body starts a thread of its own
                    if not self._open:
                        return
                    self._is_watching = True
            try:
                self._look(now)
            except Exception:  # noqa: BLE001 - the one place where watching goes wrong
                _log.exception("slow request bodies could not be ended; trying again")

    def _look(self, now: float) -> None:
        slow = sorted((body for body in list(self._open) if now - body.started >= SLOW_SECONDS), key=_order)
        late = [body for body in slow if now - body.piece_started >= self._seconds]
        kept, over = self._kept([body for body in slow if body not in late])
        self._slow = kept
        ended = [body for body in late if self._claim(body, _late(self._seconds))]
        ended += [body for body in over if self._claim(body, _busy(body.group))]
        self._ending.end(ended)

    def _kept(self, slow: Iterable[Body]) -> tuple[Counter[str], list[Body]]:
        kept: Counter[str] = Counter()
        over = []
        for body in slow:
            if kept[body.group] < self._limit_of(body.group) and kept.total() < self._places:
                kept[body.group] += 1
            else:
                over.append(body)
        return kept, over

    def _claim(self, body: Body, refused: Refused) -> bool:
        body.refused = refused
        return self._open.pop(body, False)


def _order(body: Body) -> tuple[bool, float]:
    """Callers with a key first, then those who came first."""
    return body.group in (_FORMS, _ANONYMOUS), body.started


def _group_of(environ: Mapping[str, Any]) -> str:
    name = sender_in(environ).caller.name
    if name is not None:
        return f"the key {name}"
    media_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    return _FORMS if media_type in FORM_TYPES else _ANONYMOUS


def _busy(group: str) -> Refused:
    message = f"Too many slow request bodies from {group}: try again in {_RETRY_AFTER_SECONDS} s"
    return Refused(503, "SERVER_BUSY", message, (("Retry-After", str(_RETRY_AFTER_SECONDS)),))


def _late(seconds: int) -> Refused:
    message = (
        f"The body came too slowly: each {PIECE_BYTES >> 10} KiB of it must come within {seconds} s (BODY_SECONDS), "
        "so send less or faster"
    )
    return Refused(408, "REQUEST_TIMEOUT", message)
