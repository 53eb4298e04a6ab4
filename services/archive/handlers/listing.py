"""List recordings: tutors see those of their contacts that are or were expected, coordinators all of these; a list of
what to watch has those that play to its reader now.
"""

from dataclasses import dataclass
from typing import Final

from firsthand.services.archive.gate import CannotTell, Gate, NotOpen, gate_of
from firsthand.services.archive.model import Learners, Recording, Viewer
from firsthand.services.archive.model.recording import INSTITUTION, cohorts_of
from firsthand.services.archive.repository import Recordings
from firsthand.shared.acting import Sight
from firsthand.shared.copies import cases_of
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff

# Pages that are looked through for one that plays: what the store has as open and the gate does not yet believe.
_LOOKS: Final = 10


@dataclass(frozen=True)
class Listed:
    """One page of recordings, how many there are in all, and where the next page begins."""

    recordings: list[Recording]
    total: int
    next: str | None


async def list_for_team(context: Context, staff: Staff, *, after: str | None, limit: int) -> Listed:
    """The last changed first. Raises NoSuchPlace, Refused."""
    recordings = Recordings(context, staff.institution)
    sight = Sight.of(staff, await cases_of(context, staff.institution))
    page = await recordings.expected(sight, after, limit)
    return Listed(page.items, await recordings.count_expected(sight), page.next)


async def list_for_viewer(
    context: Context, institution: InstitutionId, viewer: Viewer, *, after: str | None, limit: int
) -> Listed:
    """What plays to this viewer, the last changed first. Raises CannotTell while the gate is shut, and NoSuchPlace.

    The total is the store's, which may be a moment behind the gate.
    """
    gate, recordings = gate_of(context), Recordings(context, institution)
    await gate.be_sure()
    audiences = await audiences_of(context, institution, viewer)
    found: list[Recording] = []
    for _ in range(_LOOKS):
        page = await recordings.shown_to(audiences, after, limit)
        found = [one for one in page.items if await _plays(gate, one, viewer)]
        after = page.next
        if found or after is None:
            break
    return Listed(found, await recordings.count_shown_to(audiences), after)


async def audiences_of(context: Context, institution: InstitutionId, viewer: Viewer) -> list[str]:
    """Name the audiences that this viewer is in, as `Recording.shown_to` does."""
    cases = await cases_of(context, institution)
    learning = [case for case in cases if Learners(frozenset(case.cohorts), frozenset(case.tutors)).include(viewer)]
    return [INSTITUTION, *(cohorts_of(case.case_id) for case in learning)]


async def _plays(gate: Gate, recording: Recording, viewer: Viewer) -> bool:
    try:
        await gate.admit(recording.institution, recording.id, viewer, within=0)
    except (CannotTell, NotOpen):  # one that cannot be checked closes itself, not the list
        return False
    return True


__all__ = ["Listed", "audiences_of", "list_for_team", "list_for_viewer"]
