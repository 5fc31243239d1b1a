"""The registry of workers: finds the worker of a task, and validates new tasks against their type."""

import hashlib
import json
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from afterwrite.base.json_schema import Validator
from afterwrite.base.refusals import Problem, Refused
from afterwrite.base.text import find_unusable_in_url, folded, shorten, unprintable_character
from afterwrite.tasks.retry import RetryPolicy
from afterwrite.tasks.statements import Prepared
from afterwrite.tasks.task import NewTask, Task
from afterwrite.tasks.worker import BaseWorker, Schema

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

PRIORITY_MAX = 1_000
ATTEMPTS_MAX = 100
TEXT_MAX = 255
URL_MAX = 2_000
_SEARCH_TEXT_MAX = 2_000
_MESSAGE_MAX = 300
_RUN_AT_MAX_US = 253_402_300_799_000_000  # the end of the year 9999, the last that datetime has
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode
_TYPE = re.compile("[A-Za-z0-9_][A-Za-z0-9_.:-]{0,99}")  # stands in URLs, metrics and the list of --types
_SURROGATE = re.compile("[\ud800-\udfff]")
# As JSON escapes it; an escaped backslash before it is something else.
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class Refusal(StrEnum):
    UNKNOWN_TASK_TYPE = "UNKNOWN_TASK_TYPE"
    INVALID_PAYLOAD = "INVALID_PAYLOAD"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    TASK_NOT_FOUND = "TASK_NOT_FOUND"
    TASK_NOT_CANCELLABLE = "TASK_NOT_CANCELLABLE"
    TASK_NOT_RETRYABLE = "TASK_NOT_RETRYABLE"
    MOVE_NOT_ALLOWED = "MOVE_NOT_ALLOWED"
    TASK_LOCKED = "TASK_LOCKED"
    QUEUE_FULL = "QUEUE_FULL"
    SHUTTING_DOWN = "SHUTTING_DOWN"


class TaskRefused(Refused):
    """A refused request, which changed nothing: the reason, a message and the argument (None: the whole request)."""

    def __init__(self, refusal: Refusal, message: str, field: str | None = None) -> None:
        super().__init__([Problem(None if field is None else field.split("."), message, refusal.value)])
        self.refusal, self.field = refusal, field


class Registry:
    """The workers of this process by task type."""

    def __init__(
        self, workers: Sequence[BaseWorker], payload_max_bytes: int, *, private_callbacks: bool = False
    ) -> None:
        """``private_callbacks`` allows callback URLs in private networks.

        Raises ValueError when two workers name one type, or a type's name is invalid.
        """
        self.workers, self.payload_max_bytes = tuple(workers), payload_max_bytes
        self._private_callbacks = private_callbacks
        self._of_type: dict[str, BaseWorker] = {}
        self._validators: dict[str, Validator] = {}
        for worker in workers:
            for task_type, schema in worker.types.items():
                self._check_type(task_type, worker)
                self._of_type[task_type] = worker
                self._validators[task_type] = Validator(schema)

    def _check_type(self, task_type: str, worker: BaseWorker) -> None:
        named = type(worker).__name__
        if not (isinstance(task_type, str) and _TYPE.fullmatch(task_type)):
            raise ValueError(f"{named} has the task type {task_type!r}: give up to 100 letters, digits and _ . : -")
        if other := self._of_type.get(task_type):
            raise ValueError(
                f"The task type {task_type!r} has two workers, {type(other).__name__} and {named}: "
                "give one of them another type"
            )

    @property
    def types(self) -> list[str]:
        """The types that have a worker, sorted."""
        return sorted(self._of_type)

    def worker(self, task_type: str) -> BaseWorker | None:
        """The worker that declares a type, or None."""
        return self._of_type.get(task_type)

    def schema_of(self, task_type: str) -> Schema:
        """The JSON Schema of a type's payload. Raises KeyError if the type has no worker."""
        return self._of_type[task_type].types[task_type]

    def worker_for(self, task: Task) -> BaseWorker | None:
        named = self._of_type.get(task.type)
        if named is not None and named.can_handle_task(task):
            return named
        return next((worker for worker in self.workers if worker.can_handle_task(task)), None)

    def policy(self, task_type: str) -> RetryPolicy:
        worker = self._of_type.get(task_type)
        return RetryPolicy() if worker is None else worker.retry

    def load(self) -> None:
        """Import now what ``prepare`` imports when first used, where it must not wait for that."""
        import jsonschema  # noqa: F401

        import afterwrite.webhooks.guarded_http  # noqa: F401

    def prepare(self, new: NewTask) -> Prepared:
        """Validate a new task against its type. Raises TaskRefused."""
        self._check_callback(new.callback_url)
        worker = self._of_type.get(new.type)
        if worker is None:
            offered = ", ".join(name for name in self.types if not self._of_type[name].internal)
            message = f"Unknown task type {new.type[:TEXT_MAX]!r}: give one of {offered}"
            raise TaskRefused(Refusal.UNKNOWN_TASK_TYPE, message, "type")
        if worker.internal:
            message = f"Tasks of the type {new.type!r} are created only by the server: give another type"
            raise TaskRefused(Refusal.UNKNOWN_TASK_TYPE, message, "type")
        _check_arguments(new)
        return self._prepared(new, worker, self._payload(new))

    def prepare_own(self, new: NewTask) -> Prepared:
        """Prepare a task that the server itself creates, without validation; its type must have a worker."""
        return self._prepared(new, self._of_type[new.type], _encode(new.payload))

    def _check_callback(self, url: str | None) -> None:
        """Raise TaskRefused for a callback URL that no delivery would ever be sent to."""
        if url is None:
            return
        from afterwrite.webhooks.guarded_http import check_callback_url  # with the HTTP client

        try:
            check_callback_url(url, allow_private=self._private_callbacks)
        except ValueError as error:
            raise TaskRefused(Refusal.INVALID_ARGUMENT, str(error), "callbackUrl") from error

    @staticmethod
    def _prepared(new: NewTask, worker: BaseWorker, payload_json: str) -> Prepared:
        search_text = " ".join([new.correlation_id or "", worker.search_text(new.payload)])
        prepared = new._asdict() | {
            "payload_json": payload_json,
            "max_attempts": worker.retry.max_attempts if new.max_attempts is None else new.max_attempts,
            "stage": worker.first_stage(new.type) if new.stage is None else new.stage,
            "search_text": folded(search_text)[:_SEARCH_TEXT_MAX],
            "fingerprint": _fingerprint(new) if new.idempotency_key else None,
        }
        del prepared["payload"]
        return prepared

    def _payload(self, new: NewTask) -> str:
        try:
            text = _encode(new.payload)
        except (TypeError, ValueError, RecursionError) as error:
            raise _bad_payload("payload", f"is not a JSON value: {error}") from error
        if _SURROGATE.search(text) or _ESCAPED_NUL.search(text):
            raise _bad_payload("payload", "holds a NUL or half of a surrogate pair: remove it")
        size = len(text.encode())
        if size > self.payload_max_bytes:
            raise _bad_payload("payload", f"has {size:,} bytes: the limit is {self.payload_max_bytes:,}")
        problem = self._validators[new.type].main_error(new.payload)
        if problem is not None:
            raise _bad_payload(_path(problem), shorten(problem.message, _MESSAGE_MAX))
        return text


def _check_arguments(new: NewTask) -> None:
    _check_name("idempotencyKey", new.idempotency_key)
    _check_name("correlationId", new.correlation_id)
    url = new.callback_url
    if url is not None and (not 1 <= len(url) <= URL_MAX or find_unusable_in_url(url)):
        raise _bad("callbackUrl", f"has {len(url)} characters: give 1 to {URL_MAX}, and no control characters")
    if not -PRIORITY_MAX <= new.priority <= PRIORITY_MAX:
        raise _bad("priority", f"is {new.priority}: give {-PRIORITY_MAX} to {PRIORITY_MAX}, the highest runs first")
    if new.max_attempts is not None and not 1 <= new.max_attempts <= ATTEMPTS_MAX:
        raise _bad("maxAttempts", f"is {new.max_attempts}: give 1 to {ATTEMPTS_MAX}")
    if new.run_at_us is not None and not 0 <= new.run_at_us <= _RUN_AT_MAX_US:
        raise _bad("runAt", "is not between 1970 and 9999")


def _check_name(name: str, text: str | None) -> None:
    if text is None:
        return
    if not 1 <= len(text) <= TEXT_MAX:
        raise _bad(name, f"has {len(text)} characters: give 1 to {TEXT_MAX} printable ones")
    if found := unprintable_character(text):
        raise _bad(name, f"has the character U+{ord(found):04X}, which is not printable: remove it")


def _bad(name: str, detail: str) -> TaskRefused:
    return TaskRefused(Refusal.INVALID_ARGUMENT, f"{name} {detail}", name)


def _bad_payload(path: str, detail: str) -> TaskRefused:
    return TaskRefused(Refusal.INVALID_PAYLOAD, f"{path}: {detail}", path)


def _path(problem: "ValidationError") -> str:
    path = ["payload", *map(str, problem.absolute_path)]
    if problem.validator == "required":
        needed, given = cast(list[str], problem.validator_value), cast(dict[str, Any], problem.instance)
        path += [name for name in needed if name not in given][:1]
    return ".".join(path)


def _fingerprint(new: NewTask) -> str:
    parts = [new.type, new.priority, new.run_at_us, new.correlation_id, new.callback_url]
    text = json.dumps([new.payload, *parts, new.max_attempts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
