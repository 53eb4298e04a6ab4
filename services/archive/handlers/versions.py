"""The use cases of making a version: begin it, choose its tracks, work on it, hold it.

A version is a job in the store, whose `due_at` is the end of somebody's turn: whoever works on it keeps moving that
ahead, and once nobody does, another takes the work up where the sealed parts end.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final

from firsthand.services.archive.apart import CannotExamine, Ended, NotMedia, TooDemanding
from firsthand.services.archive.gate import gate_of
from firsthand.services.archive.handlers.originals import destroy_original, key_of_original
from firsthand.services.archive.handlers.transcripts import carry_transcripts
from firsthand.services.archive.model import Edit, Media, Original, Recording, Version
from firsthand.services.archive.model.recording import Preparing, Progress
from firsthand.services.archive.model.refusals import not_edited, not_taken_in
from firsthand.services.archive.preparing import Bench, Prepared, prepare
from firsthand.services.archive.repository import Clips, Recordings, Transcripts, Versions, shelf_of
from firsthand.services.archive.settings import ArchiveSettings
from firsthand.shared.bucket import BucketUnavailable
from firsthand.shared.copies import institution_of
from firsthand.shared.disk import is_no_room
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.media import MediaBusy, MediaDamaged
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.store import AlreadyExists, Conflict, StoreUnavailable
from firsthand.shared.tasks import ended
from firsthand.shared.vault import KeyErased

_TURN: Final = timedelta(seconds=30)  # after so long without a word, another takes the work up
_SPEAK_EVERY: Final = 2.0  # seconds
_NO_PLACE: Final = timedelta(seconds=2)  # until it is looked at again
_WAIT: Final = timedelta(seconds=10)  # ... while the family has paused, or has withdrawn and may take it back
_AFTER_FAILURE: Final = timedelta(minutes=1)
_MOST_ENDED: Final = 3
_KEEP_DAYS: Final = 730  # as long as the institution's policy has not been heard


class NotNow(Exception):  # noqa: N818 - says what is the case
    """The work may not go on for now, or not at all, or not with pictures."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(progress)
        self.progress: Progress = progress


async def begin_version(context: Context, recording: Recording, file: str) -> None:
    """Have a version made of the original `file`. May be repeated. Raises Refused."""
    original = recording.original
    if original is None or original.file != file:  # another one was brought meanwhile
        return
    version = first_version(recording, original)
    version.due_at = context.clock.now() if version.stage == "waiting" else None
    versions = Versions(context, recording.institution)
    with suppress(AlreadyExists, Conflict):  # somebody was first
        await work_on(context, await versions.add(version))


def first_version(recording: Recording, original: Original) -> Version:
    """What is to be made of an original that was brought, as far as the family allows it. Raises Refused."""
    pictures = "record-video" in recording.consent.scopes
    return Version.begun(original, pictures=pictures, contact_id=recording.id, institution=recording.institution)


@use_case
async def choose_tracks(
    context: Context, institution: InstitutionId, contact_id: str, picture: int | None, sound: int | None
) -> None:
    """Decide which tracks of a file with several are taken. Raises Refused."""
    recording = await gate_of(context).standing(institution, contact_id)
    versions = Versions(context, institution)
    version = await versions.of(recording)
    if recording is None or recording.original is None or version is None:
        raise not_taken_in("chosen")
    recording.admits_upload(context.clock.now())
    if picture is not None and "record-video" not in recording.consent.scopes:
        raise not_taken_in("no-such-track")
    version.choose(recording.original, picture, sound)
    version.due_at = context.clock.now()
    version = await versions.save(version)
    await _tell(context, version, "working")
    with suppress(Conflict):  # a timer was first
        await work_on(context, version)


async def work_on(context: Context, version: Version) -> None:
    """When due: take the work up, if this replica has a place for it."""
    versions, now = Versions(context, version.institution), context.clock.now()
    if version.stage not in ("waiting", "working"):
        version.due_at = None
        await versions.save(version)
        return
    workshop = context.own(Workshop)
    if workshop.works_on(version):  # whoever does says so in a moment
        return
    if not workshop.has_place:
        version.due_at = now + _NO_PLACE  # perhaps another replica has one
        workshop.remember(await versions.save(version))
        return
    version.stage, version.due_at = "working", now + _TURN
    workshop.take(await versions.save(version))


class Workshop:
    """The places of one replica in which versions are made, as many as it may use cores."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._places = ArchiveSettings().cores
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._waiting: dict[str, Version] = {}  # for the next place that is free
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def has_place(self) -> bool:
        return len(self._tasks) < self._places and not self._closed

    def works_on(self, version: Version) -> bool:
        return (version.institution, version.id) in self._tasks

    def take(self, version: Version) -> None:
        key = (version.institution, version.id)
        task = asyncio.create_task(_work(self._context, version), name="version")
        self._tasks[key] = task
        self._waiting.pop(version.id, None)
        task.add_done_callback(lambda _: self._left(key))

    def remember(self, version: Version) -> None:
        """Take this one up as soon as there is a place: it may have become free while the version was saved."""
        self._waiting[version.id] = version
        self._look()

    def _left(self, key: tuple[str, str]) -> None:
        self._tasks.pop(key, None)
        self._look()

    def _look(self) -> None:
        if self._waiting and self.has_place and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._take_next(), name="next version")

    async def _take_next(self) -> None:
        while self._waiting and self.has_place:
            version = self._waiting.pop(next(iter(self._waiting)))
            with suppress(Conflict, StoreUnavailable):  # another replica has it, or its time comes again
                await work_on(self._context, version)

    async def close(self) -> None:
        """End all work. What is whole of it stays, and is taken up by whoever comes next."""
        self._closed = True
        await ended([*self._tasks.values(), *([self._looking] if self._looking else [])])


async def keep_workshop(context: Context) -> None:
    """End the work with the service."""
    try:
        await asyncio.Event().wait()
    finally:
        await context.own(Workshop).close()


async def _work(context: Context, version: Version) -> None:
    """Make it, and hold it; whatever comes between is noted for whoever takes it up."""
    try:
        async with _turns(context, version) as turn:
            prepared = await _prepared(context, turn.version, turn)
            recording = await _hold(context, turn.version, prepared)
        await tidy(context, recording)
        await _note(context, version, stage="done", thousandths=1000, due_at=None)
    except Refused as refused:
        await _refuse(context, version, refused.code)
        await shelf_of(context, version.institution, version.contact_id).remove(version.id)
    except Ended:
        await _begin_anew(context, version)
    except NotNow as not_now:
        await _put_off(context, version, not_now.progress)
    except KeyErased:  # it is being erased, which removes all of it
        context.log.info("work on a recording ended: it is no longer here")
    except Conflict:  # somebody else took it up
        context.log.info("work on a recording ended: somebody else goes on with it")
    except (MediaDamaged, FileNotFoundError):
        await _refuse(context, version, "damaged")
    except (BucketUnavailable, CannotExamine, MediaBusy, OSError, StoreUnavailable) as error:
        context.log.warning("a recording waits to be prepared: %s", type(error).__name__)
        with suppress(StoreUnavailable):
            no_room = is_no_room(error)
            await _note(
                context, version, stage="waiting", refused_because="no-room" if no_room else "",
                due_at=context.clock.now() + _AFTER_FAILURE,
            )  # fmt: skip
    except Exception:
        context.log.exception("making a version failed")
        await _note(context, version, stage="waiting", due_at=context.clock.now() + _AFTER_FAILURE)


class _Turn:
    """Somebody's turn: he tells how far it is, and so keeps it."""

    def __init__(self, context: Context, version: Version) -> None:
        self._context = context
        self.version = version
        self.thousandths = version.thousandths

    async def speak(self) -> None:
        """Raises Conflict when another has taken it up."""
        while True:
            await asyncio.sleep(_SPEAK_EVERY)
            self.version.thousandths = self.thousandths
            self.version.due_at = self._context.clock.now() + _TURN
            self.version = await Versions(self._context, self.version.institution).save(self.version)


@asynccontextmanager
async def _turns(context: Context, version: Version) -> AsyncIterator[_Turn]:
    """A turn that goes on while the work does, and ends it when another has it."""
    turn = _Turn(context, version)
    speaking = asyncio.create_task(turn.speak(), name="turn")
    working = asyncio.current_task()
    assert working

    def stop(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception():
            working.cancel()

    speaking.add_done_callback(stop)
    try:
        yield turn
    except asyncio.CancelledError:
        if speaking.done() and not speaking.cancelled() and (error := speaking.exception()):
            working.uncancel()
            raise error from None
        raise
    finally:
        await ended([speaking])


async def _prepared(context: Context, version: Version, turn: _Turn) -> Prepared:
    institution, contact_id = version.institution, version.contact_id

    async def still() -> Recording:
        recording = await gate_of(context).standing(institution, contact_id)
        if recording is None:
            raise NotNow("end")
        pictures = version.picture is not None
        progress = recording.admits_version(version.id, context.clock.now(), pictures=pictures)
        if progress == "go" and gate_of(context).is_unclear(recording):
            progress = "wait"
        if progress != "go":
            raise NotNow(progress)
        return recording

    async def may_go_on() -> None:
        await still()

    recording = await still()
    shelf = shelf_of(context, institution, contact_id)
    key = await context.vault.media_key(institution, contact_id)
    source = key if version.edits else await _key_of_original(context, recording)
    bench = Bench(shelf, context.disk, version.id, key, may_go_on)

    def told(thousandths: int) -> None:
        turn.thousandths = thousandths

    try:
        with await shelf.reader(version.made_from, source) as reader:
            async with bench:
                return await prepare(reader, bench, version, may_go_on, told)
    except Ended:
        raise
    except NotMedia:
        raise not_taken_in("not-media") from None
    except TooDemanding:
        raise not_taken_in("too-demanding") from None


async def _key_of_original(context: Context, recording: Recording) -> bytes:
    original = recording.original
    assert original
    return await key_of_original(context, recording.institution, recording.id, original.file)


@use_case
async def _hold(context: Context, version: Version, prepared: Prepared) -> Recording:
    policy = await institution_of(context, version.institution)
    # Under the newest consent: the store may not have come to know it yet.
    recording = await gate_of(context).standing(version.institution, version.contact_id)
    if recording is None:
        raise NotNow("end")
    if recording.media and recording.media.file == version.id:  # it was held before a crash
        return recording
    now = context.clock.now()
    progress = recording.admits_version(version.id, now, pictures=prepared.has_video)
    if progress != "go":
        raise NotNow(progress)
    by = recording.original.brought_by if recording.original else "system"
    media = Media(
        file=version.id,
        has_video=prepared.has_video,
        mime="video/mp4" if prepared.has_video else "audio/mp4",
        codecs=prepared.codecs,
        duration_seconds=prepared.duration_seconds,
        bytes=prepared.bytes,
        sha256=prepared.sha256,
        taken_in_at=now,
        taken_in_by=by,
        **_history(recording, version, prepared),
    )
    if version.edits:
        await carry_transcripts(context, recording, version)
    told = recording.take_in(media, policy.keep_recordings_days if policy else _KEEP_DAYS)
    return await Recordings(context, version.institution).save(recording, told, at=now, actor=by)


def _history(recording: Recording, version: Version, prepared: Prepared) -> dict[str, Any]:
    """Where a version comes from, and what is not in it."""
    before, original = recording.media, recording.original
    if version.edits and before:
        return {"made_from": before.made_from, "left_out": before.left_out, "broke_off": before.broke_off,
                "edits": version.edits}  # fmt: skip
    assert original
    return {"made_from": original.file, "left_out": version.left_out(original), "broke_off": prepared.broke_off}


async def tidy(context: Context, recording: Recording) -> None:
    """Keep what stays in one place, and remove what it replaced, and what it was made of."""
    shelf = shelf_of(context, recording.institution, recording.id)
    if recording.original:
        await shelf.settle(recording.original.file)
    if recording.media:
        await shelf.settle(recording.media.file)
        await shelf.remove_parts(recording.media.file)
    for file in recording.replaced:
        await shelf.remove_parts(file)
        await shelf.remove(file)
    await _forget_replaced(context, recording)


async def _forget_replaced(context: Context, recording: Recording) -> None:
    """Remove what is stored of versions that are no longer there. The recording is read after them: it names a version
    before anything of that version is stored, so that nothing goes that was begun meanwhile.
    """
    institution, contact_id = recording.institution, recording.id
    versions, transcripts = Versions(context, institution), Transcripts(context, institution)
    clips = Clips(context, institution)
    jobs = await versions.all_of(contact_id)
    texts, picked = await transcripts.all_of(contact_id), await clips.all_of(contact_id)
    now = await Recordings(context, institution).get(contact_id)
    if now is None:
        return
    await versions.remove(job for job in jobs if job.id != now.making)
    await transcripts.remove(text for text in texts if text.file not in now.kept_files)
    await clips.remove(clip for clip in picked if clip.file not in now.kept_files)


async def keep_only_what_is_shown(context: Context, recording: Recording) -> None:
    """Destroy the original of a recording that the family has released, and earlier versions. To be saved."""
    if recording.original:
        await destroy_original(context, recording, recording.original)
        recording.original = None
    for file in recording.forget_earlier():
        await shelf_of(context, recording.institution, recording.id).remove(file)
    transcripts, clips = Transcripts(context, recording.institution), Clips(context, recording.institution)
    texts, picked, kept = await transcripts.all_of(recording.id), await clips.all_of(recording.id), recording.kept_files
    await transcripts.remove(text for text in texts if text.file not in kept)
    await clips.remove(clip for clip in picked if clip.file not in kept)


@use_case
async def propose_edits(
    context: Context, institution: InstitutionId, contact_id: str, edits: Sequence[Edit], *, more: bool = False
) -> None:
    """Keep what is to be changed in what is shown, in place of what was kept before, or in addition. Raises Refused."""
    recording = await _editable(context, institution, contact_id)
    recording.propose([*(recording.draft if more else ()), *edits])
    await Recordings(context, institution).save(recording, None, at=context.clock.now())


@use_case
async def make_edited(context: Context, institution: InstitutionId, contact_id: str) -> None:
    """Have a version made with all that is to be changed. Raises Refused."""
    now = context.clock.now()
    recording = await _editable(context, institution, contact_id)
    version = recording.begin_edit(now)
    version.due_at = now
    await Recordings(context, institution).save(recording, None, at=now)
    with suppress(AlreadyExists, Conflict):  # a timer was first
        await work_on(context, await Versions(context, institution).add(version))


@use_case
async def go_back(context: Context, institution: InstitutionId, contact_id: str, file: str, *, by: str) -> None:
    """Hold an earlier version again. Raises Refused."""
    now = context.clock.now()
    recording = await _editable(context, institution, contact_id)
    told = recording.go_back(file, now)
    await tidy(context, await Recordings(context, institution).save(recording, told, at=now, actor=by))


async def _editable(context: Context, institution: InstitutionId, contact_id: str) -> Recording:
    recording = await gate_of(context).standing(institution, contact_id)
    version = await Versions(context, institution).of(recording)
    if recording is None or (version and version.is_open):
        raise not_edited("nothing-to-edit")
    return recording


async def _begin_anew(context: Context, version: Version) -> None:
    """Go on where the parts end, unless the same file has ended the process too often: then it is the file's doing."""
    ended_before = version.ended + 1
    if ended_before >= _MOST_ENDED:
        await _refuse(context, version, "too-demanding")
    else:
        due_at = context.clock.now() + _NO_PLACE
        await _note(context, version, stage="waiting", ended=ended_before, due_at=due_at)


async def _put_off(context: Context, version: Version, progress: Progress) -> None:
    now = context.clock.now()
    if progress == "held":  # before a crash, or by whoever had it before
        if recording := await Recordings(context, version.institution).get(version.contact_id):
            await tidy(context, recording)
        await _note(context, version, stage="done", thousandths=1000, due_at=None)
    elif progress == "end":
        with suppress(StoreUnavailable):
            await _note(context, version, stage="refused", refused_because="closed", due_at=None)
    elif progress == "without-pictures":
        shelf = shelf_of(context, version.institution, version.contact_id)
        await shelf.remove_parts(version.id)
        await shelf.remove(version.id)
        await _note(context, version, stage="waiting", picture=None, thousandths=0, due_at=now)
    else:
        await _note(context, version, stage="waiting", due_at=now + _WAIT)


@use_case
async def _tell(context: Context, version: Version, preparing: Preparing) -> None:
    """Tell how the work on what was brought stands."""
    now, recordings = context.clock.now(), Recordings(context, version.institution)
    recording = await recordings.get(version.contact_id)
    if recording and (told := recording.tell_preparing(version.id, preparing, now)):
        await recordings.save(recording, told, at=now)


async def _refuse(context: Context, version: Version, code: str) -> None:
    """Nothing can be made of it: note and tell so."""
    await _note(context, version, stage="refused", refused_because=code, due_at=None)
    await _tell(context, version, "refused")


@use_case
async def _note(context: Context, version: Version, **what: object) -> None:
    """Note what came of a version, unless it is gone."""
    versions = Versions(context, version.institution)
    stored = await versions.get(version.id)
    if stored is not None:
        await versions.save(stored.model_copy(update=what))
