"""The clock is passed in; nothing else in the system asks for the time."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

# On Linux the plain monotonic clock stands still while a machine sleeps, this one does not.
_ELAPSED: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """Where the time comes from."""

    @property
    def of_the_machine(self) -> bool:
        """Whether other programs' times, such as those of NATS, can be compared with it."""
        ...

    def now(self) -> datetime:
        """Tell the time, aware, in UTC."""
        ...

    def elapsed(self) -> timedelta:
        """Tell how long ago some fixed instant was. It runs on evenly when somebody sets the clock."""
        ...


class SystemClock:
    """The machine's clock."""

    of_the_machine = True

    def now(self) -> datetime:
        return datetime.now(UTC)

    def elapsed(self) -> timedelta:
        return timedelta(microseconds=time.clock_gettime_ns(_ELAPSED) // 1000)


class ManualClock:
    """A clock that moves only when a test moves it."""

    of_the_machine = False

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)
        self._elapsed = timedelta(0)

    def now(self) -> datetime:
        return self._now

    def elapsed(self) -> timedelta:
        return self._elapsed

    def advance(self, by: timedelta) -> None:
        """Let time pass. Back, it only sets the clock: no time passes backwards."""
        self._now += by
        self._elapsed += max(by, timedelta(0))

    def set(self, to: datetime) -> None:
        """Let time pass until then."""
        self.advance(to - self._now)

    def jump(self, by: timedelta) -> None:
        """Set the clock, without any time passing."""
        self._now += by
