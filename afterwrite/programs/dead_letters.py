"""Lists, retries or removes dead letters: messages that no service could handle."""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from afterwrite.base.settings import SettingsError, from_environment
from afterwrite.jobs.broker import DEAD_LETTERS, DIED_AT, FROM_QUEUE, REASON, REQUESTS, RESULTS, Broker, Delivery
from afterwrite.jobs.errors import QueueFull, ServiceAway

_SHOWN = 100
_OURS = (REASON, FROM_QUEUE, DIED_AT)
_Act = Callable[[Broker, argparse.Namespace], Awaitable[int]]


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit code."""
    options = _parser().parse_args(arguments)
    act: _Act = options.act
    try:
        return asyncio.run(_with_broker(act, options))
    except (SettingsError, ServiceAway, QueueFull) as error:
        sys.stderr.write(f"afterwrite: {error}\n")
        return 1


async def _with_broker(act: _Act, options: argparse.Namespace) -> int:
    broker = Broker(from_environment())
    try:
        return await act(broker, options)
    finally:
        await broker.close()


async def _list(broker: Broker, options: argparse.Namespace) -> int:
    async def show(letter: Delivery) -> bool:
        shown = _json_of(broker, letter)
        if options.json:
            sys.stdout.write(json.dumps(shown) + "\n")
        else:
            where = f"from {shown['queue'] or '?'}, job {shown['correlation_id'] or '?'}"
            sys.stdout.write(f"{shown['id']}  {shown['died_at'] or '-'}  {where}\n    {shown['reason']}\n")
        return True

    if not await broker.browse(DEAD_LETTERS, show, options.most) and not options.json:
        sys.stdout.write(f"There are no dead letters in {broker.name_of(DEAD_LETTERS)}\n")
    return 0


async def _retry(broker: Broker, options: argparse.Namespace) -> int:
    async def send_back(letter: Delivery) -> str:
        queue = _queue_of(broker, letter)
        if queue is None:
            return "stays: its original queue is unknown"
        headers = {name: value for name, value in letter.headers.items() if name not in _OURS}
        await broker.publish(queue, letter.body, {n: v for n, v in headers.items() if not n.startswith("x-")})
        await letter.message.ack()
        return f"is back in {broker.name_of(queue)}"

    return await _for_each(broker, options, send_back)


async def _remove(broker: Broker, options: argparse.Namespace) -> int:
    async def remove(letter: Delivery) -> str:
        await letter.message.ack()
        return "is removed"

    return await _for_each(broker, options, remove)


async def _for_each(broker: Broker, options: argparse.Namespace, deal: Callable[[Delivery], Awaitable[str]]) -> int:
    """Handle each named letter once and print the result; return 1 if one was not found or stays."""
    wanted: Collection[str] = set(options.ids)
    found: dict[str, str] = {}
    some_stay = False

    async def take(letter: Delivery) -> bool:
        nonlocal some_stay
        name = _id_of(letter)
        if options.all or (name in wanted and name not in found):
            found[name] = await deal(letter)
            some_stay = some_stay or found[name].startswith("stays")
            sys.stdout.write(f"{name} {found[name]}\n")
        return options.all or len(found) < len(wanted)

    await broker.browse(DEAD_LETTERS, take, sys.maxsize)
    for name in sorted(set(wanted) - set(found)):
        sys.stdout.write(f"{name} is not a dead letter\n")
    return int(some_stay or bool(set(wanted) - set(found)))


def _json_of(broker: Broker, letter: Delivery) -> Mapping[str, Any]:
    headers = letter.headers
    died = _of_the_broker(headers)
    at = headers.get(DIED_AT) or died.get("time")
    return {
        "id": _id_of(letter),
        "died_at": None if at is None else str(at),
        "queue": _queue_of(broker, letter),
        "correlation_id": headers.get("correlation_id"),
        "reason": headers.get(REASON) or f"Dead-lettered by RabbitMQ: {died.get('reason', 'no reason given')}",
        "body": letter.body.decode(errors="replace"),
    }


def _queue_of(broker: Broker, letter: Delivery) -> str | None:
    named = letter.headers.get(FROM_QUEUE) or _of_the_broker(letter.headers).get("queue")
    return next((queue for queue in (REQUESTS, RESULTS) if named in (queue, broker.name_of(queue))), None)


def _of_the_broker(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """The header that RabbitMQ adds to a message that it dead-letters itself.

    https://www.rabbitmq.com/docs/dlx#effects
    """
    died = headers.get("x-death")
    return died[0] if isinstance(died, list) and died and isinstance(died[0], dict) else {}


def _id_of(letter: Delivery) -> str:
    return letter.message.message_id or "without-id"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="afterwrite dead-letters", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    shown = verbs.add_parser("list", help="show the first ones and their reasons")
    shown.add_argument("--most", type=int, default=_SHOWN, metavar="N", help=f"show up to N (default {_SHOWN})")
    shown.add_argument("--json", action="store_true", help="one JSON object on each line, with the body")
    shown.set_defaults(act=_list)
    for name, act, text in (
        ("retry", _retry, "put them back into their original queue"),
        ("remove", _remove, "delete them permanently"),
    ):
        verb = verbs.add_parser(name, help=text)
        chosen = verb.add_mutually_exclusive_group(required=True)
        chosen.add_argument("ids", nargs="*", default=[], metavar="ID", help="the ids that `list` shows")
        chosen.add_argument("--all", action="store_true", help="all dead letters")
        verb.set_defaults(act=act)
    return parser
