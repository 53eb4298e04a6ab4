"""Which time it surely is, so that no clock destroys (docs/decisions/0018-clocks.md).

The machine's clock dates what people do, ends sessions and sends reminders. What destroys by time (expiry, retention,
scheduled deletion, keys) goes by `TrustedClock.sure`, which follows the machine's clock only while that is believable.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final, Literal

from pydantic import AwareDatetime

from firsthand.shared.bus.times import Times
from firsthand.shared.clock import Clock
from firsthand.shared.identifiers import DEPLOYMENT
from firsthand.shared.store import AlreadyExists, Conflict, Document, Store

# So far may the machine's clock be from the time that surely is, while we run: more than NTP ever steps a clock that it
# looks after, and less than anything here is kept.
TOLERANCE: Final = timedelta(minutes=10)
# So long may a service have been off before its start: a long weekend. No clock can tell a longer pause from a wrong
# date; and of the seven days in which a family may take a withdrawal back, most remain.
AWAY: Final = timedelta(days=3)

_DRIFT: Final = 0.01  # of the time that passes; oscillators are a hundred times better, so only steps add up
_ID: Final = "mark"
_NOTHING_KNOWN: Final = Times()

State = Literal["sure", "ahead", "behind"]


class ClockMark(Document):
    """The highest time that a service was sure of, in its key store: a restore of data does not turn it back."""

    kind: ClassVar[str] = "clock"

    highest: AwareDatetime
    doubted: AwareDatetime | None = None  # the highest that the machine's clock showed while it was not believed
    confirmed: AwareDatetime | None = None  # the last confirmation that was looked at
    discounted: AwareDatetime | None = None  # messages up to here are no witness: a confirmed time is earlier


@dataclass(frozen=True)
class Reading:
    """The machine's clock beside the time that surely is."""

    now: datetime
    sure: datetime
    state: State = "sure"
    sentence: str = ""  # for operators; empty while all is well

    @property
    def held(self) -> bool:
        """Whether what destroys by time waits although its time has come by the machine's clock."""
        return self.state == "ahead"


class Reckoning:
    """Judges a clock by what is known at the start, and by the time that passes. Pure: it is told all times."""

    def __init__(
        self,
        now: datetime,
        elapsed: timedelta,
        *,
        highest: datetime | None = None,
        doubted: datetime | None = None,
        newest_message: datetime | None = None,
        server: datetime | None = None,
    ) -> None:
        """`highest` and `doubted` as in `ClockMark`; the others as in `Times`, as far as they count.

        A message never raises what is sure where there is a mark: the server that dates it may have the same wrong
        clock. That server's clock proves nothing when it agrees, and much when it does not.
        """
        self._elapsed = elapsed
        self._newest_message = newest_message
        self._reckoned = now
        self._state: State = "sure"
        self._since = now
        self._starts_behind = (
            False  # until it has shown a time that can be: a machine may have to ask for the time first
        )
        base = highest or newest_message
        seen_before = doubted is not None and now >= doubted - TOLERANCE
        if base and (now > base + (TOLERANCE if seen_before else AWAY) or now < base - TOLERANCE):
            self._reckoned = base
            self._starts_behind = now < base and doubted is None
        elif server and now > server + TOLERANCE:
            self._reckoned = max(server, base or server)

    def look(self, now: datetime, elapsed: timedelta) -> Reading:
        """Judge the clock, which shows `now`, after all the time that has `elapsed`."""
        passed = max(elapsed - self._elapsed, timedelta(0))
        self._elapsed += passed
        self._reckoned += passed
        lead = now - self._reckoned
        if self._starts_behind and lead >= -TOLERANCE:
            self._starts_behind = False
            if lead <= AWAY:  # this is its start
                self._reckoned, lead = now, timedelta(0)
        before, self._state = self._state, "sure"
        if abs(lead) > TOLERANCE:
            self._state = "ahead" if lead > TOLERANCE else "behind"
        else:
            step = passed * _DRIFT
            self._reckoned += max(-step, min(step, lead))
            if self._newest_message and now < self._newest_message - TOLERANCE:
                self._state, lead = "behind", now - self._newest_message
        if self._state != before:
            self._since = min(now, self._reckoned)
        sure = self._reckoned if self._state == "ahead" else now
        return Reading(now, sure, self._state, _sentence(self._state, abs(lead), self._since))

    def latest(self, now: datetime) -> datetime:
        """Tell the latest time that it may be, as of the last look: later than `now` where the clock is behind."""
        return max(now, self._reckoned, self._newest_message or now) if self._state == "behind" else now

    def raise_to(self, highest: datetime) -> None:
        """Learn that another replica was sure of a later time."""
        self._reckoned = max(self._reckoned, highest)

    def confirm(self, now: datetime) -> None:
        """A person says that the clock is right."""
        self._reckoned, self._newest_message = now, None


def _sentence(state: State, by: timedelta, since: datetime) -> str:
    if state == "sure":
        return ""
    noticed, remedy = f"noticed at {since:%Y-%m-%d %H:%M} UTC", "Correct the clock, or run `firsthand clock confirm`."
    if state == "ahead":
        return (
            f"This machine's clock is {spelled(by)} ahead of any time that is certain ({noticed}). "
            f"Expiry and scheduled deletion are on hold. {remedy}"
        )
    return (
        f"This machine's clock is {spelled(by)} behind a time that was seen before ({noticed}). "
        f"Expiry and scheduled deletion come late. {remedy}"
    )


def spelled(span: timedelta) -> str:
    """Give a span in its largest sensible unit, e.g. `1100 days`."""
    minutes = round(span.total_seconds() / 60)
    for unit, size in (("days", 24 * 60), ("hours", 60)):
        if minutes >= 2 * size:
            return f"{round(minutes / size)} {unit}"
    return f"{minutes} minutes"


class TrustedClock:
    """One service's judgement of its machine's clock, kept in its key store."""

    def __init__(self, clock: Clock, keys: Store) -> None:
        """Believe the clock until `load`, which is to follow before anything is decided."""
        self._clock = clock
        self._marks = keys.collection(ClockMark, DEPLOYMENT)
        self._reckoning = Reckoning(clock.now(), clock.elapsed())
        self.has_mark = False  # whether this service was ever sure of a time
        self._newest_message: datetime | None = None
        self._seen: datetime | None = None  # the last confirmation that was looked at
        self._confirmed = False  # ... and believed, which is not stored yet
        self._doubted: datetime | None = None  # as in the mark, while it counts
        self._doubt_is_over = False  # ... which is not stored yet
        self._returned: datetime | None = None

    def read(self) -> Reading:
        """Judge the clock at this moment."""
        reading = self._reckoning.look(self._clock.now(), self._clock.elapsed())
        if reading.state == "ahead":
            self._doubted = max(self._doubted or reading.now, reading.now)
        elif reading.state == "sure" and self._doubted:
            if reading.now < self._doubted:
                self._returned = self._doubted
            self._doubted, self._doubt_is_over = None, True
        return reading

    def sure(self) -> datetime:
        """Tell the time that may destroy: the machine's, or an earlier one while that is not believed."""
        return self.read().sure

    def latest(self) -> datetime:
        """Tell from when promised days are counted: the machine's time, or a later one while it is behind.
        Counted from a clock that is behind, they would all be over once it is set right.
        """
        return self._reckoning.latest(self.read().now)

    @property
    def has_returned(self) -> bool:
        """Whether `returned_from` has something to tell."""
        return self._returned is not None

    def returned_from(self) -> datetime | None:
        """Tell once, after the clock was set right, how far ahead it had been: timers were set by it."""
        returned, self._returned = self._returned, None
        return returned

    async def load(self, times: Times = _NOTHING_KNOWN) -> None:
        """Judge the clock as at a start, by the mark and by what NATS knows. Raises StoreUnavailable."""
        mark = await self._marks.get(_ID)
        self.has_mark = mark is not None
        newest = times.newest_message
        if newest and mark and mark.discounted and newest <= mark.discounted:
            newest = None
        self._newest_message = newest
        self._doubted = mark.doubted if mark else None
        self._seen = mark.confirmed if mark else None
        self._reckoning = Reckoning(
            self._clock.now(),
            self._clock.elapsed(),
            highest=mark.highest if mark else None,
            doubted=self._doubted,
            newest_message=newest,
            server=times.server,
        )
        self.take(times)

    def take(self, times: Times) -> bool:
        """Look at an operator's confirmation; tells whether the clock is believed because of it."""
        if times.confirmed is None or times.confirmed == self._seen:
            return False
        self._seen = times.confirmed
        reading = self.read()
        if reading.state == "sure" or not agrees(reading.now, times.confirmed):
            return False
        self._reckoning.confirm(reading.now)
        self._confirmed = True
        return True

    async def keep(self) -> None:
        """Store what is known now, and learn what other replicas stored. Raises StoreUnavailable."""
        while True:
            reading, confirmed, doubt_is_over = self.read(), self._confirmed, self._doubt_is_over
            mark = await self._marks.get(_ID) or ClockMark(id=_ID, institution=DEPLOYMENT, highest=reading.sure)
            if reading.held:
                self._reckoning.raise_to(mark.highest)
            mark.highest = reading.now if confirmed else max(mark.highest, reading.sure)
            if reading.held and self._doubted:
                mark.doubted = max(mark.doubted or self._doubted, self._doubted)
            elif confirmed or doubt_is_over:
                mark.doubted = None
            if confirmed:
                mark.discounted = self._newest_message or mark.discounted
            mark.confirmed = self._seen or mark.confirmed
            try:
                await self._marks.put(mark)
            except (Conflict, AlreadyExists):
                continue
            if confirmed:
                self._confirmed = False
            if doubt_is_over:
                self._doubt_is_over = False
            return


def agrees(now: datetime, confirmed: datetime) -> bool:
    """Tell whether an operator's confirmation says that `now` is right, if the service was off for a while since."""
    return confirmed - TOLERANCE <= now <= confirmed + AWAY
