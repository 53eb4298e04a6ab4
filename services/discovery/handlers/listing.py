"""List leads: a page at a time, the newest first, with their sealed fields opened."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from firsthand.services.discovery.handlers.sight import sight_of
from firsthand.services.discovery.model.leads import Content, Lead, LeadState
from firsthand.services.discovery.repository import Repository
from firsthand.shared.refused import NotFound, Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.store import Operand, Page, Where
from firsthand.shared.texts import N_
from firsthand.shared.vault import Sealed

_BYTES_A_LEAD: Final = 500  # in JSON, of all but what it says of somebody, and its tags


@dataclass(frozen=True)
class Listed:
    """One page of leads, how many there are in all, and where the next page begins; None on the last."""

    leads: Sequence[tuple[Lead, Content | None]]
    total: int
    next: str | None


async def list_leads(
    context: Context,
    staff: Staff,
    *,
    state: LeadState = "waiting",
    case_id: str = "",
    language: str = "",
    after: str | None = None,
    limit: int = 50,
    most_bytes: int | None = None,
) -> Listed:
    """List leads, the newest first, of all cases that this person may see or of one; there of one language if named.

    A page ends before `limit` where it would hold more than `most_bytes`, but not before its first lead. Raises Refused
    when there is no such case for this person, or a language is named without a case; NoSuchPlace.
    """
    repository = Repository(context, staff.institution)
    where: dict[str, Operand] = {"state": state}
    if case_id:
        case = await repository.case(case_id)
        if not case.responsible().include(staff):
            raise NotFound
        where["case_id"] = case.id
    else:
        where |= (await sight_of(context, staff)).leads({})
    if language:
        if not case_id:
            raise Refused(
                "case-needed",
                N_("You can filter leads by language within one case only."),
                title=N_("Choose a case first"),
                kind="invalid",
                fields={"case": N_("Choose a case first")},
            )
        where["language"] = language
    page = await _page(repository, where, after, limit)
    opened = await _opened(context, page)
    fitting = _fitting(page, opened, most_bytes) if most_bytes else len(page.items)
    if fitting < len(page.items):
        page = await _page(repository, where, after, fitting)  # for the place where it ends
    total = await repository.leads.count(where)
    return Listed([(lead, opened.get(lead.id)) for lead in page.items], total, page.next)


async def _page(repository: Repository, where: Where, after: str | None, limit: int) -> Page[Lead]:
    return await repository.leads.find(where, sort="posted_at", order="desc", limit=limit, after=after or None)


def _fitting(page: Page[Lead], opened: Mapping[str, Content], most_bytes: int) -> int:
    """Tell how many leads of a page fit into so many bytes: one at least."""
    held = 0
    for number, lead in enumerate(page.items):
        held += _BYTES_A_LEAD + sum(map(len, lead.tags)) * 4
        if content := opened.get(lead.id):
            held += len(content.model_dump_json().encode())
        if held > most_bytes:
            return max(number, 1)
    return len(page.items)


async def _opened(context: Context, page: Page[Lead]) -> Mapping[str, Content]:
    """Open the contents of a page, reading each week's key once."""
    weeks: dict[str, dict[str, Sealed]] = defaultdict(dict)
    for lead in page.items:
        if lead.content is not None:
            weeks[lead.week][lead.id] = lead.content
    opened: dict[str, str] = {}
    for week, sealed in weeks.items():
        opened |= await context.vault.open_many(page.items[0].institution, week, sealed)
    return {lead_id: Content.model_validate_json(text) for lead_id, text in opened.items()}


__all__ = ["Listed", "list_leads"]
