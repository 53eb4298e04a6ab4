"""Live pages: each replica hears the events itself, and tells its open pages once the journey shows them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from firsthand.services.portal.handlers.journeys import has_entry
from firsthand.services.portal.model.journey import Journey
from firsthand.shared.events.envelope import AnyEvent, Envelope
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context

Sees = Callable[[Journey], bool]

_LINGER: Final = 30.0  # seconds
_KEEP_ALIVE: Final = 15.0  # seconds between two comments on a silent stream, at which the session is looked at too
_LOOK_AFTER: Final = 0.05  # seconds; each further look waits half as long again, so a lag is told at 1.5 times itself
_LOOKS: Final = 21  # five and a half minutes in all; then the page is left to its next update
_WAITING: Final = 200  # updates that a slow page may leave unread; it fetches everything anew anyway


class LivePages:
    """The open pages of this replica. One listener serves them all, and a task of the service owns it: a page that
    closes at any moment leaves nothing half begun. While no page is open, nothing is listened to.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pages: dict[asyncio.Queue[Journey], tuple[InstitutionId, Sees]] = {}
        self._changed = asyncio.Event()  # a page was opened or closed
        self._listening = asyncio.Event()
        self._telling: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def open(self, institution: InstitutionId, sees: Sees) -> AsyncIterator["asyncio.Queue[Journey]"]:
        """Give a queue of the journeys of this institution that change, of those that the page's reader may see."""
        queue: asyncio.Queue[Journey] = asyncio.Queue(_WAITING)
        self._pages[queue] = (institution, sees)
        self._changed.set()
        try:
            await self._listening.wait()
            yield queue
        finally:
            del self._pages[queue]
            self._changed.set()

    async def keep_listening(self) -> None:
        """Listen while a page is open, and for a while after the last one: the reader mostly goes to the next page."""
        while True:
            await self._until(self._is_wanted)
            async with await self._context.bus.listen("show_live", self._hear, unreadable=self._pass_over, since="new"):
                self._listening.set()
                try:
                    while True:
                        await self._until(lambda: not self._is_wanted())
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(_LINGER):
                                await self._until(self._is_wanted)
                        if not self._is_wanted():
                            break
                finally:
                    self._listening.clear()

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()

    def _is_wanted(self) -> bool:
        return bool(self._pages)

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
        for looks in range(_LOOKS):
            if looks:
                await asyncio.sleep(_LOOK_AFTER * 1.5 ** (looks - 1))
            if journey := await has_entry(self._context, event.institution, event.subject, event.id):
                return journey
        return None


async def listen_for_pages(context: Context) -> None:
    await context.own(LivePages).keep_listening()


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
