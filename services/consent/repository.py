"""What consent keeps of ONE institution. Nothing here can be made without naming it."""

import hashlib
from contextlib import suppress
from typing import Any

from firsthand.services.consent.model import Journey
from firsthand.services.consent.model.records import LINK_KEPT, Link, PageLock, Record
from firsthand.services.consent.model.texts import Text
from firsthand.shared.events.consent import ConsentState, LockedState, PageLockedV1
from firsthand.shared.events.envelope import AnyEvent, Event
from firsthand.shared.identifiers import InstitutionId, new_id
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context
from firsthand.shared.store import AnyOf, Conflict, Page


class Journeys:
    """The journeys of one institution."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._context = context
        self._institution = institution
        self._journeys = context.store.collection(Journey, institution)

    async def get(self, contact_id: str) -> Journey | None:
        return await self._journeys.get(contact_id)

    async def demand(self, contact_id: str) -> Journey:
        """Raises NotFound."""
        if (journey := await self._journeys.get(contact_id)) is None:
            raise NotFound
        return journey

    async def save(
        self,
        journey: Journey,
        event: type[Event[ConsentState]] | None = None,
        *,
        actor: str = "system",
        cause: AnyEvent | None = None,
    ) -> Journey:
        """Save with the event of its whole state. Raises Conflict or AlreadyExists if another save came first."""
        now = self._context.clock.now()
        journey.settle(now)
        told = None
        if event:
            told = event.of(
                journey,
                journey.told(),
                at=now,
                actor=actor,
                correlation=journey.id,
                cause=cause,
            )
        return await self._journeys.put(journey, told)

    async def save_act(self, journey: Journey, event: type[Event[ConsentState]], *, actor: str, **act: Any) -> Journey:
        """Save a decision with its record, which is there first. Raises Conflict; then the record is gone again, also
        when an erasure by another replica came between and had not seen it.
        """
        records = Records(self._context, self._institution)
        record = await records.add(journey, actor=actor, **act)
        try:
            return await self.save(journey, event, actor=actor)
        except Conflict:
            await records.take_back(record, await self.get(journey.id))
            raise

    async def page(self, where: AnyOf, *, after: str | None, limit: int) -> Page[Journey]:
        """Journeys that fit, the latest moved first. Raises NoSuchPlace."""
        return await self._journeys.find(where, sort="moved_at", order="desc", limit=limit, after=after)

    async def count(self, where: AnyOf) -> int:
        return await self._journeys.count(where)


class Records:
    """The acts of one institution's families. A record exists before the journey that names it is saved."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._institution = institution
        self._records = context.store.collection(Record, institution)

    async def add(self, journey: Journey, **act: Any) -> Record:
        """Keep an act and let the journey name it. If the journey is then not saved, nothing ever names the record."""
        number = journey.records + 1
        record = Record(
            id=f"{journey.id}.{number:04d}.{new_id()[:8]}",
            institution=self._institution,
            contact_id=journey.id,
            number=number,
            previous=journey.last_record,
            **act,
        )
        record = await self._records.insert(record)
        journey.last_record, journey.records = record.id, number
        return record

    async def take_back(self, record: Record, journey: Journey | None) -> None:
        """Remove a record unless the journey, as it is stored, names it."""
        if journey is None or record.id not in {named.id for named in await self.of(journey)}:
            with suppress(Conflict):  # an erasure took it
                await self._records.delete(record)

    async def of(self, journey: Journey) -> list[Record]:
        """The acts that happened, the first one first."""
        found: list[Record] = []
        name = journey.last_record
        while name and (record := await self._records.get(name)):
            found.append(record)
            name = record.previous
        return found[::-1]

    async def erase(self, contact_id: str) -> None:
        """Remove all that there is, what no journey names included."""
        while (page := await self._records.find({"contact_id": contact_id}, limit=100)).items:
            for record in page.items:
                await self._records.delete(record)


class Links:
    """The personal links of one institution."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._context = context
        self._institution = institution
        self._links = context.store.collection(Link, institution)
        self.locks = context.store.collection(PageLock, institution)

    @staticmethod
    def id_of(token: str) -> str:
        return hashlib.sha256(token.encode()).hexdigest()

    async def contact_of(self, token: str) -> str | None:
        link = await self._links.get(self.id_of(token))
        return link.contact_id if link else None

    async def add(self, link: Link) -> None:
        await self._links.insert(link)

    async def lock(self, session_id: str) -> None:
        """Keep, for as long as it could be renewed, that a device's session has ended, with its event. Raises
        AlreadyExists.
        """
        now = self._context.clock.now()
        locked = PageLock(id=session_id, institution=self._institution, due_at=now + LINK_KEPT)
        told = PageLockedV1.of(locked, LockedState(session_id=session_id), at=now, actor="family")
        await self.locks.insert(locked, told)
        self._context.verifier.end(self._institution, session_id)

    async def remove(self, link_id: str) -> None:
        if link := await self._links.get(link_id):
            await self._links.delete(link)


class Texts:
    """The texts of one institution's cases."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._texts = context.store.collection(Text, institution)

    async def versions(self, case_id: str, language: str, *, after: str | None = None, limit: int) -> Page[Text]:
        """A page of the versions, the newest first. Raises NoSuchPlace."""
        where = {"case_id": case_id, "language": language}
        return await self._texts.find(where, sort="number", order="desc", limit=limit, after=after)

    async def newest(self, case_id: str, language: str) -> Text | None:
        found = (await self.versions(case_id, language, limit=1)).items
        return found[0] if found else None

    async def approved(self, case_id: str, language: str) -> Text | None:
        """The newest approved version."""
        where = {"case_id": case_id, "language": language, "state": "approved"}
        found = (await self._texts.find(where, sort="number", order="desc", limit=1)).items
        return found[0] if found else None

    async def get(self, case_id: str, language: str, number: int) -> Text | None:
        return await self._texts.get(Text.id_of(case_id, language, number))

    async def save(self, text: Text) -> Text:
        return await self._texts.put(text)


__all__ = ["Journeys", "Links", "Records", "Texts"]
