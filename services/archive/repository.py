"""Archive's documents of one institution."""

import contextlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from firsthand.services.archive.model import Clip, Recording, RecordingEvent, Transcript, Upload, Version, Viewing
from firsthand.services.archive.model.clip import MOST_CLIPS
from firsthand.services.archive.model.recording import STAGES
from firsthand.services.archive.model.transcript import MOST_LANGUAGES
from firsthand.services.archive.storage import Shelf
from firsthand.shared.acting import Sight
from firsthand.shared.bucket import bucket_of
from firsthand.shared.events import AnyEvent
from firsthand.shared.events.contact import ContactReference
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context
from firsthand.shared.store import AlreadyExists, AnyOf, Collection, Conflict, D, OneOf, Page, Range, Where

# Every consent makes a recording, most of which nobody will ever expect.
_EXPECTED: Final = OneOf.of(stage for stage in STAGES if stage != "unexpected")


class Recordings:
    """The recordings of one institution."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._documents = context.store.collection(Recording, institution)
        self._institution = institution

    async def get(self, contact_id: str) -> Recording | None:
        return await self._documents.get(contact_id)

    async def get_or_begin(self, contact: ContactReference, at: datetime) -> Recording:
        """Return the recording of a contact; a new one, not yet stored, if there is none."""
        stored = await self._documents.get(contact.contact_id)
        return stored or Recording(id=contact.contact_id, institution=self._institution, contact=contact, changed_at=at)

    async def save(
        self,
        recording: Recording,
        told: RecordingEvent | None,
        *,
        at: datetime,
        actor: str = "system",
        cause: AnyEvent | None = None,
    ) -> Recording:
        """Save with the event `told` about it. Raises Conflict, AlreadyExists."""
        event = None
        if told:
            event = told.of(
                recording,
                recording.told(),
                at=at,
                actor=actor,
                cause=cause,
            )
        return await self.put_with(recording, event)

    async def put_with(self, recording: Recording, event: AnyEvent | None) -> Recording:
        return await self._documents.put(recording, event)

    async def expected(self, sight: Sight, after: str | None, limit: int) -> Page[Recording]:
        """Those seen that are or were expected, the last changed first. Raises NoSuchPlace, Refused."""
        return await self._latest(sight.where({"state": _EXPECTED}), after, limit)

    async def count_expected(self, sight: Sight) -> int:
        return await self._documents.count(sight.where({"state": _EXPECTED}))

    async def shown_to(self, audiences: Sequence[str], after: str | None, limit: int) -> Page[Recording]:
        """The recordings of these audiences, the last changed first. Raises NoSuchPlace."""
        return await self._latest({"shown_to": OneOf.of(audiences)}, after, limit)

    async def count_shown_to(self, audiences: Sequence[str]) -> int:
        return await self._documents.count({"shown_to": OneOf.of(audiences)})

    async def _latest(self, where: Where | AnyOf, after: str | None, limit: int) -> Page[Recording]:
        return await self._documents.find(where, sort="changed_at", order="desc", limit=limit, after=after)


class Uploads:
    """The uploads of one institution."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._documents = context.store.collection(Upload, institution)

    async def get(self, upload_id: str) -> Upload | None:
        return await self._documents.get(upload_id)

    async def add(self, upload: Upload) -> Upload:
        return await self._documents.insert(upload)

    async def save(self, upload: Upload) -> Upload:
        return await self._documents.save(upload)

    async def of(self, contact_id: str) -> list[Upload]:
        """Give uploads of a contact, not more than 500."""
        return (await self._documents.find({"contact_id": contact_id}, limit=500)).items

    async def open_of(self, person_id: str) -> int:
        """Count the uploads of a person, or of a machine, that are not complete."""
        return await self._documents.count({"by": person_id, "stage": "receiving"})

    async def forget(self, upload: Upload) -> None:
        """Remove it, whatever became of it meanwhile."""
        stored: Upload | None = upload
        while stored is not None:
            try:
                await self._documents.delete(stored)
            except Conflict:
                stored = await self._documents.get(upload.id)
            else:
                return


class Versions:
    """The versions of one institution that are being made, or were."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._documents = context.store.collection(Version, institution)

    async def get(self, version_id: str) -> Version | None:
        return await self._documents.get(version_id)

    async def of(self, recording: Recording | None) -> Version | None:
        """The version of a recording that is to be made, or could not be made; None once it is held."""
        if recording is None or not recording.making or (recording.media and recording.media.file == recording.making):
            return None
        return await self.get(recording.making)

    async def add(self, version: Version) -> Version:
        """Raises AlreadyExists."""
        return await self._documents.insert(version)

    async def save(self, version: Version) -> Version:
        return await self._documents.save(version)

    async def all_of(self, contact_id: str) -> list[Version]:
        return (await self._documents.find({"contact_id": contact_id}, limit=500)).items

    async def remove(self, versions: Iterable[Version]) -> None:
        """One that is being worked on is left to whoever tidies up next."""
        await _remove(self._documents, versions)

    async def forget(self, contact_id: str) -> None:
        """Remove those of a contact."""
        while found := await self.all_of(contact_id):
            await self.remove(found)


class Transcripts:
    """The written versions of one institution's recordings."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._documents = context.store.collection(Transcript, institution)

    async def get(self, file: str, language: str) -> Transcript | None:
        return await self._documents.get(Transcript.id_of(file, language))

    async def of(self, contact_id: str, file: str) -> list[Transcript]:
        """Those of one version, by their languages."""
        found = await self._documents.find({"contact_id": contact_id, "file": file}, limit=MOST_LANGUAGES)
        return sorted(found.items, key=lambda one: (one.translated, one.language))

    async def put(self, transcript: Transcript) -> Transcript:
        """Raises Conflict, AlreadyExists."""
        return await self._documents.put(transcript)

    async def delete(self, transcript: Transcript) -> None:
        """Raises Conflict."""
        await self._documents.delete(transcript)

    async def name_audience(self, recording: Recording, at: datetime) -> None:
        """Have them name whom the recording is shown to. Raises Conflict."""
        for one in await self.all_of(recording.id):
            if one.shown_to != (recording.shown_to or ""):
                one.shown_to, one.changed_at = recording.shown_to or "", at
                await self._documents.save(one)

    async def remove(self, transcripts: Iterable[Transcript]) -> None:
        """One that is being changed is left to whoever tidies up next."""
        await _remove(self._documents, transcripts)

    async def forget(self, contact_id: str) -> None:
        """Remove those of a contact."""
        while found := await self.all_of(contact_id):
            await self.remove(found)

    async def shown_since(self, since: datetime, after: str | None, limit: int) -> Page[Transcript]:
        """Those that are shown, changed at `since` or later, the earliest first."""
        where: Where = {"is_shown": True, "changed_at": Range(from_=since)}
        return await self._documents.find(where, sort="changed_at", limit=limit, after=after)

    async def count_shown(self) -> int:
        return await self._documents.count({"is_shown": True})

    async def all_of(self, contact_id: str) -> list[Transcript]:
        return (await self._documents.find({"contact_id": contact_id}, limit=500)).items


class Clips:
    """The clips of one institution's recordings."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._documents = context.store.collection(Clip, institution)

    async def get(self, clip_id: str) -> Clip | None:
        return await self._documents.get(clip_id)

    async def of(self, recording: Recording) -> list[Clip]:
        """Those of what is held now, in their order."""
        if recording.media is None:
            return []
        where: Where = {"contact_id": recording.id, "file": recording.media.file}
        return (await self._documents.find(where, sort="start", limit=MOST_CLIPS)).items

    async def add(self, clip: Clip) -> Clip:
        return await self._documents.insert(clip)

    async def all_of(self, contact_id: str) -> list[Clip]:
        return (await self._documents.find({"contact_id": contact_id}, limit=500)).items

    async def remove(self, clips: Iterable[Clip]) -> None:
        await _remove(self._documents, clips)

    async def forget(self, contact_id: str) -> None:
        """Remove those of a contact."""
        while found := await self.all_of(contact_id):
            await self.remove(found)


class Viewings:
    """The view log of one institution."""

    def __init__(self, context: Context, institution: InstitutionId) -> None:
        self._documents = context.store.collection(Viewing, institution)
        self._institution = institution

    async def add(
        self,
        contact_id: str,
        viewer_id: str,
        *,
        student: bool,
        seconds: float,
        at: datetime,
        place: float | None = None,
    ) -> None:
        """Add to what this viewer saw of it today. `place`: where the viewer is now."""
        id_ = f"{contact_id[:24]}-{viewer_id[:24]}-{at:%Y%m%d}"
        while True:
            viewing = await self._documents.get(id_)
            try:
                if viewing is None:
                    viewing = Viewing(
                        id=id_,
                        institution=self._institution,
                        contact_id=contact_id,
                        viewer_id=viewer_id,
                        student=student,
                        day=at.date(),
                        first_at=at,
                        last_at=at,
                        seconds=seconds,
                        first=await self.last_of(contact_id, viewer_id) is None,
                        place=place or 0,
                    )
                    await self._documents.insert(viewing)
                else:
                    viewing.seconds += seconds
                    viewing.last_at = at
                    viewing.place = viewing.place if place is None else place
                    await self._documents.save(viewing)
            except (Conflict, AlreadyExists):
                continue
            return

    async def students(self, contact_id: str) -> int:
        """How many students watched it: each one once."""
        return await self._documents.count({"first": True, "contact_id": contact_id, "student": True})

    async def count(self, contact_id: str) -> int:
        """How often students watched it: each viewer once a day."""
        return await self._documents.count({"contact_id": contact_id, "student": True})

    async def last_of(self, contact_id: str, viewer_id: str) -> Viewing | None:
        """What this viewer saw of it on the last day on which it did."""
        newest = await self._documents.find(
            {"contact_id": contact_id, "viewer_id": viewer_id}, sort="last_at", order="desc", limit=1
        )
        return newest.items[0] if newest.items else None

    async def is_first(self, viewing: Viewing) -> bool:
        """Whether this viewer watched it on no earlier day."""
        where: Where = {"contact_id": viewing.contact_id, "viewer_id": viewing.viewer_id}
        earliest = (await self._documents.find(where, sort="last_at", limit=1)).items
        return not earliest or earliest[0].id == viewing.id

    async def last(self, contact_id: str) -> datetime | None:
        """When a student watched it last."""
        newest = await self._documents.find(
            {"contact_id": contact_id, "student": True}, sort="last_at", order="desc", limit=1
        )
        return newest.items[0].last_at if newest.items else None

    async def forget(self, contact_id: str) -> None:
        while page := (await self._documents.find({"contact_id": contact_id}, limit=100)).items:
            for viewing in page:
                try:
                    await self._documents.delete(viewing)
                except Conflict:  # somebody watches at this moment: the next round takes it
                    continue


async def _remove(documents: Collection[D], found: Iterable[D]) -> None:
    for one in found:
        with contextlib.suppress(Conflict):  # somebody changes it, or has removed it
            await documents.delete(one)


def shelf_of(context: Context, institution: InstitutionId, contact_id: str) -> Shelf:
    """Where the sealed files of a contact lie."""
    return Shelf(context.settings.media, bucket_of(context.settings), institution, contact_id)
