"""The view log: who watched what, when and for how long. Kept back in memory for a minute, so that it costs little."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from firsthand.services.archive.model import Viewer, Viewing
from firsthand.services.archive.repository import Recordings, Viewings
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context
from firsthand.shared.store import StoreUnavailable

_SAVE_EVERY: Final = timedelta(minutes=1)
_LOOK_EVERY: Final = 20.0  # seconds

_Key = tuple[InstitutionId, str, Viewer, str]  # institution, contact, who watches, the day


@dataclass
class _Kept:
    seconds: float
    saved_at: datetime
    place: float | None = None


class ViewLog:
    """The log of one replica. A killed process loses at most a minute of watching time, and never a viewing, as long as
    the store takes them. While it does not, they wait here, and nobody's player with them.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._kept: dict[_Key, _Kept] = {}

    async def note(
        self, institution: InstitutionId, contact_id: str, viewer: Viewer, seconds: float, place: float | None = None
    ) -> None:
        """Note that a viewer was sent so many seconds of a recording now, or at which place of it the viewer is."""
        now = self._context.clock.now()
        key = (institution, contact_id, viewer, now.date().isoformat())
        kept = self._kept.get(key)
        if kept is not None and now - kept.saved_at < _SAVE_EVERY:
            kept.seconds += seconds
            kept.place = kept.place if place is None else place
            return
        self._kept[key] = _Kept(0, now)
        if place is None and kept:
            place = kept.place
        if await self._save_or_keep(key, _Kept(seconds + (kept.seconds if kept else 0), now, place)):
            await self.save_what_waits()

    async def save_what_waits(self, *, all_of_it: bool = False) -> None:
        """Save what has waited for longer than a minute, or everything."""
        now = self._context.clock.now()
        for key, kept in list(self._kept.items()):
            if now - kept.saved_at < _SAVE_EVERY and not all_of_it:
                continue
            del self._kept[key]
            if (kept.seconds or kept.place is not None) and not await self._save_or_keep(key, kept):
                return

    async def place(self, institution: InstitutionId, contact_id: str, viewer: Viewer) -> float:
        """Where this viewer was last, in seconds from the beginning."""
        for (of, contact, who, _), kept in reversed(self._kept.items()):
            if (of, contact, who) == (institution, contact_id, viewer) and kept.place is not None:
                return kept.place
        last = await Viewings(self._context, institution).last_of(contact_id, viewer.person_id)
        return last.place if last else 0

    async def _save_or_keep(self, key: _Key, what: _Kept) -> bool:
        """Save, or keep for the next time. False while the store takes nothing."""
        try:
            await self._save(key, what)
        except StoreUnavailable as error:
            kept = self._kept.setdefault(key, _Kept(0, what.saved_at))
            kept.seconds += what.seconds
            kept.place = what.place if kept.place is None else kept.place
            self._context.log.warning("the view log waits for the store: %s", error)
            return False
        return True

    async def _save(self, key: _Key, what: _Kept) -> None:
        institution, contact_id, viewer, _ = key
        recordings, viewings = Recordings(self._context, institution), Viewings(self._context, institution)
        recording = await recordings.get(contact_id)
        if recording is None or recording.leaves:  # its view log is gone, and stays so
            return
        await viewings.add(
            contact_id,
            viewer.person_id,
            student=viewer.student,
            seconds=what.seconds,
            at=what.saved_at,
            place=what.place,
        )
        recording = await recordings.get(contact_id)
        if recording is None or recording.leaves:  # the erasure may have looked before this was added
            await viewings.forget(contact_id)


async def name_first(context: Context, viewing: Viewing) -> None:
    """Note of a viewing that an older release stored whether it is its viewer's first."""
    viewing.first = await Viewings(context, viewing.institution).is_first(viewing)


async def keep_view_log(context: Context) -> None:
    """Keep the log of this replica; runs in the background."""
    log = context.own(ViewLog)
    try:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            await log.save_what_waits()
    finally:
        await log.save_what_waits(all_of_it=True)  # a replica that is stopped in order loses nothing
