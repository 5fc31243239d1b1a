"""Rate-limits wrong keys by address; a correct key always passes."""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from afterwrite.access.keys import Key
from afterwrite.graphql_http.errors import HttpRefusal

FREE_TRIES = 5
WINDOW_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 60.0
ADDRESSES_MAX = 10_000


class TooManyTries(HttpRefusal):
    """A wrong key that came too soon. ``seconds``: the wait before the next try, rounded up."""

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, math.ceil(seconds))
        message = f"Too many wrong keys came from this address: try again in {self.seconds} s"
        super().__init__(429, message, "TOO_MANY_TRIES", (("Retry-After", str(self.seconds)),))


@dataclass(slots=True)
class _Failed:
    count: int
    since: float
    free_at: float


class KeyTries:
    """Looks keys up, with exponential back-off for addresses that send wrong ones; thread-safe.

    After five wrong keys within a minute an address waits 1 s, then 2, 4 and so on up to 60 s between wrong keys, until
    a minute passes without one. A correct key always passes, so a wrong one does not block other callers at its
    address. This bounds the cost of wrong keys (each checks the file of keys), not guessing: 256 random bits cannot be
    guessed. The newest 10,000 addresses are remembered.
    """

    def __init__(
        self,
        known: Callable[[str], Key | None],
        find: Callable[[str], Key | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``known`` looks a secret's key up in memory; ``find`` also finds one that was added just now."""
        self._known = known
        self._find = find
        self._clock = clock
        self._failed: OrderedDict[str, _Failed] = OrderedDict()
        self._turn = threading.Lock()

    def look_up(self, address: str, secret: str) -> Key | None:
        """The key with this secret, sent from this address. Raises TooManyTries."""
        key = self._known(secret)
        if key is not None:
            return key
        place = place_of(address)
        # One at a time, so that concurrent tries do not share one wait.
        with self._turn:
            self._check(place)
            key = self._find(secret)
            if key is None:
                self._note_failure(place)
        return key

    def _check(self, place: str) -> None:
        failed = self._failed.get(place)
        if failed is not None and (wait := failed.free_at - self._clock()) > 0:
            raise TooManyTries(wait)

    def _note_failure(self, place: str) -> None:
        now = self._clock()
        failed = self._failed.get(place)
        if failed is None or now - max(failed.since, failed.free_at) > WINDOW_SECONDS:
            failed = self._failed[place] = _Failed(0, now, now)
        failed.count += 1
        if failed.count >= FREE_TRIES:
            wait = min(LONGEST_WAIT_SECONDS, 2.0 ** min(failed.count - FREE_TRIES, 10))
            failed.free_at = now + wait
        self._failed.move_to_end(place)
        while len(self._failed) > ADDRESSES_MAX:
            self._failed.popitem(last=False)


@lru_cache(maxsize=4_096)
def place_of(address: str) -> str:
    """The unit that limits count by: an IPv4 address, or the /64 network of one IPv6 customer."""
    found = ip_of(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((found, 64), strict=False))
    return address if found is None else str(found)


def ip_of(text: str) -> IPv4Address | IPv6Address | None:
    """The IP address in a text, without its zone, an IPv4-mapped one as IPv4; None if there is none."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
