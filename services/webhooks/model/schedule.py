"""When a delivery is tried again. Pure but for the jitter.

The schedule is that of Standard Webhooks (https://www.standardwebhooks.com, "Deliverability and reliability"): ten
attempts over some three days.
"""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

# After the first attempt, the second ...; one that follows the last ends the delivery as failed.
PAUSES: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
# Each pause grows by up to so much of itself, so that what failed together does not come back together.
_JITTER: Final = 0.1
# A receiver that asks for more than a day is asked again after one.
LONGEST_WAIT: Final = timedelta(days=1)

# An endpoint that took nothing for so long is disabled, as Svix does.
DISABLED_AFTER: Final = timedelta(days=5)


def next_attempt(
    made: int, at: datetime, *, wait: timedelta | None = None, jitter: Callable[[], float] = random.random
) -> datetime | None:
    """Tell when to try again after `made` attempts, the last of them ended at `at`; None when it was the last one.

    `wait`: what the receiver asked for (Retry-After), which is kept to if it is longer.
    """
    if not 1 <= made <= len(PAUSES):
        return None
    pause = PAUSES[made - 1]
    return at + max(pause * (1 + _JITTER * jitter()), min(wait or timedelta(), LONGEST_WAIT))


__all__ = ["DISABLED_AFTER", "LONGEST_WAIT", "PAUSES", "next_attempt"]
