"""The use cases of taking a file in: begin, receive, check, keep. Every byte is sealed before the disk."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from firsthand.services.archive.apart import CannotExamine, NotMedia, TooDemanding
from firsthand.services.archive.gate import gate_of
from firsthand.services.archive.handlers.originals import key_of_original
from firsthand.services.archive.handlers.versions import begin_version, first_version, tidy
from firsthand.services.archive.model import Original, Recording, Upload
from firsthand.services.archive.model.refusals import not_taken_in, refused_before
from firsthand.services.archive.model.version import original_of
from firsthand.services.archive.probing import Examiner, Findings, in_thread
from firsthand.services.archive.repository import Recordings, Uploads, shelf_of
from firsthand.services.archive.settings import ArchiveSettings
from firsthand.services.archive.storage import Shelf
from firsthand.shared.bucket import BucketUnavailable
from firsthand.shared.disk import NoRoom, is_no_room
from firsthand.shared.identifiers import InstitutionId, new_id
from firsthand.shared.media import MediaBusy, SealedReader, SealedWriter
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.store import Conflict
from firsthand.shared.vault import KeyErased

_WRITE: Final = 1024 * 1024  # bytes handed to the disk at once
_SYNC: Final = 16 * 1024 * 1024  # bytes after which what came is made safe, though the request goes on
_CHECK_TAKES: Final = timedelta(minutes=2)  # after so long somebody else takes up the checking of a complete upload
_REMEMBERED: Final = timedelta(days=1)  # how long a completed or refused upload is still answered for
MOST_OPEN: Final = 50  # uploads of one person or machine that have begun and are not complete


class NotThere(Exception):  # noqa: N818 - says what is the case
    """There is no such upload or recording in this institution."""


class WrongOffset(Exception):  # noqa: N818 - says what is the case
    """The bytes do not continue where the upload stands."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class ChecksumMismatch(Exception):  # noqa: N818 - says what is the case
    """The bytes are not those that were sent; nothing of them was kept."""


async def begin_upload(
    context: Context, institution: InstitutionId, contact_id: str, *, length: int, by: str
) -> Upload:
    """Begin to take a recording of `length` bytes in (-1: not known yet). Raises NotThere, Refused."""
    settings, now = ArchiveSettings(), context.clock.now()
    await _admitting_more(context, institution, contact_id)
    if length == 0:
        raise not_taken_in("empty")
    if length > settings.largest_upload:
        raise not_taken_in("too-large")
    expires_at = now + timedelta(hours=settings.upload_expires_hours)
    upload = await Uploads(context, institution).add(
        Upload(
            id=new_id(),
            institution=institution,
            contact_id=contact_id,
            length=length,
            by=by,
            begun_at=now,
            expires_at=expires_at,
            due_at=expires_at,
        )
    )
    if await Uploads(context, institution).open_of(by) > MOST_OPEN:  # counted with this one, so that none slips by
        await Uploads(context, institution).forget(upload)
        raise not_taken_in("too-many")
    try:
        await _shelf(context, upload).begin(upload.file, await _key(context, upload))
    except KeyErased:
        raise not_taken_in("closed") from None
    try:
        await _admitting(context, institution, contact_id)  # an erasure may have come between
    except Refused:
        await end_upload(context, upload)
        raise
    return upload


async def offset_of(context: Context, upload: Upload) -> int:
    """How many bytes are safe; of a complete upload only once it is held. Raises as `complete`."""
    if upload.stage == "receiving":
        async with _writing(context, upload) as writer:
            offset = writer.offset
    else:
        offset = upload.length
    if offset == upload.length and upload.stage != "done":  # it was not held at its last byte, or was refused then
        await complete(context, upload)
    return offset


async def receive(
    context: Context, upload: Upload, *, offset: int, chunks: AsyncIterator[bytes], sha256: bytes | None = None
) -> int:
    """Take the next bytes; returns how many are safe now. `sha256` is of the bytes in this request.

    When the client goes away, what came until then is kept. Raises NotThere, Refused, WrongOffset, ChecksumMismatch,
    MediaBusy.
    """
    await _admitting_more(context, upload.institution, upload.contact_id)
    if upload.stage != "receiving":
        raise WrongOffset(await offset_of(context, upload))
    digest = hashlib.sha256() if sha256 else None
    async with _writing(context, upload) as writer:
        if writer.offset != offset:
            raise WrongOffset(writer.offset)
        try:
            async with aclosing(_gathered(chunks)) as pieces:
                async for piece in pieces:
                    if digest:
                        digest.update(piece)
                    await _write(context, upload, writer, piece, safe=digest is None)
        except BaseException:
            if digest is None:
                await asyncio.to_thread(writer.sync)
            raise
        if digest and digest.digest() != sha256:
            raise ChecksumMismatch
        safe = await asyncio.to_thread(writer.sync)
    if await Uploads(context, upload.institution).get(upload.id) is None:  # it was erased meanwhile
        await _shelf(context, upload).remove(upload.file)
        raise NotThere
    return safe


async def receive_whole(
    context: Context, institution: InstitutionId, contact_id: str, *, chunks: AsyncIterator[bytes], by: str
) -> Recording:
    """Take a recording in at once, of a length that is known at its end. Raises as `begin_upload` and `receive`."""
    upload = await begin_upload(context, institution, contact_id, length=-1, by=by)
    try:
        upload.length = await receive(context, upload, offset=0, chunks=chunks)
        if upload.length == 0:
            raise not_taken_in("empty")  # noqa: TRY301 - what was begun is ended below
    except BaseException:
        await end_upload(context, upload)
        raise
    return await complete(context, upload)


async def complete(context: Context, upload: Upload) -> Recording:
    """Check what came, bring it to where it stays, and have a version made of it. May be repeated after a crash at any
    point.

    Raises Refused, NotThere; MediaBusy while somebody else does so; BucketUnavailable, CannotExamine: it is tried again
    when due.
    """
    uploads = Uploads(context, upload.institution)
    if upload.stage == "refused":
        raise refused_before(upload.refused_because)
    upload.stage, upload.due_at = "checking", _in(context, _CHECK_TAKES)
    try:
        upload = await uploads.save(upload)
    except Conflict:
        raise MediaBusy("somebody else checks this recording, or has ended the upload") from None
    try:
        recording = await Recordings(context, upload.institution).get(upload.contact_id)
        if recording is None or not recording.was_brought(upload.file):
            recording = await _brought(context, upload)
        await begin_version(context, recording, original_of(upload.file))
    except Refused as refused:
        await _remove(context, upload)
        upload.stage, upload.due_at = "refused", _in(context, _REMEMBERED)
        upload.refused_because = refused.code
        await uploads.save(upload)
        raise
    if not recording.media or recording.media.file != upload.file:  # as a release before 0.2 holds it
        await _shelf(context, upload).remove(upload.file)
    await tidy(context, recording)
    upload.stage, upload.due_at = "done", _in(context, _REMEMBERED)
    with suppress(Conflict):  # somebody else took the checking up as well, and came to the same end
        await uploads.save(upload)
    return recording


async def end_upload(context: Context, upload: Upload) -> None:
    """Forget an upload and what came of it; a recording that it became stays. Raises MediaBusy while it is taken in."""
    recording = await Recordings(context, upload.institution).get(upload.contact_id)
    if recording is None or not recording.was_brought(upload.file):
        await _remove(context, upload)
    await Uploads(context, upload.institution).forget(upload)


async def look_after_upload(context: Context, upload: Upload) -> None:
    """When due: resume a check that a crash interrupted; delete expired uploads."""
    if upload.stage != "checking":
        # Its last bytes may have come just now, to another replica, which checks it: then this raises Conflict.
        upload.due_at = _in(context, _CHECK_TAKES)
        await end_upload(context, await Uploads(context, upload.institution).save(upload))
        return
    try:
        await complete(context, upload)
    except (Refused, KeyErased):
        context.log.info("an upload was refused after a restart")
    except MediaBusy:
        context.log.info("an upload is being taken in by somebody else")
    except (BucketUnavailable, CannotExamine, NoRoom) as error:
        context.log.warning("a recording waits in the media folder: %s", error)


# -- parts


def _in(context: Context, span: timedelta) -> datetime:
    """When the timer, which goes by the time that surely is, looks at an upload after `span`."""
    return context.trusted.sure() + span


async def _admitting(context: Context, institution: InstitutionId, contact_id: str) -> Recording:
    """The recording, if the newest consent that we know of lets it be taken in. Raises NotThere, Refused."""
    recording = await gate_of(context).standing(institution, contact_id)
    if recording is None:
        raise NotThere
    recording.admits_upload(context.clock.now())
    return recording


async def _admitting_more(context: Context, institution: InstitutionId, contact_id: str) -> Recording:
    """As `_admitting`; also refuses while we do not understand what consent said last. What came before is kept."""
    recording = await _admitting(context, institution, contact_id)
    if gate_of(context).is_unclear(recording):
        raise not_taken_in("not-allowed")
    return recording


@asynccontextmanager
async def _writing(context: Context, upload: Upload) -> AsyncIterator[SealedWriter]:
    try:
        writer = await _shelf(context, upload).writer(upload.file, await _key(context, upload))
    except (KeyErased, FileNotFoundError):
        raise not_taken_in("closed") from None
    try:
        yield writer
    finally:
        await asyncio.to_thread(writer.close)


async def _gathered(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield pieces large enough to write; when the client disconnects, yield the rest before its exception."""
    waiting, idle = bytearray(), ArchiveSettings().idle_seconds
    failure: Exception | None = None
    source = aiter(chunks)
    while True:
        try:
            waiting += await asyncio.wait_for(anext(source), idle)
        except StopAsyncIteration:
            break
        except Exception as error:  # noqa: BLE001 - it is raised below
            failure = error
            break
        if len(waiting) >= _WRITE:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)
    if failure:
        raise failure


async def _write(context: Context, upload: Upload, writer: SealedWriter, piece: bytes, *, safe: bool) -> None:
    limit = upload.length if upload.length >= 0 else ArchiveSettings().largest_upload
    if writer.offset + len(piece) > limit:
        raise not_taken_in("too-long")
    before = writer.offset // _SYNC
    await asyncio.to_thread(_write_with_room, context, writer, piece)
    if safe and writer.offset // _SYNC != before:
        await asyncio.to_thread(writer.sync)
        await _admitting(context, upload.institution, upload.contact_id)


def _write_with_room(context: Context, writer: SealedWriter, piece: bytes) -> None:
    try:
        context.disk.admit_bulk(len(piece))
        writer.write(piece)
    except (NoRoom, OSError) as error:
        if is_no_room(error):
            raise not_taken_in("no-room") from None
        raise


async def _brought(context: Context, upload: Upload) -> Recording:
    """Look at what came, put it where it stays, keep it: in this order, and with the file in hand all the while."""

    async def still() -> None:
        await _admitting(context, upload.institution, upload.contact_id)

    async with _writing(context, upload) as writer:
        await asyncio.to_thread(writer.finish)
        found = await _examined(context, upload, still)
        await _seal_anew(context, upload, still)
        return await _keep(context, upload, found)


async def _seal_anew(context: Context, upload: Upload, still: Callable[[], Awaitable[None]]) -> None:
    """Seal the file with a key of its own beside the contact's, and put it where it stays.

    Not while it comes: its next piece may go to a replica of another release.
    """
    shelf, file = _shelf(context, upload), original_of(upload.file)
    key = await key_of_original(context, upload.institution, upload.contact_id, file)
    await shelf.remove(file)  # what a crash left
    await shelf.begin(file, key)
    writer = await shelf.writer(file, key)
    try:
        with await shelf.reader(upload.file, await _key(context, upload)) as reader:
            for start in range(0, reader.size, _SYNC):
                await still()
                await in_thread(partial(_copy, context, reader, writer, start))
        await in_thread(writer.finish)
        await shelf.put(file, writer, still)
    finally:
        await asyncio.to_thread(writer.close)


def _copy(context: Context, reader: SealedReader, writer: SealedWriter, start: int) -> None:
    try:
        context.disk.admit_bulk(min(_SYNC, reader.size - start))
        for piece in reader.read_range(start, start + _SYNC):
            writer.write(piece)
    except OSError as error:
        if is_no_room(error):
            raise NoRoom(str(error)) from error
        raise


async def _remove(context: Context, upload: Upload) -> None:
    """Remove what came, and what was made of it so far."""
    for file in (upload.file, original_of(upload.file)):
        await _shelf(context, upload).remove(file)


async def _examined(context: Context, upload: Upload, still: Callable[[], Awaitable[None]]) -> Findings:
    with await _shelf(context, upload).reader(upload.file, await _key(context, upload)) as reader:
        try:
            return await context.own(Examiner).examine(reader, still)
        except NotMedia:
            raise not_taken_in("not-media") from None
        except TooDemanding:
            raise not_taken_in("too-demanding") from None


@use_case
async def _keep(context: Context, upload: Upload, found: Findings) -> Recording:
    # Under the newest consent, as for every byte before: the store may not have come to know it yet.
    recording = await gate_of(context).standing(upload.institution, upload.contact_id)
    if recording is None:
        raise NotThere
    if recording.was_brought(upload.file):  # somebody else took the checking up as well
        return recording
    now = context.clock.now()
    original = Original(
        file=original_of(upload.file),
        bytes=upload.length,
        tracks=found.tracks,
        extras=found.extras,
        brought_at=now,
        brought_by=upload.by,
    )
    told = recording.bring(original, choosing=first_version(recording, original).stage == "choosing")
    return await Recordings(context, upload.institution).save(recording, told, at=now, actor=upload.by)


async def _key(context: Context, upload: Upload) -> bytes:
    return await context.vault.media_key(upload.institution, upload.contact_id)


def _shelf(context: Context, upload: Upload) -> Shelf:
    return shelf_of(context, upload.institution, upload.contact_id)
