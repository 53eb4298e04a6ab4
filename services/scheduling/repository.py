"""What scheduling keeps of one institution."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal

from firsthand.services.scheduling.model import Availability, Calendar, Meeting, availability_id
from firsthand.shared.acting import Sight
from firsthand.shared.copies import CaseCopy
from firsthand.shared.events.discovery import CaseState
from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.mail_watch import Waiting
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context
from firsthand.shared.store import OneOf, Page, Range, Unreadable, Where
from firsthand.shared.store.cursors import Order
from firsthand.shared.texts import N_

UNKNOWN_CONTACT = N_("This meeting does not exist, or it belongs to another institution.")

# The meetings by what there is to do; `planned`: those to close, then those to come.
Part = Literal["to-close", "coming", "planned", "waiting", "ended"]
_ORDER: Final[Mapping[Part, tuple[str, Order]]] = {
    "to-close": ("starts_at", "asc"),
    "coming": ("starts_at", "asc"),
    "planned": ("starts_at", "asc"),
    "waiting": ("changed_at", "desc"),
    "ended": ("changed_at", "desc"),
}

_EVER: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Scheduling:
    """The documents of one institution: availability, calendars and meetings."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self.institution = institution
        self._availability = context.store.collection(Availability, institution)
        self._calendars = context.store.collection(Calendar, institution)
        self._cases = context.store.collection(CaseCopy, institution)
        self._meetings = context.store.collection(Meeting, institution)

    async def availability(self, case_id: str, tutor_id: str) -> Availability | None:
        return await self.availability_by_id(availability_id(case_id, tutor_id))

    async def cases(self) -> list[CaseState]:
        """The cases that are open, by title."""
        cases = [copy.state async for copy in self._cases.all()]
        return sorted((case for case in cases if case.state == "open"), key=lambda case: case.title)

    async def availability_by_id(self, id_: str) -> Availability | None:
        return await self._availability.get(id_)

    async def hours_given(self, among: Iterable[str] | None = None) -> frozenset[str]:
        """The ids of the availabilities with any hours, of all or among some."""
        if among is None:
            return frozenset([one.id async for one in self._availability.all() if one.rules.weekly])
        found = [await self._availability.get(id_) for id_ in among]
        return frozenset(one.id for one in found if one and one.rules.weekly)

    async def put_availability(self, availability: Availability) -> Availability:
        return await self._availability.put(availability)

    async def calendar(self, tutor_id: str) -> Calendar:
        """A tutor's calendar, empty if nothing was ever reserved."""
        return await self._calendars.get(tutor_id) or Calendar(id=tutor_id, institution=self.institution)

    async def put_calendar(self, calendar: Calendar, event: AnyEvent) -> Calendar:
        return await self._calendars.put(calendar, event)

    async def meeting(self, contact_id: str) -> Meeting | None:
        return await self._meetings.get(contact_id)

    async def known_meeting(self, contact_id: str) -> Meeting:
        """The meeting of a contact. Raises NotFound, also if times were never offered."""
        meeting = await self._meetings.get(contact_id)
        if meeting is None or meeting.state == "none":
            raise NotFound(UNKNOWN_CONTACT)
        return meeting

    async def put_meeting(self, meeting: Meeting, event: AnyEvent | None = None) -> Meeting:
        meeting.name_case()
        return await self._meetings.put(meeting, event)

    async def meetings(
        self, part: Part, *, sight: Sight, now: datetime, after: str | None = None, limit: int
    ) -> Page[Meeting]:
        """A page of a part of the meetings that are seen: what is planned the earliest first, all else the latest
        changed first. Raises NoSuchPlace, Refused.
        """
        sort, order = _ORDER[part]
        where = sight.where(_where(part, now))
        return await self._meetings.find(where, sort=sort, order=order, limit=limit, after=after)

    async def mail_waits(self) -> Waiting:
        """How many families wait for mail that could not be sent, and since when the first of them does."""
        where: Where = {"mail_waits_since": Range(from_=_EVER)}
        if not (count := await self._meetings.count(where)):
            return Waiting()
        try:
            first = (await self._meetings.find(where, sort="mail_waits_since", limit=1)).items
        except Unreadable:  # a newer release wrote it; that it waits is known all the same
            first = []
        return Waiting(count, first[0].mail_waits_since if first else None)

    async def count(self, part: Part, *, sight: Sight, now: datetime) -> int:
        """How many meetings a part has of those that are seen. Raises Refused."""
        if part == "coming":  # so that what is counted one by one is only what waits to be closed
            planned = await self.count("planned", sight=sight, now=now)
            return planned - await self.count("to-close", sight=sight, now=now)
        return await self._meetings.count(sight.where(_where(part, now)))


def _where(part: Part, now: datetime) -> Where:
    match part:
        case "to-close":
            return {"state": "scheduled", "starts_at": Range(to=now)}
        case "coming":
            return {"state": "scheduled", "starts_at": Range(from_=now)}
        case "planned":
            return {"state": "scheduled"}
        case "waiting":
            return {"state": "offered"}
        case "ended":
            return {"state": OneOf.of(("finished", "cancelled"))}


__all__ = ["Part", "Scheduling"]
