"""From weekly hours on a tutor's wall clock to instants: the times that can be offered. Pure: the time is passed in.

What a change of daylight-saving time does, deliberately:

- **A local time that the clocks skip** (a gap) starts no slot. Hours that begin inside the gap begin when it ends.
- **A local time that the clocks show twice** (a fold) means its first occurrence, at the beginning and at the end of
  hours alike: the repeated hour is offered once, and nobody works longer than their hours say.
- A slot lasts exactly its duration in elapsed time. Where the clocks jump inside it, its end reads differently on the
  wall; it must still lie within the hours.
- Starts stand on a grid of the wall clock (`from`, then every `step`), so that 9:00 stays 9:00 all year; a start that a
  jump would push into the slot before it is left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_QUARTER_HOUR = timedelta(minutes=15)
_DAY = timedelta(days=1)
END_OF_DAY = 24 * 60  # as minutes after midnight: hours may end at 24:00
DAY_BEGINS, DAY_ENDS = time(8), time(21)  # a family is asked twice about what begins earlier or later on its clock


@dataclass(frozen=True)
class Hours:
    """Hours of one weekday on the tutor's wall clock, in minutes after midnight, `0 <= from_ < to <= 1440`."""

    weekday: int  # 0 Monday to 6 Sunday
    from_: int
    to: int


@dataclass(frozen=True)
class Slot:
    """A stretch of time, `starts_at <= t < ends_at`, in UTC."""

    starts_at: datetime
    ends_at: datetime

    def meets(self, other: "Slot", apart: timedelta = timedelta()) -> bool:
        """Whether the two overlap, or lie closer together than `apart`."""
        return self.starts_at < other.ends_at + apart and other.starts_at < self.ends_at + apart


@dataclass(frozen=True)
class Rules:
    """When a tutor can be met for a case."""

    zone: ZoneInfo
    duration: timedelta
    buffer: timedelta  # kept free between two meetings
    notice: timedelta  # the earliest start is this long from now
    horizon: timedelta  # starts lie before now + horizon
    weekly: tuple[Hours, ...]
    blocked: frozenset[date] = frozenset()  # days of the tutor's calendar

    @property
    def step(self) -> timedelta:
        """From one start to the next on the wall clock: duration and buffer, rounded up to quarters of an hour."""
        return -(-(self.duration + self.buffer) // _QUARTER_HOUR) * _QUARTER_HOUR


def free_slots(rules: Rules, now: datetime, taken: Sequence[Slot] = (), until: datetime | None = None) -> list[Slot]:
    """List the free times, in order, none overlapping another nor anything `taken` with its buffer.

    `until` ends the horizon earlier, e.g. when a consent expires: slots end by then.
    """
    earliest, latest = now.astimezone(UTC) + rules.notice, now.astimezone(UTC) + rules.horizon
    free: list[Slot] = []
    for slot in _grid(rules, earliest, latest):
        if slot.starts_at < earliest or slot.starts_at >= latest or (until and slot.ends_at > until):
            continue
        if free and slot.starts_at < free[-1].ends_at + rules.buffer:
            continue  # hours that touch, or a jump of the clocks
        if not any(slot.meets(other, rules.buffer) for other in taken):
            free.append(slot)
    return free


def _grid(rules: Rules, earliest: datetime, latest: datetime) -> Iterator[Slot]:
    """All slots of the days that the stretch touches, by the weekly hours alone."""
    day = earliest.astimezone(rules.zone).date() - _DAY
    last = latest.astimezone(rules.zone).date() + _DAY
    weekly = sorted(rules.weekly, key=lambda hours: hours.from_)
    while day <= last:
        if day not in rules.blocked:
            for hours in weekly:
                if hours.weekday == day.weekday():
                    yield from _slots_of(rules, day, hours)
        day += _DAY


def _slots_of(rules: Rules, day: date, hours: Hours) -> Iterator[Slot]:
    midnight = datetime.combine(day, time())
    closing = instant(midnight + timedelta(minutes=hours.to), rules.zone)
    wall = midnight + timedelta(minutes=hours.from_)
    before: datetime | None = None
    while wall < midnight + timedelta(minutes=hours.to):
        start = instant(wall, rules.zone)
        exists = start.astimezone(rules.zone).replace(tzinfo=None) == wall
        clear = before is None or start >= before + rules.buffer
        if exists and clear and start + rules.duration <= closing:
            before = start + rules.duration
            yield Slot(start, before)
        wall += rules.step


def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, at which the clock on the wall first shows `wall` (without a zone).

    Where the clocks skip it, that is the instant of the jump.
    """
    first = wall.replace(tzinfo=zone, fold=0)
    at = first.astimezone(UTC)
    shown = at.astimezone(zone).replace(tzinfo=None)
    if shown == wall:
        return at
    # In a gap fold=0 reads the clock as it ran before the jump, and so overshoots it by what was left of the gap.
    return at - (wall - _jump(wall, zone))


def instants(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """The instants, in UTC, at which the clock on the wall shows `wall`: two in the hour that it shows twice."""
    found = sorted({wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)})
    return [at for at in found if at.astimezone(zone).replace(tzinfo=None) == wall]


def is_night(at: datetime, zone: ZoneInfo) -> bool:
    """Whether somebody in `zone` would have to meet earlier or later than one usually asks."""
    try:
        return not DAY_BEGINS <= at.astimezone(zone).time() <= DAY_ENDS
    except OverflowError:  # beyond the calendar's end, where nobody meets
        return False


def _jump(wall: datetime, zone: ZoneInfo) -> datetime:
    """When, on the clock as it ran before, the gap around `wall` begins. Gaps lie on whole minutes."""
    step = timedelta(minutes=1)
    while (wall - step).replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall - step:
        wall -= step
    return wall


def by_day(slots: Sequence[Slot], zone: ZoneInfo) -> list[tuple[date, list[Slot]]]:
    """Group slots by the day on which they start for somebody in `zone`, in order."""
    days: dict[date, list[Slot]] = {}
    for slot in slots:
        days.setdefault(slot.starts_at.astimezone(zone).date(), []).append(slot)
    return sorted(days.items())


__all__ = [
    "DAY_BEGINS",
    "DAY_ENDS",
    "END_OF_DAY",
    "Hours",
    "Rules",
    "Slot",
    "by_day",
    "free_slots",
    "instant",
    "instants",
    "is_night",
]
