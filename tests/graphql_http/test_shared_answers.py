"""An event that many streams ask the same of is executed once, and for each audience by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from afterwrite.graphql_http import Limits
from afterwrite.graphql_http.documents import DocumentStore
from afterwrite.graphql_http.shared_answers import SharedAnswers
from app import application

OPERATION = DocumentStore(application.schema, Limits()).get("{ __typename }").operation(None)


class _Event:
    """An event, told apart by its identity."""


def test_one_execution_serves_all_who_ask_the_same() -> None:
    executed: list[Any] = []

    def answer(event: Any) -> bytes:
        executed.append(event)
        return b"%d" % len(executed)

    async def test() -> list[list[bytes]]:
        shared = SharedAnswers()
        events = [_Event(), _Event()]
        told = [shared.of(OPERATION, {"id": "1"}, audience, answer) for audience in ("ann", "bob") for _ in range(50)]
        return [await asyncio.gather(*(ask(event) for ask in told)) for event in events]

    first, second = asyncio.run(test())
    assert len(executed) == 4  # of each event, one for Ann and one for Bob
    assert [len(set(first[:50])), len(set(first[50:])), len(set(first))] == [1, 1, 2]
    assert not set(first) & set(second)


def test_other_variables_are_another_question() -> None:
    def saying(text: str) -> Callable[[Any], bytes]:
        return lambda _event: text.encode()

    async def test() -> set[bytes]:
        shared = SharedAnswers()
        event = _Event()
        asks = [shared.of(OPERATION, {"id": text}, None, saying(text)) for text in ("1", "2")]
        return {await ask(event) for ask in asks}

    assert asyncio.run(test()) == {b"1", b"2"}
