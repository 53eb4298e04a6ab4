"""Live pages: each replica hears the events itself, and tells its open pages once the journey shows them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from firsthand.services.portal.handlers.journeys import has_entry
from firsthand.services.portal.model.journey import Journey
from firsthand.shared.bus import Listener
from firsthand.shared.events.envelope import AnyEvent, Envelope
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context

Sees = Callable[[Journey], bool]

_KEEP_ALIVE: Final = 15.0  # seconds between two comments on a silent stream, at which the session is looked at too
_LOOK_EVERY: Final = 0.05  # seconds
_LOOKS: Final = 100  # so many, until a page is left to its next update
_WAITING: Final = 200  # updates that a slow page may leave unread; it fetches everything anew anyway


class LivePages:
    """The open pages of this replica. While there is none, nothing is listened to."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pages: dict[asyncio.Queue[Journey], tuple[InstitutionId, Sees]] = {}
        self._listener: Listener | None = None
        self._changing = asyncio.Lock()
        self._telling: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def open(self, institution: InstitutionId, sees: Sees) -> AsyncIterator["asyncio.Queue[Journey]"]:
        """Give a queue of the journeys of this institution that change, of those that the page's reader may see."""
        queue: asyncio.Queue[Journey] = asyncio.Queue(_WAITING)
        async with self._changing:
            self._pages[queue] = (institution, sees)
            if self._listener is None:
                self._listener = await self._context.bus.listen(
                    "show_live", self._hear, unreadable=self._pass_over, since="new"
                )
        try:
            yield queue
        finally:
            del self._pages[queue]
            if not self._pages:
                await self._rest()

    async def _rest(self) -> None:
        async with self._changing:
            if not self._pages and self._listener is not None:
                listener, self._listener = self._listener, None
                await listener.stop()

    async def _hear(self, event: AnyEvent, _stream_sequence: int) -> None:
        if any(institution == event.institution for institution, _ in self._pages.values()):
            task = asyncio.create_task(self._tell(event))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _pass_over(self, _envelope: Envelope, _stream_sequence: int) -> None:
        """Nothing to show: the journey does not know it either until a release comes that understands it."""

    async def _tell(self, event: AnyEvent) -> None:
        """Tell the pages of the institution, when this or another replica has entered the event."""
        journey = await self._entered(event)
        for queue, (institution, sees) in self._pages.items():
            if journey and institution == event.institution and sees(journey) and not queue.full():
                queue.put_nowait(journey)

    async def _entered(self, event: AnyEvent) -> Journey | None:
        """The journey with the event in it, which this or another replica enters; None if that takes too long."""
        for _ in range(_LOOKS):
            if journey := await has_entry(self._context, event.institution, event.subject, event.id):
                return journey
            await asyncio.sleep(_LOOK_EVERY)
        return None


async def stream(
    queue: "asyncio.Queue[Journey]", still_signed_in: Callable[[], bool], *, again: bool
) -> AsyncIterator[str]:
    """Server-sent events until the session ends; the browser then comes again with a renewed one, and is told at once
    that it may have missed something.
    """
    yield "retry: 2000\nid: seen\n\n"
    if again:
        yield "data: {}\n\n"
    while still_signed_in():
        try:
            async with asyncio.timeout(_KEEP_ALIVE):
                journey = await queue.get()
            yield f"data: {json.dumps(told(journey))}\n\n"
        except TimeoutError:
            yield ": here\n\n"


def told(journey: Journey) -> dict[str, Any]:
    """A journey in one line."""
    return {
        "contact_id": journey.id,
        "reference": journey.reference,
        "case_id": journey.case_id,
        "stage": journey.stage,
        "paused": journey.paused,
        "language": journey.language,
        "tutor_id": journey.tutor_id,
        "moved_at": journey.moved_at.isoformat(),
    }
