"""The retry policy: exponential backoff with jitter."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often an attempt is retried, and after which delays; all delays in seconds.

    The delay after attempt n is ``first_seconds * factor ** (n - 1)``, at most ``longest_seconds``, times a random
    factor between ``1 - jitter`` and 1, so that tasks that failed together are not retried together
    (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
    """

    max_attempts: int = 5
    first_seconds: float = 1.0
    factor: float = 2.0
    longest_seconds: float = 300.0
    jitter: float = 0.5

    def delay_seconds(self, attempt: int) -> float:
        """The delay after attempt number ``attempt``, counted from 1."""
        # Capped first: a power of several hundred overflows a float.
        exponent = min(max(0, attempt - 1), 64)
        pause = min(self.longest_seconds, self.first_seconds * self.factor**exponent)
        return pause * random.uniform(1 - self.jitter, 1)  # noqa: S311 - jitter
