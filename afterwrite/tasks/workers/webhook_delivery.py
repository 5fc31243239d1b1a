"""The webhook delivery worker: posts a task's outcome to its callback URL, as a task of its own.

The event is JSON: ``event`` (``task.completed``, ``task.failed``, ``task.cancelled``), ``event_id``, ``task_id`` (a
string), ``type``, ``status``, ``correlation_id``, ``result``, ``error`` (``code``, ``message``, or null),
``created_at`` and ``finished_at`` (ISO 8601 in UTC). It is signed as described in ``webhooks.signing``.

There are 8 attempts. The delays between them are at most 10 s, 40 s, 2 min 40 s, 10 min 40 s, 43 min, 2 h 51 min and 4
h, and at least three quarters of that: the last attempt comes after six to eight hours. A longer ``Retry-After`` is
honoured up to 4 h. 2xx is success; 410 and a URL that must not be called fail at once; everything else is retried. A
receiver may get an event twice, with the same id, when its answer is lost.
"""

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, ClassVar

from afterwrite.base import tracing
from afterwrite.base.missing_packages import require
from afterwrite.tasks.retry import RetryPolicy
from afterwrite.tasks.task import NewTask, Task
from afterwrite.tasks.worker import BaseWorker, TaskContext, TaskFailed
from afterwrite.webhooks.callback_pattern import URL_MAX_CHARACTERS
from afterwrite.webhooks.signing import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, check_secret, sign

if TYPE_CHECKING:
    from afterwrite.webhooks.guarded_http import Answer, GuardedHttp

# The HTTP client and the certificates that it trusts take 5 MB and 50 ms: they come with the first delivery.
require("httpx")

TYPE = "webhook_delivery"
PAYLOAD_MAX_BYTES = 256 * 1024

_GONE = 410
_REDIRECTS = range(300, 400)
_SUCCESS = range(200, 300)


def delivery_of(task: Task) -> NewTask | None:
    """The delivery of an ended task's outcome; None without a callback URL, and for deliveries themselves.

    Deterministic: the same end always gives the same event; a retried task ends with a new one. If the payload exceeds
    256 KiB, or the result contains a lone surrogate (which UTF-8 cannot encode), the event has no result but
    ``result_omitted``: true. The correlation id is only in the event, because by it a search finds the task itself.
    """
    if task.callback_url is None or task.type == TYPE:
        return None
    event = _event_of(task)
    payload = {"url": task.callback_url, "event_id": event["event_id"], "event": event}
    if not _fits(payload):
        event |= {"result": None, "result_omitted": True}
    return NewTask(TYPE, payload, created_by=task.created_by, traceparent=task.traceparent)


class WebhookDeliveryWorker(BaseWorker):
    """Posts events, signed with ``secret``; to private addresses only with ``allow_private``."""

    types = {
        TYPE: {
            "type": "object",
            "properties": {
                "url": {"type": "string", "minLength": 1, "maxLength": URL_MAX_CHARACTERS},
                # Sent as a header value: no character may end the line.
                "event_id": {"type": "string", "pattern": r"^[!-~]{1,200}(?![\s\S])"},
                "event": {"type": "object"},
            },
            "required": ["url", "event_id", "event"],
            "additionalProperties": False,
        }
    }
    retry: ClassVar[RetryPolicy] = RetryPolicy(
        max_attempts=8, first_seconds=10, factor=4, longest_seconds=4 * 3600, jitter=0.25
    )
    concurrency: ClassVar[int] = 64  # a delivery mostly waits, and a hanging URL must not block the others
    internal: ClassVar[bool] = True  # or any client could have its own events signed
    time_limit_seconds: ClassVar[float | None] = 30.0  # above the timeout of a post, whose error says more

    def __init__(
        self,
        secret: str,
        allow_private: bool,
        version: str = "",
        *,
        http: "GuardedHttp | None" = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises ValueError for an empty secret."""
        check_secret(secret)
        self._secret, self._clock = secret, clock
        self._http, self._allow_private, self._opening = http, allow_private, threading.Lock()
        self._user_agent = f"Afterwrite/{version}" if version else "Afterwrite"

    async def execute_task(self, task: Task, context: TaskContext) -> dict[str, Any]:
        http = self._http
        if http is None:
            http = await asyncio.to_thread(self._opened)  # the import would block the loop
        from afterwrite.webhooks.guarded_http import AddressRefused, PostFailed

        payload = task.payload
        body = json.dumps(payload["event"], separators=(",", ":")).encode()
        headers = self._headers(payload["event_id"], body, task.traceparent)
        context.check()
        try:
            answer = await http.post(payload["url"], body, headers)
        except AddressRefused as error:
            raise TaskFailed("WEBHOOK_REFUSED", str(error), final=True) from error
        except PostFailed as error:
            raise TaskFailed(f"WEBHOOK_{error.code}", str(error)) from error
        now = self._clock()
        if answer.status not in _SUCCESS:
            raise self._failure(answer, task.attempt, now)
        delivered_at = datetime.fromtimestamp(now, UTC).isoformat()
        return {"status": answer.status, "delivered_at": delivered_at, "attempt": task.attempt}

    def search_text(self, payload: Any) -> str:
        """The ids, names and URL of the event, without the result."""
        event = payload["event"]
        names = (event.get(name) for name in ("task_id", "correlation_id", "type", "event"))
        return " ".join([payload["event_id"], *(name for name in names if isinstance(name, str)), payload["url"]])

    async def close(self) -> None:
        """Release the threads that resolve names."""
        if self._http is not None:
            self._http.close()

    def _opened(self) -> "GuardedHttp":
        from afterwrite.webhooks.guarded_http import GuardedHttp, any_address, is_public

        with self._opening:
            if self._http is None:
                self._http = GuardedHttp(is_allowed=any_address if self._allow_private else is_public)
            return self._http

    def _headers(self, event_id: str, body: bytes, traceparent: str | None) -> dict[str, str]:
        timestamp = int(self._clock())
        trace = {} if traceparent is None else {tracing.HEADER: tracing.next_hop(traceparent)}
        return {
            "Content-Type": "application/json",
            "User-Agent": self._user_agent,
            ID_HEADER: event_id,
            TIMESTAMP_HEADER: str(timestamp),
            SIGNATURE_HEADER: sign(self._secret, timestamp, body),
            **trace,
        }

    def _failure(self, answer: "Answer", attempt: int, now: float) -> TaskFailed:
        said = f": {answer.excerpt}" if answer.excerpt else ""
        if answer.status == _GONE:
            message = f"The URL answered 410 Gone: the receiver wants no more events{said}"
            return TaskFailed("WEBHOOK_GONE", message, final=True)
        if answer.status in _REDIRECTS:
            message = (
                f"The URL answered {answer.status}, a redirect that turns a POST into a GET: give the final URL, "
                "or redirect with 307 or 308"
            )
            return TaskFailed("WEBHOOK_REDIRECT_NOT_FOLLOWED", message)
        pause = self.retry.delay_seconds(attempt)
        requested = min(_retry_after_seconds(answer.retry_after, now), self.retry.longest_seconds)
        message = f"The URL answered {answer.status} instead of 2xx{said}"
        return TaskFailed("WEBHOOK_NOT_ACCEPTED", message, retry_after_seconds=max(pause, requested))


def _event_of(task: Task) -> dict[str, Any]:
    end = f"afterwrite:{task.id}:{task.status}:{task.finished_at_us}"
    error = task.error
    return {
        "event": f"task.{task.status.lower()}",
        # Also in the body, because only the body is signed.
        "event_id": str(uuid.uuid5(uuid.NAMESPACE_URL, end)),
        "task_id": str(task.id),
        "type": task.type,
        "status": str(task.status),
        "correlation_id": task.correlation_id,
        "result": task.result,
        "error": None if error is None else {"code": error.code, "message": error.message},
        "created_at": task.created_at.isoformat(),
        "finished_at": None if task.finished_at is None else task.finished_at.isoformat(),
    }


def _fits(payload: dict[str, Any]) -> bool:
    try:
        return len(json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()) <= PAYLOAD_MAX_BYTES
    except UnicodeEncodeError:
        return False


def _retry_after_seconds(retry_after: str | None, now: float) -> float:
    """The delay that ``Retry-After`` requests, as seconds or a date (RFC 9110, 10.2.3); 0 if absent or invalid."""
    if retry_after is None:
        return 0.0
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        return parsedate_to_datetime(retry_after).timestamp() - now
    except (ValueError, OverflowError):
        return 0.0
