"""Posts with guarded HTTP in a loop of their own, and a name server for it."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from receiving_server import WAIT_SECONDS

from afterwrite.webhooks.guarded_http import Address, Answer, GuardedHttp, any_address

T = TypeVar("T")
BODY = b'{"event":"task.completed"}'
NAME = "hook.example"
PUBLIC_HERE = "127.0.0.2"  # stands for a public address; 127.0.0.1 stays private


def public_here(address: Address) -> bool:
    """The rule of these tests: one loopback address is public, another one is not."""
    return str(address) == PUBLIC_HERE


class Names:
    """Answers as a name server; the last answer stays. Remembers what it was asked."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.asked = list(answers), list[str]()

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The next answer."""
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it in a loop of its own, with a limit."""

    async def limited() -> T:
        return await asyncio.wait_for(work, WAIT_SECONDS)

    return asyncio.run(limited())


def post(url: str, **guard: Any) -> Answer:
    """Post to a URL; every address is allowed unless the test says otherwise."""
    http = GuardedHttp(**({"is_allowed": any_address} | guard))
    try:
        return run(http.post(url, BODY, {"Content-Type": "application/json"}))
    finally:
        http.close()
