"""List leads: a page at a time, the newest first, with their sealed fields opened."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firsthand.services.discovery.model.leads import Content, Lead, LeadState
from firsthand.services.discovery.repository import Repository
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context
from firsthand.shared.sessions import Staff
from firsthand.shared.store import Page, Scalar
from firsthand.shared.texts import N_
from firsthand.shared.vault import Sealed


@dataclass(frozen=True)
class Listed:
    """One page of leads; `next` is where the following one begins, None on the last."""

    leads: Sequence[tuple[Lead, Content | None]]
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
) -> Listed:
    """List leads, the newest first, of all cases or of one, and there of one language if it is named.

    Raises Refused when there is no such case, or a language is named without a case.
    """
    repository = Repository(context, staff.institution)
    where: dict[str, Scalar] = {"state": state}
    if case_id:
        where["case_id"] = (await repository.case(case_id)).id
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
    try:
        page = await repository.leads.find(where, sort="posted_at", order="desc", limit=limit, after=after or None)
    except ValueError as error:  # a cursor that was cut short, or of another list
        raise Refused(
            "cursor",
            N_("Go back to the leads and start with the newest."),
            title=N_("This part of the list cannot be found"),
            kind="invalid",
        ) from error
    opened = await _opened(context, page)
    return Listed([(lead, opened.get(lead.id)) for lead in page.items], page.next)


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
