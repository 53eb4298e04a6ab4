"""The use cases of a written version: bring it, read it, change it, show it, remove it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from firsthand.services.archive.gate import NotOpen, gate_of
from firsthand.services.archive.model import Cue, Edit, Recording, Transcript, Version, Viewer
from firsthand.services.archive.model.captions import Lines, changed, packed, read
from firsthand.services.archive.model.refusals import not_edited, not_written
from firsthand.services.archive.model.transcript import MOST_LANGUAGES
from firsthand.services.archive.model.words import words_of
from firsthand.services.archive.repository import Recordings, Transcripts, Versions
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context, use_case
from firsthand.shared.vault import Sealed


@dataclass(frozen=True)
class Written:
    """A written version, and its lines."""

    recording: Recording
    transcript: Transcript
    lines: Lines
    waits: bool  # for the family; nobody else reads these lines

    @property
    def cues(self) -> list[Cue]:
        return self.lines.cues()


@use_case
async def bring_transcript(
    context: Context, institution: InstitutionId, contact_id: str, language: str, content: bytes, *,
    translated: bool, by: str,
) -> Transcript:  # fmt: skip
    """Take captions in. They wait for the family; what it approved stays shown. Raises Refused, NotOpen."""
    now = context.clock.now()
    recording = await _standing(context, institution, contact_id)
    recording.admits_words(now)
    transcripts, file = Transcripts(context, institution), recording.words_of
    media = recording.media
    length = media.duration_seconds if media and media.file == file else None
    cues = await asyncio.to_thread(read, content, length)  # two MiB of a stranger's text take a while
    transcript = await transcripts.get(file, language)
    if transcript is None:
        if len(await transcripts.of(contact_id, file)) >= MOST_LANGUAGES:
            raise not_written("too-many")
        transcript = Transcript(
            id=Transcript.id_of(file, language), institution=institution, contact_id=contact_id, file=file,
            language=language, translated=translated, lines=0, shown_to=recording.shown_to or "", brought_at=now,
            brought_by=by, changed_at=now,
        )  # fmt: skip
    transcript.translated, transcript.brought_at, transcript.brought_by = translated, now, by
    transcript.propose(await _sealed(context, transcript, "proposed", Lines.of(cues).to_seal()), len(cues), now)
    transcript = await transcripts.put(transcript)
    await _if_still_allowed(context, institution, contact_id)
    await _tell(context, institution, contact_id, by)
    return transcript


async def transcripts_of(context: Context, recording: Recording) -> list[Transcript]:
    """What is written down of what is held, or is being prepared."""
    return await Transcripts(context, recording.institution).of(recording.id, recording.words_of)


async def read_by_family(context: Context, institution: InstitutionId, contact_id: str, language: str) -> Written:
    """What waits for the family, or is shown. Raises NotOpen."""
    recording = await gate_of(context).admit(institution, contact_id, Viewer(family=True, person_id=contact_id))
    transcript = await Transcripts(context, institution).get(recording.words_of, language)
    if transcript is None:
        raise NotOpen
    return await _written(context, recording, transcript, waits=transcript.proposed is not None)


async def read_by_viewer(
    context: Context, institution: InstitutionId, contact_id: str, language: str, viewer: Viewer
) -> Written:
    """What the family approved, for who may watch and read. Raises NotOpen, CannotTell."""
    recording = await gate_of(context).admit(institution, contact_id, viewer, words=True)
    transcript = await Transcripts(context, institution).get(recording.words_of, language)
    if transcript is None or not transcript.is_shown:
        raise NotOpen
    return await _written(context, recording, transcript, waits=False)


@use_case
async def change_line(
    context: Context, institution: InstitutionId, contact_id: str, language: str, number: int, seen: int, text: str
) -> None:
    """The family writes a line anew, or, without a text, takes it out. Raises Refused, NotOpen."""
    written = await read_by_family(context, institution, contact_id, language)
    transcript, cues = written.transcript, written.cues
    if transcript.version != seen:
        raise not_written("changed")
    if number >= len(cues) or (not text and len(cues) == 1):
        raise not_written("no-such-line")
    cues[number : number + 1] = [cues[number].model_copy(update={"text": text})] if text else []
    now = context.clock.now()
    if written.waits:
        transcript.propose(await _sealed(context, transcript, "proposed", Lines.of(cues).to_seal()), len(cues), now)
    else:
        await _show(context, transcript, cues)
    await Transcripts(context, institution).put(transcript)


@use_case
async def silence_line(
    context: Context, institution: InstitutionId, contact_id: str, language: str, number: int, seen: int
) -> None:
    """Put the stretch of a line on the list of what is to be silenced in the recording. The version that has it silent
    has the line no more. Raises Refused, NotOpen.
    """
    written = await read_by_family(context, institution, contact_id, language)
    recording = await _standing(context, institution, contact_id)
    version = await Versions(context, institution).of(recording)
    if version and version.is_open:
        raise not_edited("nothing-to-edit")
    if written.transcript.version != seen:
        raise not_written("changed")
    if number >= len(written.cues):
        raise not_written("no-such-line")
    cue = written.cues[number]
    recording.propose([*recording.draft, Edit(kind="silence", start=cue.start, end=cue.end)])
    await Recordings(context, institution).save(recording, None, at=context.clock.now())


@use_case
async def approve_transcript(
    context: Context, institution: InstitutionId, contact_id: str, language: str, seen: int
) -> None:
    """The family lets those who may watch read what it has read itself. Raises Refused, NotOpen."""
    written = await read_by_family(context, institution, contact_id, language)
    recording = await _standing(context, institution, contact_id)
    recording.admits_words(context.clock.now())
    transcript, now = written.transcript, context.clock.now()
    words = await _sealed(context, transcript, "words", _words_of(written.cues))
    shown = await _sealed(context, transcript, "shown", written.lines.to_seal())
    transcript.approve(seen, len(written.cues), shown, words, now)
    transcript.shown_to = recording.shown_to or ""
    await Transcripts(context, institution).put(transcript)
    await _if_still_allowed(context, institution, contact_id)
    await _tell(context, institution, contact_id, "family")


@use_case
async def remove_transcript(
    context: Context, institution: InstitutionId, contact_id: str, language: str, *, by: str
) -> None:
    """Remove a written version, what is shown of it too. Raises NotOpen."""
    recording = await _standing(context, institution, contact_id)
    transcripts = Transcripts(context, institution)
    transcript = await transcripts.get(recording.words_of, language)
    if transcript is None:
        raise NotOpen
    await transcripts.delete(transcript)
    await _tell(context, institution, contact_id, by)


@use_case
async def _tell(context: Context, institution: InstitutionId, contact_id: str, by: str) -> None:
    """Tell whether a text waits for the family."""
    recording = await _standing(context, institution, contact_id)
    texts = await transcripts_of(context, recording)
    waits = any(text.proposed for text in texts)
    now = context.clock.now()
    told = recording.note_words("proposed" if waits else "approved" if texts else None, now)
    if told:
        await Recordings(context, institution).save(recording, told, at=now, actor=by)


async def carry_transcripts(context: Context, recording: Recording, version: Version) -> None:
    """Have the new version say what the one before it says, but for what was taken out. May be repeated."""
    transcripts = Transcripts(context, recording.institution)
    for carried in await transcripts.of(recording.id, version.id):  # before a crash; the family may have changed more
        await transcripts.delete(carried)
    for before in await transcripts.of(recording.id, version.made_from):
        after = before.model_copy(
            update={"id": Transcript.id_of(version.id, before.language), "file": version.id, "version": 0,
                    "proposed": None, "shown": None, "words": None, "is_shown": False}
        )  # fmt: skip
        now = context.clock.now()
        if before.shown and (cues := changed((await _opened(context, before, "shown")).cues(), version.edits)):
            await _show(context, after, cues)
        if before.proposed and (cues := changed((await _opened(context, before, "proposed")).cues(), version.edits)):
            after.propose(await _sealed(context, after, "proposed", Lines.of(cues).to_seal()), len(cues), now)
        if after.shown or after.proposed:
            await transcripts.put(after)


async def _show(context: Context, transcript: Transcript, cues: Sequence[Cue]) -> None:
    shown = await _sealed(context, transcript, "shown", Lines.of(cues).to_seal())
    words = await _sealed(context, transcript, "words", _words_of(cues))
    transcript.show(shown, len(cues), words, context.clock.now())


def _words_of(cues: Sequence[Cue]) -> str:
    return packed(" ".join(sorted(words_of("\n".join(cue.text for cue in cues)))))


async def _written(context: Context, recording: Recording, transcript: Transcript, *, waits: bool) -> Written:
    return Written(recording, transcript, await _opened(context, transcript, "proposed" if waits else "shown"), waits)


async def _opened(context: Context, transcript: Transcript, name: str) -> Lines:
    sealed: Sealed = getattr(transcript, name)
    field = transcript.field(name)
    return Lines.unsealed(await context.vault.open(transcript.institution, transcript.contact_id, field, sealed))


async def _sealed(context: Context, transcript: Transcript, name: str, text: str) -> Sealed:
    return await context.vault.seal(transcript.institution, transcript.contact_id, transcript.field(name), text)


async def _standing(context: Context, institution: InstitutionId, contact_id: str) -> Recording:
    recording = await gate_of(context).standing(institution, contact_id)
    if recording is None:
        raise NotOpen
    return recording


async def _if_still_allowed(context: Context, institution: InstitutionId, contact_id: str) -> None:
    """What is written down while the family takes that back does not stay. Raises Refused."""
    recording = await _standing(context, institution, contact_id)
    if recording.forbids_words or recording.leaves:
        await Transcripts(context, institution).forget(contact_id)
        raise not_written("not-allowed")


__all__ = [
    "Written",
    "approve_transcript",
    "bring_transcript",
    "carry_transcripts",
    "change_line",
    "read_by_family",
    "read_by_viewer",
    "remove_transcript",
    "silence_line",
    "transcripts_of",
]
