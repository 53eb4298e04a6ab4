"""How often somebody may ask for a sign-in link, in bounded memory."""

import math
from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Final

_REMEMBERED: Final = 10_000  # keys; the longest unused is forgotten first (about 2 MB)


class Limit:
    """At most `times` within `within` for each key, counted from its first time."""

    def __init__(self, times: int, within: timedelta) -> None:
        self._times = times
        self._within = within
        self._counted: OrderedDict[Hashable, tuple[datetime, int]] = OrderedDict()

    def wait(self, key: Hashable, at: datetime) -> int:
        """Count one more for `key`; the seconds to wait, 0 if it is allowed."""
        since, count = self._counted.pop(key, (at, 0))
        if at - since >= self._within:
            since, count = at, 0
        self._counted[key] = (since, count + 1)
        while len(self._counted) > _REMEMBERED:
            self._counted.popitem(last=False)
        return 0 if count < self._times else math.ceil((since + self._within - at).total_seconds())
