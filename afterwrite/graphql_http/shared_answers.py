"""Executes an operation once for an event, however many streams ask the same of it."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from afterwrite.graphql_http.documents import Operation

_REMEMBERED = 500
_THREADS = 2


class SharedAnswers:
    """The newest answers to events; used on one asyncio loop."""

    def __init__(self) -> None:
        # With the event, so that no other one gets its id meanwhile.
        self._made: OrderedDict[Hashable, tuple[Any, asyncio.Future[bytes]]] = OrderedDict()
        self._threads = ThreadPoolExecutor(_THREADS, "stream-answers")

    def of(
        self, operation: Operation, variables: dict[str, Any], audience: Hashable, answer: Callable[[Any], bytes]
    ) -> Callable[[Any], Awaitable[bytes]]:
        """Returns a function that gives the answer to an event, as `answer` makes it in a thread."""
        stream = operation, json.dumps(variables, sort_keys=True), audience

        async def told(event: Any) -> bytes:
            key = *stream, id(event)
            found = self._made.get(key)
            if found is None:
                made = asyncio.get_running_loop().run_in_executor(self._threads, answer, event)
                found = self._made[key] = event, made
                if len(self._made) > _REMEMBERED:
                    self._made.popitem(last=False)
            return found[1].result() if found[1].done() else await asyncio.shield(found[1])

        return told
