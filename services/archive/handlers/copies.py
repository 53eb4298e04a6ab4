"""The use case of the copies that staff has elsewhere: on devices, and with the provider of the call."""

from firsthand.services.archive.gate import NotOpen, gate_of
from firsthand.services.archive.repository import Recordings
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context, use_case


@use_case
async def attest_copies_destroyed(context: Context, institution: InstitutionId, contact_id: str, by: str) -> None:
    """Somebody says that no copy is left elsewhere, also of a recording that was erased. Raises Refused, NotOpen."""
    now, recording = context.clock.now(), await gate_of(context).standing(institution, contact_id)
    if recording is None:
        raise NotOpen
    told = recording.attest_copies_destroyed(by, now)
    await Recordings(context, institution).save(recording, told, at=now, actor=by)


__all__ = ["attest_copies_destroyed"]
