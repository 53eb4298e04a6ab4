"""What webhooks keeps of ONE institution. Nothing here can be made without naming it."""

from collections.abc import AsyncIterator, Container, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from firsthand.services.webhooks.model import Condition, Delivery, Endpoint, Lane, Recipients, Replay
from firsthand.services.webhooks.model.delivery import PAST, RANKS, DeliveryState
from firsthand.shared.events.envelope import AnyEvent, Event
from firsthand.shared.events.webhooks import EndpointState, ServiceState
from firsthand.shared.identifiers import DEPLOYMENT, InstitutionId
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context
from firsthand.shared.store import AlreadyExists, Conflict, OneOf, Page, Range, Where
from firsthand.shared.texts import N_

UNKNOWN_ENDPOINT = N_("This endpoint does not exist, or it was removed.")
UNKNOWN_DELIVERY = N_("This delivery does not exist. Deliveries are deleted after a while.")
_STATES: tuple[DeliveryState, ...] = ("waiting", "delivered", "failed", "aborted")
_MOST_OF_CONTACT: Final = 500


@dataclass(frozen=True)
class Search:
    """Which deliveries are looked for. What is empty leaves none out."""

    id: str = ""  # an event's, or a contact's
    state: DeliveryState | None = None
    event_types: tuple[str, ...] = ()  # whole, such as `firsthand.consent.granted.v1`
    since: datetime | None = None  # when it was made
    until: datetime | None = None  # not this moment itself

    def finds(self, one: Delivery) -> bool:
        return (
            (self.state is None or one.state == self.state)
            and (not self.event_types or one.event_type in self.event_types)
            and (self.since is None or one.made_at >= self.since)
            and (self.until is None or one.made_at < self.until)
        )


class Endpoints:
    """The endpoints of one institution."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._context = context
        self._documents = context.store.collection(Endpoint, institution)

    async def get(self, endpoint_id: str) -> Endpoint | None:
        return await self._documents.get(endpoint_id)

    async def demand(self, endpoint_id: str) -> Endpoint:
        """Raises NotFound, also once it is removed."""
        found = await self._documents.get(endpoint_id)
        if found is None or not found.listed:
            raise NotFound(UNKNOWN_ENDPOINT)
        return found

    async def listed(self) -> list[Endpoint]:
        """All that are not removed; there are at most `MOST_ENDPOINTS`."""
        found: list[Endpoint] = []
        page = await self._documents.find({"listed": True})
        found += page.items
        while page.next:
            page = await self._documents.find({"listed": True}, after=page.next)
            found += page.items
        return found

    async def count(self) -> int:
        return await self._documents.count({"listed": True})

    async def save(
        self, endpoint: Endpoint, told: type[Event[EndpointState]] | None = None, *, actor: str = "system"
    ) -> Endpoint:
        """Raises Conflict, AlreadyExists."""
        event = None
        if told:
            event = told.of(endpoint, endpoint.told(), at=self._context.clock.now(), actor=actor)
        return await self._documents.put(endpoint, event)


class Deliveries:
    """The deliveries of one institution."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._documents = context.store.collection(Delivery, institution)

    async def get(self, delivery_id: str) -> Delivery | None:
        return await self._documents.get(delivery_id)

    async def demand(self, endpoint_id: str, delivery_id: str) -> Delivery:
        """Raises NotFound."""
        found = await self._documents.get(delivery_id)
        if found is None or found.endpoint_id != endpoint_id:
            raise NotFound(UNKNOWN_DELIVERY)
        return found

    async def add(self, delivery: Delivery) -> bool:
        """Keep one. False if it was kept before."""
        try:
            await self._documents.insert(delivery)
        except AlreadyExists:
            return False
        return True

    async def save(self, delivery: Delivery) -> Delivery:
        return await self._documents.save(delivery)

    async def forget(self, delivery: Delivery) -> None:
        """Raises Conflict."""
        await self._documents.delete(delivery)

    async def due(self, endpoint_id: str, now: datetime, limit: int, *, but: Container[str] = ()) -> list[Delivery]:
        """Those of an endpoint whose attempt has come, but some: by rank, and the earliest first."""
        found: list[Delivery] = []
        until = Range(to=now + timedelta(microseconds=1))
        for rank in RANKS:
            where: Where = {"endpoint_id": endpoint_id, "rank": rank, "next_at": until}
            page = await self._documents.find(where, sort="next_at", limit=limit)
            found += [one for one in page.items if one.id not in but]
            if len(found) >= limit or len(page.items) == limit:
                break
        return found

    async def next_at(self, endpoint_id: str) -> datetime | None:
        """When the next attempt at an endpoint comes; None when none is to come."""
        where: Where = {"endpoint_id": endpoint_id, "rank": OneOf.of(RANKS)}
        first = (await self._documents.find(where, sort="next_at", limit=1)).items
        return first[0].next_at if first else None

    async def first_waiting(self, endpoint_id: str, contact_id: str) -> Delivery | None:
        """The earliest event of a contact that an endpoint has yet to take."""
        where: Where = {"endpoint_id": endpoint_id, "contact_id": contact_id, "state": "waiting"}
        first = (await self._documents.find(where, sort="occurred_at", limit=1)).items
        return first[0] if first else None

    async def page(self, endpoint_id: str, search: Search, *, after: str | None = None, limit: int) -> Page[Delivery]:
        """The latest first. Raises NoSuchPlace."""
        states = OneOf.of((search.state,) if search.state else _STATES)
        if search.id:
            return await self._of_id(endpoint_id, search, states)
        where: Where = {"endpoint_id": endpoint_id, "state": states}
        if search.event_types:
            where = {**where, "event_type": OneOf.of(search.event_types)}
        if search.since or search.until:
            where = {**where, "made_at": Range(search.since, search.until)}
        return await self._documents.find(where, sort="made_at", order="desc", limit=limit, after=after)

    async def _of_id(self, endpoint_id: str, search: Search, states: OneOf) -> Page[Delivery]:
        """Those of one event, or the latest ones of one contact, on one page."""
        found = await self._documents.get(Delivery.id_of(search.id, endpoint_id))
        if found is not None:
            return Page([found] if search.finds(found) else [])
        where: Where = {"endpoint_id": endpoint_id, "contact_id": search.id, "state": states}
        of_contact = await self._documents.find(where, sort="occurred_at", order="desc", limit=_MOST_OF_CONTACT)
        return Page([one for one in of_contact.items if search.finds(one)])

    async def failed_since(self, endpoint_id: str, since: datetime) -> AsyncIterator[Delivery]:
        """Those that failed or were aborted, of what came since then."""
        for state in ("failed", "aborted"):
            where: Where = {"endpoint_id": endpoint_id, "state": state, "made_at": Range(from_=since)}
            after: str | None = None
            while True:
                page = await self._documents.find(where, sort="made_at", limit=100, after=after)
                for one in page.items:
                    yield one
                if (after := page.next) is None:
                    break

    async def counts(self, endpoint_id: str) -> dict[DeliveryState, int]:
        return {state: await self._documents.count({"endpoint_id": endpoint_id, "state": state}) for state in _STATES}

    async def waiting(self, endpoint_id: str, *, made_by: datetime) -> int:
        """How many wait that were made at that moment or before."""
        until = Range(to=made_by + timedelta(microseconds=1))
        return await self._documents.count({"endpoint_id": endpoint_id, "state": "waiting", "made_at": until})

    async def erase(self, contact_id: str, *, but: str = "") -> int:
        """Remove what is kept of a contact, payloads and answers, except the event `but`. Returns how many went."""
        gone = 0
        after: str | None = None
        while True:
            page = await self._documents.find({"contact_id": contact_id}, limit=100, after=after)
            for one in page.items:
                if one.event_id == but:
                    continue
                with suppress(Conflict):  # an attempt ended at this moment; the next walk takes it
                    await self._documents.delete(one)
                    gone += 1
            if (after := page.next) is None:
                break
        return gone

    async def forget_past(self, endpoint_id: str) -> None:
        """Remove what waits of an endpoint's replay."""
        after: str | None = None
        while True:
            where: Where = {"endpoint_id": endpoint_id, "rank": PAST}
            page = await self._documents.find(where, sort="next_at", limit=100, after=after)
            await self._forget_each(page.items)
            if (after := page.next) is None:
                break

    async def forget_past_of(self, contact_id: str) -> None:
        """Remove what waits of a contact in replays."""
        after: str | None = None
        while True:
            page = await self._documents.find({"contact_id": contact_id}, limit=100, after=after)
            await self._forget_each([one for one in page.items if one.rank == PAST and one.state == "waiting"])
            if (after := page.next) is None:
                break

    async def _forget_each(self, found: Iterable[Delivery]) -> None:
        for one in found:
            with suppress(Conflict):  # an attempt ended at this moment
                await self._documents.delete(one)

    async def left(self, contact_id: str, *, but: str = "") -> bool:
        """Tell whether anything is kept of a contact, except the event `but`."""
        page = await self._documents.find({"contact_id": contact_id}, limit=2)
        return any(one.event_id != but for one in page.items) or page.next is not None

    async def of_endpoint(self, endpoint_id: str, limit: int) -> list[Delivery]:
        return (await self._documents.find({"endpoint_id": endpoint_id, "state": OneOf.of(_STATES)}, limit=limit)).items


class Lanes:
    """Who delivers to which endpoint of one institution."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._institution = institution
        self._documents = context.store.collection(Lane, institution)

    async def get(self, endpoint_id: str) -> Lane:
        """One that was never kept is free."""
        return await self._documents.get(endpoint_id) or Lane(id=endpoint_id, institution=self._institution)

    async def put(self, lane: Lane) -> Lane:
        """Raises Conflict, AlreadyExists."""
        return await self._documents.put(lane)


class AllRecipients:
    """Who was sent anything of which contact of one institution."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._institution = institution
        self._documents = context.store.collection(Recipients, institution)

    async def get(self, contact_id: str) -> Recipients | None:
        return await self._documents.get(contact_id)

    async def get_or_begin(self, contact_id: str) -> Recipients:
        return await self._documents.get(contact_id) or Recipients(id=contact_id, institution=self._institution)

    async def put(self, recipients: Recipients, event: AnyEvent | None = None) -> Recipients:
        return await self._documents.put(recipients, event)

    async def owing(self, *, after: str | None, limit: int) -> Page[Recipients]:
        """The contacts for whom an answer is owed, the longest since first. Raises NoSuchPlace."""
        return await self._documents.find(sort="owed_since", after=after, limit=limit)

    async def owing_since(self, until: datetime) -> int:
        """For how many contacts an answer has been owed since before `until`."""
        return await self._documents.count({"owed_since": Range(to=until)})


class Replays:
    """The last replay of each endpoint of one institution."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._documents = context.store.collection(Replay, institution)

    async def get(self, endpoint_id: str) -> Replay | None:
        return await self._documents.get(endpoint_id)

    async def put(self, replay: Replay) -> Replay:
        """Raises Conflict, AlreadyExists."""
        return await self._documents.put(replay)

    async def forget(self, endpoint_id: str) -> None:
        if replay := await self._documents.get(endpoint_id):
            with suppress(Conflict):
                await self._documents.delete(replay)


class Conditions:
    """How the services of the deployment are, as it was told last."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._documents = context.store.collection(Condition, DEPLOYMENT)

    async def get(self, service: str) -> Condition | None:
        return await self._documents.get(service)

    async def put(self, condition: Condition, told: type[Event[ServiceState]] | None) -> Condition:
        """Raises Conflict, AlreadyExists."""
        now = self._context.clock.now()
        event = told.of(condition, condition.told(), at=now, actor="system") if told else None
        return await self._documents.put(condition, event)


async def known(context: Context, slug: str) -> InstitutionId:
    """Give the institution of this slug: it comes from what is kept, not from the request. Raises NotFound."""
    for institution in await context.store.institutions(Recipients):
        if institution == slug:
            return institution
    raise NotFound


__all__ = [
    "UNKNOWN_DELIVERY",
    "UNKNOWN_ENDPOINT",
    "AllRecipients",
    "Conditions",
    "Deliveries",
    "Endpoints",
    "Lanes",
    "Replays",
    "Search",
    "known",
]
