"""The use cases of what a family asks staff to change in its recording, in its own words."""

from dataclasses import dataclass
from datetime import datetime

from firsthand.services.archive.gate import NotOpen, gate_of
from firsthand.services.archive.model import Recording
from firsthand.services.archive.model.recording import Wish
from firsthand.services.archive.model.refusals import not_edited
from firsthand.services.archive.repository import Recordings
from firsthand.shared.identifiers import InstitutionId, new_id
from firsthand.shared.service import Context, use_case


@dataclass(frozen=True)
class Asked:
    """A wish, opened."""

    id: str
    place: int | None  # milliseconds
    text: str
    asked_at: datetime
    done_at: datetime | None


@use_case
async def ask_change(
    context: Context, institution: InstitutionId, contact_id: str, place: int | None, text: str
) -> None:
    """The family asks for a change that it cannot make itself. Raises Refused, NotOpen."""
    if not text:
        raise not_edited("no-wish")
    now, recording = context.clock.now(), await _standing(context, institution, contact_id)
    wish_id = new_id()
    sealed = await context.vault.seal(institution, contact_id, f"wish.{wish_id}", text)
    told = recording.wish(Wish(id=wish_id, place=place, text=sealed, asked_at=now))
    await Recordings(context, institution).save(recording, told, at=now, actor="family")


@use_case
async def note_change_made(
    context: Context, institution: InstitutionId, contact_id: str, wish_id: str, by: str
) -> None:
    """Staff has done what was asked, or has answered it. Raises Refused, NotOpen."""
    now, recording = context.clock.now(), await _standing(context, institution, contact_id)
    told = recording.note_done(wish_id, now)
    await Recordings(context, institution).save(recording, told, at=now, actor=by)


async def asked_of(context: Context, recording: Recording) -> list[Asked]:
    """What the family asked for, those first that wait."""
    opened = (
        await context.vault.open_many(
            recording.institution, recording.id, {wish.field: wish.text for wish in recording.wishes}
        )
        if recording.wishes
        else {}
    )
    found = [Asked(one.id, one.place, opened[one.field], one.asked_at, one.done_at) for one in recording.wishes]
    return sorted(found, key=lambda one: (one.done_at is not None, one.asked_at))


async def _standing(context: Context, institution: InstitutionId, contact_id: str) -> Recording:
    recording = await gate_of(context).standing(institution, contact_id)
    if recording is None:
        raise NotOpen
    return recording


__all__ = ["Asked", "ask_change", "asked_of", "note_change_made"]
