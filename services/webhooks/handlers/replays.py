"""Replays: an endpoint is sent what happened since a point in time, out of the streams.

Nothing is sent of a contact that said no, withdrew, or is erased: nobody new learns of it. What is in the log already
is not sent twice. A replay that was interrupted is read from its beginning again, which makes no second delivery
either.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from firsthand.services.webhooks.handlers.following import case_of, delivery_of
from firsthand.services.webhooks.lanes import dispatch_of
from firsthand.services.webhooks.model import Endpoint, Replay
from firsthand.services.webhooks.model.delivery import PAST
from firsthand.services.webhooks.model.recipients import LastConsent
from firsthand.services.webhooks.repository import AllRecipients, Deliveries, Endpoints, Replays
from firsthand.shared.events.envelope import AnyEvent, Envelope
from firsthand.shared.events.webhooks import EndpointTestedV1
from firsthand.shared.identifiers import DEPLOYMENT, InstitutionId
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Staff
from firsthand.shared.store import Conflict
from firsthand.shared.tasks import ended
from firsthand.shared.texts import N_

_TOGETHER: Final = 64  # events whose deliveries are kept in one commit
_CLOCKS_DIFFER: Final = timedelta(hours=1)  # the server's, by which a stream is read, and the services'
_SAID_EVERY: Final = 5.0  # seconds


async def begin_replay(context: Context, staff: Staff, endpoint_id: str, since: datetime) -> Replay:
    """Send an endpoint what happened since then. Raises Refused, NotFound."""
    replays = Replays(context, staff.institution)

    @use_case
    async def begin() -> Replay:
        endpoint = await Endpoints(context, staff.institution).demand(endpoint_id)
        if endpoint.state == "disabled":
            raise Refused("not-active", N_("Resume it first."), title=N_("This endpoint is disabled"))
        now = context.clock.now()
        known = await replays.get(endpoint_id)
        replay = known or Replay(id=endpoint_id, institution=staff.institution, since=since, until=now)
        replay.begin(since, now)
        return await replays.put(replay)

    replay = await begin()
    context.own(Readers).begin(replay)
    return replay


@use_case
async def stop_replay(context: Context, staff: Staff, endpoint_id: str) -> Replay | None:
    """Send nothing more of the past, also not what waits. Raises NotFound."""
    await Endpoints(context, staff.institution).demand(endpoint_id)
    replays = Replays(context, staff.institution)
    replay = await replays.get(endpoint_id)
    if replay is not None and replay.state == "reading":
        replay.end("stopped", context.clock.now())
        replay = await replays.put(replay)
    await Deliveries(context, staff.institution).forget_past(endpoint_id)
    return replay


async def see_replay(context: Context, institution: InstitutionId, endpoint_id: str) -> Replay | None:
    """The last replay of an endpoint. Raises NotFound."""
    await Endpoints(context, institution).demand(endpoint_id)
    return await Replays(context, institution).get(endpoint_id)


async def read_replay(context: Context, replay: Replay) -> None:
    """The timer of replays: read it here, unless somebody does. Raises Conflict."""
    replay.hold(context.clock.now())
    replay = await Replays(context, replay.institution).put(replay)
    context.own(Readers).begin(replay)


async def keep_reading(context: Context) -> None:
    """Runs in the background."""
    await context.own(Readers).run()


class Readers:
    """The replays that this replica reads."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tasks: dict[tuple[str, datetime], asyncio.Task[None]] = {}  # by endpoint, and when it was asked for

    def begin(self, replay: Replay) -> None:
        key = replay.id, replay.until
        if key in self._tasks:  # it is slow, and not gone
            return
        before = [task for (endpoint_id, _), task in self._tasks.items() if endpoint_id == replay.id]
        self._tasks[key] = task = asyncio.create_task(self._read(replay, before), name=f"replay {replay.id}")
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _read(self, replay: Replay, before: Sequence[asyncio.Task[None]]) -> None:
        """Read one, once those that were stopped have tidied up: what they drop is not this one's."""
        if before:
            await asyncio.wait(before)
        await _Reader(self._context, replay).run()

    async def run(self) -> None:
        """Stand by until the service stops. What is being read is then read again, here or elsewhere."""
        try:
            await asyncio.Event().wait()
        finally:
            await ended(list(self._tasks.values()))


class _Reader:
    """One replay while it is read."""

    def __init__(self, context: Context, replay: Replay) -> None:
        self._context = context
        self._replay = replay
        self._institution = replay.institution
        self._replays = Replays(context, replay.institution)
        self._endpoints = Endpoints(context, replay.institution)
        self._deliveries = Deliveries(context, replay.institution)
        self._everyone = AllRecipients(context, replay.institution)
        self._consents: dict[str, LastConsent] = {}  # by contact
        self._waiting: list[AnyEvent] = []
        self._keeping = asyncio.Lock()
        self._found = 0
        self._gone = False  # it was stopped, or its endpoint takes nothing any more

    async def run(self) -> None:
        reading = asyncio.create_task(self._read_all(), name=f"reading for {self._replay.id}")
        try:
            while not reading.done():
                await asyncio.wait({reading}, timeout=_SAID_EVERY)
                await self._say()
                if self._gone:
                    break
            else:
                await reading
                await self._say(ended=True)
        except Exception:  # the timer begins again
            self._context.log.exception("a replay failed", extra={"endpoint": self._replay.id})
        finally:
            await ended([reading])
        if self._gone and (last := await self._replays.get(self._replay.id)) and last.state == "stopped":
            await self._deliveries.forget_past(self._replay.id)  # what was kept after it was stopped

    async def _read_all(self) -> None:
        bus, since = self._context.bus, self._replay.since - _CLOCKS_DIFFER
        if self._institution != DEPLOYMENT:
            await bus.read("replay_consents", self._note_consent, unreadable=self._note_unknown_consent, since="all")
        await bus.read("replay_events", self._take, unreadable=self._pass_over, since=since)
        await self._keep()

    async def _pass_over(self, envelope: Envelope, _sequence: int) -> None:
        """A newer release told it, and whoever understands it delivers it as it happens."""
        self._context.log.warning("a replay leaves out what it does not understand", extra={"type": envelope.type})

    async def _note_consent(self, event: AnyEvent, _sequence: int) -> None:
        if event.institution == self._institution:
            self._note_last(event.subject, LastConsent.of(event))

    async def _note_unknown_consent(self, envelope: Envelope, _sequence: int) -> None:
        if envelope.institution == self._institution:
            self._note_last(envelope.subject, LastConsent.unknown(envelope))

    def _note_last(self, contact_id: str, told: LastConsent) -> None:
        known = self._consents.get(contact_id)
        if known is None or known.sequence < told.sequence:
            self._consents[contact_id] = told

    async def _take(self, event: AnyEvent, _sequence: int) -> None:
        """Raises StoreUnavailable; the event is then given again."""
        ours = self._institution in {event.institution, DEPLOYMENT}
        if not ours or not self._replay.since <= event.time < self._replay.until:
            return
        if not isinstance(event, EndpointTestedV1):
            self._waiting.append(event)
        if len(self._waiting) >= _TOGETHER:
            await self._keep()

    async def _keep(self) -> None:
        """Keep deliveries of what was read, those of one contact one after the other. Raises StoreUnavailable."""
        async with self._keeping:
            endpoint = await self._endpoints.get(self._replay.id)
            if endpoint is None or endpoint.state not in {"active", "paused"} or not await self._wanted():
                self._gone = True
                return
            of_contacts = defaultdict(list)
            for event in self._waiting[:]:
                of_contacts[event.subject].append(event)
            taken = len(self._waiting)
            made = await asyncio.gather(*(self._address(endpoint, events) for events in of_contacts.values()))
            del self._waiting[:taken]
            self._found += sum(made)
        if any(made) and endpoint.state == "active":
            await dispatch_of(self._context).wake(self._institution, endpoint.id)

    async def _address(self, endpoint: Endpoint, events: Sequence[AnyEvent]) -> int:
        """Keep deliveries of one contact's events; returns how many there were not before."""
        contact_id, made = events[0].subject, 0
        consent = self._consents.get(contact_id)
        if consent and consent.closed:
            return 0
        for event in events:
            if not endpoint.wants(event.type, await case_of(self._context, event)):
                continue
            if not await self._note_recipient(endpoint, event, consent):
                return made
            made += await self._deliveries.add(delivery_of(self._context, event, endpoint, rank=PAST))
        if made and (known := await self._everyone.get(contact_id)) and known.is_closed:
            await self._deliveries.forget_past_of(contact_id)  # the family took it back at this moment
        return made

    async def _note_recipient(self, endpoint: Endpoint, event: AnyEvent, consent: LastConsent | None) -> bool:
        """Note that an endpoint is sent something of a contact. False when nothing of it goes out any more."""
        if not hasattr(event.data, "contact"):
            return True

        @use_case
        async def note() -> bool:
            recipients = await self._everyone.get_or_begin(event.subject)
            if recipients.is_closed:
                return False
            if event.service != "webhooks" and recipients.address(endpoint, event, consent):
                await self._everyone.put(recipients)
            return True

        return await note()

    async def _wanted(self) -> Replay | None:
        """Give the replay as it is kept, while it is still to be read."""
        current = await self._replays.get(self._replay.id)
        return current if current and current.state == "reading" and current.until == self._replay.until else None

    async def _say(self, *, ended: bool = False) -> None:
        """Say how far it is, and that it is read here; or see that it is not wanted any more."""
        current, now = await self._wanted(), self._context.clock.now()
        if current is None:
            self._gone = True
            return
        current.found = self._found
        if ended or self._gone:
            current.end("stopped" if self._gone else "done", now)
        else:
            current.hold(now)
        with suppress(Conflict):  # somebody stopped it at this moment, or another replica reads it too
            await self._replays.put(current)


__all__ = ["begin_replay", "keep_reading", "read_replay", "see_replay", "stop_replay"]
