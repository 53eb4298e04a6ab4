"""What scheduling keeps of one institution."""

from datetime import datetime

from firsthand.services.scheduling.model import Availability, Calendar, Meeting, availability_id
from firsthand.shared.copies import CaseCopy
from firsthand.shared.events.discovery import CaseState
from firsthand.shared.events.envelope import AnyEvent
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context
from firsthand.shared.store import Page, Range, Scalar
from firsthand.shared.texts import N_

UNKNOWN_CONTACT = N_("This meeting does not exist, or it belongs to another institution.")


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
        return await self._meetings.put(meeting, event)

    async def meetings(
        self,
        state: str,
        *,
        tutor_id: str | None = None,
        starts: Range | None = None,
        latest_first: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Meeting]:
        """Meetings in a state, of one tutor or all; those with a time by it, else by id."""
        where: dict[str, Scalar | Range] = (
            {"state": state} if tutor_id is None else {"tutor_id": tutor_id, "state": state}
        )
        if starts is not None:
            where["starts_at"] = starts
        sort = "starts_at" if state in {"scheduled", "finished"} else "id"
        return await self._meetings.find(
            where, sort=sort, order="desc" if latest_first else "asc", limit=limit, after=after
        )


def past(now: datetime) -> Range:
    return Range(to=now)


def coming(now: datetime) -> Range:
    return Range(from_=now)


__all__ = ["Scheduling", "coming", "past"]
