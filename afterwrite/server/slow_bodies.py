"""Limits slow request bodies: a timeout for each piece, and a number of slots per caller.

HTTP servers have no timeout for bodies, and the reading thread blocks. Bodies that arrive at once are not counted, or a
busy server would refuse them for its own slowness.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from afterwrite.access.caller import sender_in
from afterwrite.access.session import FORM_TYPES
from afterwrite.access.slowing import place_of
from afterwrite.base.settings import Settings
from afterwrite.graphql_http.errors import HttpRefusal
from afterwrite.server.bodies import PIECE_BYTES, Body
from afterwrite.server.ending import can_end, end
from afterwrite.server.watch import Watch

SLOW_SECONDS = 1.0
"""A body that is still being read after this time takes one of its caller's slots."""
_STOP_SECONDS = 2
_RETRY_AFTER_SECONDS = 2
_FORMS, _ANONYMOUS = "forms without a key", "callers without a key"


class SlowBodies:
    """Reads bodies, and watches the reads from a thread of its own; thread-safe.

    Of the threads that are not reserved for waits and event streams, slow bodies of one key may take half, those of all
    anonymous callers together half, and anonymous forms a quarter, so that people can still sign in. One thread stays
    free. Bodies beyond that get 503, and a piece of 64 KiB that takes longer than ``BODY_SECONDS`` gets 408.
    """

    def __init__(
        self,
        settings: Settings,
        is_stopping: Callable[[], bool] = lambda: False,
        can_be_ended: Callable[[Mapping[str, Any]], bool] = can_end,
    ) -> None:
        """While ``is_stopping`` bodies get 2 s."""
        left = settings.threads - settings.max_waiters - settings.stream_threads
        self._places = max(1, left - 1)
        self._each, self._forms = max(1, left // 2), max(1, left // 4)
        self._most_open = max(1, settings.threads // 2)
        self._seconds = settings.body_seconds
        self._can_be_ended = can_be_ended
        self._is_stopping = is_stopping
        self._open: dict[Body, bool] = {}
        self._slow: Counter[str] = Counter()
        self._watch = Watch("slow-bodies", lambda: bool(self._open), self._check)

    def read(self, body: Body, size: int) -> bytes:
        """Up to ``size`` bytes of the body; fewer only at its end. Raises HttpRefusal."""
        now = time.monotonic()
        if not body.started:
            body.group, body.address = _group_of(body.environ), place_of(body.environ.get("REMOTE_ADDR", ""))
            self._admit(body)
            body.started = now
        body.piece_started, body.is_back = now, False
        self._open[body] = True
        self._watch.wake()
        try:
            piece: bytes = body.stream.read(size)
        except Exception as error:  # gunicorn raises errors of its own for broken chunks
            self._close(body)
            raise error if isinstance(error, OSError) else OSError(f"the body is broken: {error}") from error
        self._close(body)
        return piece

    def _close(self, body: Body) -> None:
        body.is_back = True
        # Whichever thread removes the entry, this one or the watch, decides the outcome.
        if not self._open.pop(body, False):
            assert body.refused is not None
            raise body.refused

    def _admit(self, body: Body) -> None:
        """Refuse a body if slow ones hold its group's slots and its own address sends some of them.

        Other addresses of the group go on; all bodies of a group together take at most half of the threads.
        """
        most = self._limit_of(body.group)
        if self._can_be_ended(body.environ) and self._slow[body.group] < most:
            return
        now = time.monotonic()
        same = [one for one in list(self._open) if one.group == body.group]
        near = [one for one in same if one.address == body.address]
        slows_down = len(near) >= most and any(now - one.started >= SLOW_SECONDS for one in near)
        if len(same) >= self._most_open or (self._can_be_ended(body.environ) and slows_down):
            raise _busy(body.group)

    def _limit_of(self, group: str) -> int:
        return self._forms if group == _FORMS else self._each

    def _check(self, now: float) -> None:
        slow = sorted((body for body in list(self._open) if now - body.started >= SLOW_SECONDS), key=_order)
        late = [body for body in slow if now - body.piece_started >= self._seconds]
        if self._is_stopping():
            late = [body for body in slow if now - body.started >= _STOP_SECONDS]
        kept, over = self._kept([body for body in slow if body not in late])
        self._slow = kept
        for body in late:
            self._end(body, _late(self._seconds))
        for body in over:
            self._end(body, _busy(body.group))

    def _kept(self, slow: Iterable[Body]) -> tuple[Counter[str], list[Body]]:
        kept: Counter[str] = Counter()
        over = []
        for body in slow:
            if kept[body.group] < self._limit_of(body.group) and kept.total() < self._places:
                kept[body.group] += 1
            else:
                over.append(body)
        return kept, over

    def _end(self, body: Body, refused: HttpRefusal) -> None:
        body.refused = refused
        if self._open.pop(body, False) and self._can_be_ended(body.environ):
            end(body)


def _order(body: Body) -> tuple[bool, float]:
    """Callers with a key first, then in the order of arrival."""
    return body.group in (_FORMS, _ANONYMOUS), body.started


def _group_of(environ: Mapping[str, Any]) -> str:
    name = sender_in(environ).caller.name
    if name is not None:
        return f"the key {name}"
    media_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    return _FORMS if media_type in FORM_TYPES else _ANONYMOUS


def _busy(group: str) -> HttpRefusal:
    message = f"Too many slow request bodies from {group}: try again in {_RETRY_AFTER_SECONDS} s"
    return HttpRefusal(503, message, "SERVER_BUSY", (("Retry-After", str(_RETRY_AFTER_SECONDS)),))


def _late(seconds: int) -> HttpRefusal:
    message = (
        f"The body came too slowly: each {PIECE_BYTES >> 10} KiB must arrive within {seconds} s (BODY_SECONDS): "
        "send less, or over a faster connection"
    )
    return HttpRefusal(408, message, "REQUEST_TIMEOUT")
