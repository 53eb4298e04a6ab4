"""How long a promise of wall time took, over its rounds.

Such tests are marked `promise` and have the machine to themselves: beside others they would tell how busy it is.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Durations:
    """The seconds of each round."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    @contextmanager
    def round(self) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds.append(time.perf_counter() - begun)

    def percentile(self, share: float) -> float:
        """The time within which this share of the rounds was over."""
        return sorted(self.seconds)[math.ceil(share * len(self.seconds)) - 1]
