"""How things stand for a family: what is allowed, who can watch, until when, who waits for whom, what to do next. Pure.

Every page of a family takes its sentence and its main button from here, so that no two of them disagree.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from firsthand.services.consent.model.consent import Consent, Recording
from firsthand.services.consent.model.journey import Journey, Meeting
from firsthand.services.consent.model.scopes import RECORD, covers, widest
from firsthand.shared.events.contact import SHOWN_TO, Scope

Point = Literal[
    "closed",  # the request has ended without a decision
    "undecided",
    "declined",
    "withdrawn",
    "erasing",
    "erased",
    "paused",
    "unclear",  # a newer release says what this one does not know
    "choose-time",
    "call-cancelled",  # by the family itself
    "call-called-off",
    "booked",
    "time-passed",  # of a call of which nobody has said whether it took place
    "met",  # and there is no recording to come
    "preparing",  # the recording, after the call
    "to-release",  # the recording waits for the second yes
    "chosen-nobody",  # it is here, and nobody was ever allowed to watch it
    "wider",  # it shows more than is allowed
    "opening",  # released, and about to be shown
    "shown",
    "shown-to-nobody",  # released, and then everybody was taken back
    "recording-closed",  # until it is deleted: its time is over, or no recording is allowed any more
    "deleted",  # the recording, while the consent stands
    "ended",  # the time for which it was allowed
    "nothing-to-do",
]
POINTS: Final[tuple[Point, ...]] = get_args(Point)
# The main button: where the family goes, or what it does.
Act = Literal["decide", "resume", "choose-time", "see-call", "watch", "change", "undo", "see-certificate"]
WaitsFor = Literal["family", "us"]

# No call is longer. Consent does not know when one ends.
_A_CALL: Final = timedelta(hours=3)
_THERE: Final = frozenset({"held", "released"})
_KNOWN: Final = frozenset({"awaited", "withdrawn", "erased", *_THERE})


@dataclass(frozen=True)
class Standing:
    """How things stand. `audience`: who can watch the recording at this moment; empty while nobody can."""

    point: Point
    act: Act | None = None
    waits_for: WaitsFor | None = None
    audience: tuple[Scope, ...] = ()
    until: datetime | None = None  # the permission's end, or when everything is deleted

    def __post_init__(self) -> None:
        if (self.point == "shown") != bool(self.audience):
            raise ValueError(f"{self.point} with an audience of {len(self.audience)}")


def standing_of(journey: Journey, now: datetime, sure: datetime) -> Standing:
    """Tell how things stand for this family at `now`; `sure` is the time by which deletion goes."""
    consent, stage = journey.consent, journey.current_stage()
    if stage == "granted":
        return _granted(consent, journey.recording, journey.meeting, now)
    found = {
        "erased": Standing("erased", "see-certificate"),
        "erasing": Standing("erasing", "see-certificate", waits_for="us"),
        "withdrawn": Standing("withdrawn", "undo" if consent.can_undo(sure) else None, until=consent.erase_at),
        "declined": Standing("declined", until=consent.erase_at),
        "paused": Standing("paused", "resume", until=consent.expires_at),
        "linked": Standing("undecided", "decide", waits_for="family"),
    }
    return found.get(stage) or Standing("closed", until=consent.erase_at)


def _granted(consent: Consent, recording: Recording | None, meeting: Meeting | None, now: datetime) -> Standing:
    if consent.expires_at and consent.expires_at <= now:
        return Standing("ended", waits_for="us", until=consent.expires_at)
    if recording is None or recording.state == "awaited":
        return _before_recording(consent, meeting, now)
    if recording.state not in _KNOWN:
        return Standing("unclear", until=consent.expires_at)
    if recording.state == "erased":
        return Standing("deleted", until=consent.expires_at)
    if recording.state == "withdrawn" and not recording.media:  # there never was one
        return _before_recording(consent, meeting, now)
    return _recorded(consent, recording, now)


def _recorded(consent: Consent, recording: Recording, now: datetime) -> Standing:
    until, allowed = min(filter(None, (consent.expires_at, recording.expires_at)), default=None), consent.in_force
    audience = tuple(scope for scope in widest(set(allowed) & SHOWN_TO))
    is_over = recording.expires_at is not None and recording.expires_at <= now
    if recording.state not in _THERE or is_over or not RECORD & set(allowed):
        found = Standing("recording-closed", "watch", until=until)
    elif not recording.media or not covers(allowed, recording.media):
        found = Standing("wider", "change", waits_for="us", until=until)
    elif consent.release_of != recording.sha256:
        to_release = Standing("to-release", "watch", waits_for="family", until=until)
        found = to_release if audience else Standing("chosen-nobody", "watch", until=until)
    elif not audience:
        found = Standing("shown-to-nobody", "change", until=until)
    elif recording.state == "released":
        found = Standing("shown", "watch", audience=audience, until=until)
    else:
        found = Standing("opening", "watch", waits_for="us", until=until)
    return found


def _before_recording(consent: Consent, meeting: Meeting | None, now: datetime) -> Standing:
    until, state = consent.expires_at, meeting.state if meeting else "offered"
    if meeting and state == "finished":
        comes = meeting.recording == "expected" and RECORD & set(consent.in_force)
        return Standing("preparing", waits_for="us", until=until) if comes else Standing("met", until=until)
    if meeting and state == "scheduled":
        if meeting.starts_at and now > meeting.starts_at + _A_CALL:
            return Standing("time-passed", "see-call", waits_for="us", until=until)
        return Standing("booked", "see-call", until=until)
    if "meet" not in consent.in_force:
        return Standing("nothing-to-do", until=until)
    cancelled = Standing("call-called-off", "see-call", waits_for="us", until=until)
    if meeting and meeting.cancelled_by == "family":
        cancelled = Standing("call-cancelled", "choose-time", until=until)
    choose = Standing("choose-time", "choose-time", waits_for="family", until=until)
    return {"offered": choose, "cancelled": cancelled}.get(state, Standing("unclear", until=until))


__all__ = ["POINTS", "Act", "Point", "Standing", "WaitsFor", "standing_of"]
