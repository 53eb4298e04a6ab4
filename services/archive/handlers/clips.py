"""The use cases of clips: make one, list them, remove one. All of them ask the gate: who may not watch sees no clip."""

from dataclasses import dataclass

from firsthand.services.archive.gate import NotOpen, gate_of
from firsthand.services.archive.model import Clip, Recording, Viewer
from firsthand.services.archive.model.clip import MOST_CLIPS, checked
from firsthand.services.archive.model.refusals import not_clipped
from firsthand.services.archive.repository import Clips
from firsthand.shared.identifiers import InstitutionId, new_id
from firsthand.shared.service import Context


@dataclass(frozen=True)
class Picked:
    """A clip, with its title opened."""

    id: str
    start: int  # milliseconds
    end: int | None
    title: str


async def make_clip(
    context: Context,
    institution: InstitutionId,
    contact_id: str,
    viewer: Viewer,
    start: int,
    end: int | None,
    title: str,
) -> Clip:
    """Pick a stretch of what this tutor may watch now. Raises Refused, NotOpen, CannotTell."""
    recording = await gate_of(context).admit(institution, contact_id, viewer)
    if recording.media is None:
        raise NotOpen
    if not title:
        raise not_clipped("no-title")
    start, end = checked(start, end, recording.media.duration_seconds)
    clips = Clips(context, institution)
    if len(await clips.of(recording)) >= MOST_CLIPS:
        raise not_clipped("too-many")
    clip_id = new_id()
    sealed = await context.vault.seal(institution, contact_id, f"clip.{clip_id}", title)
    clip = Clip(
        id=clip_id, institution=institution, contact_id=contact_id, file=recording.media.file, start=start, end=end,
        title=sealed, by=viewer.person_id, made_at=context.clock.now(),
    )  # fmt: skip
    made = await clips.add(clip)
    try:
        await gate_of(context).admit(institution, contact_id, viewer)
    except NotOpen:  # it was withdrawn meanwhile
        await clips.remove([made])
        raise
    return made


async def clips_of(context: Context, recording: Recording) -> list[Picked]:
    """The clips of a recording that the gate has admitted, in their order."""
    found = await Clips(context, recording.institution).of(recording)
    if not found:
        return []
    opened = await context.vault.open_many(recording.institution, recording.id, {one.field: one.title for one in found})
    return [Picked(one.id, one.start, one.end, opened[one.field]) for one in found]


async def remove_clip(
    context: Context, institution: InstitutionId, contact_id: str, viewer: Viewer, clip_id: str
) -> None:
    """Raises NotOpen, CannotTell."""
    await gate_of(context).admit(institution, contact_id, viewer)
    clips = Clips(context, institution)
    clip = await clips.get(clip_id)
    if clip is None or clip.contact_id != contact_id:
        raise NotOpen
    await clips.remove([clip])


__all__ = ["Picked", "clips_of", "make_clip", "remove_clip"]
