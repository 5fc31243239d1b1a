"""The callback URLs of jobs in Redis, kept for CALLBACK_HOURS; the task's row has them too."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from afterwrite.base.settings import Settings, SettingsError
from afterwrite.jobs.errors import ServiceAway

_log = logging.getLogger("afterwrite.stack")

REDIS = "redis"
_TIMEOUT_SECONDS = 2.0
# ValueError is raised for unreadable answers, such as a value that is not text.
_UNUSABLE = (RedisError, OSError, ValueError)


class Callbacks:
    """Callback URLs by correlation id; call every method on one loop.

    ``trouble`` says why Redis is unavailable; None means no known problem.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsError for an invalid REDIS_URL."""
        self._lifetime_seconds = settings.callback_hours * 3600
        self._prefix = f"{settings.queue_prefix}afterwrite:callback:"
        try:
            self._redis: Redis = Redis.from_url(
                settings.redis_url,
                socket_timeout=_TIMEOUT_SECONDS,
                socket_connect_timeout=_TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 0),
                decode_responses=True,
                protocol=2,
            )
        except ValueError as error:  # the text may contain a password, so it is not quoted
            raise SettingsError("REDIS_URL is not a valid address: give redis://:PASSWORD@HOST:6379/0") from error
        self._place = self._redis.connection_pool.connection_kwargs
        self.trouble: str | None = None

    async def keep(self, correlation_id: str, url: str) -> None:
        """Store the URL of a job for CALLBACK_HOURS. Raises ServiceAway."""
        with self._guarded():
            await self._redis.set(self._prefix + correlation_id, url, ex=self._lifetime_seconds)

    async def find(self, correlation_ids: Sequence[str]) -> Mapping[str, str]:
        """The URLs of these jobs that Redis has. Raises ServiceAway."""
        if not correlation_ids:
            return {}
        with self._guarded():
            found = await self._redis.mget([self._prefix + name for name in correlation_ids])
        return {name: str(url) for name, url in zip(correlation_ids, found, strict=True) if url is not None}

    async def check(self) -> None:
        """Check that Redis answers. Raises ServiceAway."""
        with self._guarded():
            await self._redis.ping()

    async def close(self) -> None:
        await self._redis.aclose()

    def __str__(self) -> str:
        return f"{self._place.get('host', 'localhost')}:{self._place.get('port', 6379)}"

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn errors of Redis into ServiceAway."""
        try:
            yield
        except _UNUSABLE as error:
            said = " ".join(str(error).split())[:300] or type(error).__name__
            message = f"Redis at {self} is unavailable: {said}"
            if message != self.trouble:  # log each problem once, not every try
                _log.warning("%s", message)
            self.trouble = message
            raise ServiceAway(REDIS, message) from error
        self.trouble = None
