"""A person is named by hand: one address of a post or a profile, found in public."""

from firsthand.services.discovery.handlers.posts import Intake, keep_week, lead_of, opened
from firsthand.services.discovery.model.accounts import Address
from firsthand.services.discovery.model.addresses import read_address
from firsthand.services.discovery.model.leads import LONGEST_TEXT, Content, Lead
from firsthand.services.discovery.model.people import not_available
from firsthand.services.discovery.repository import Repository
from firsthand.shared.refused import NotFound
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Staff
from firsthand.shared.store import AlreadyExists


@use_case
async def nominate(context: Context, staff: Staff, case_id: str, given: str, note: str = "") -> Lead:
    """Take in one address that a person found. The same address again gives the same lead.

    Raises Refused: no such case (or one of other people), closed, not an address or one that names nobody, or the
    person is not available.
    """
    repository = Repository(context, staff.institution)
    case = await repository.case(case_id)
    if not case.takes_names_from(staff):
        raise NotFound
    opened(case)
    address = read_address(given)
    if await repository.asked_before(address.owners, address.spelled):
        raise not_available()
    intake = Intake(context, repository, case, "by-hand", staff.person_id, context.clock.now(), {})
    await keep_week(intake)
    lead = lead_of(intake, address.platform, address.url, address.owners, posted_at=intake.at)
    lead.content = await context.vault.seal(
        lead.institution, lead.week, lead.id, _content(address, note).model_dump_json(exclude_defaults=True)
    )
    try:
        return await repository.leads.insert(lead)
    except AlreadyExists:
        return await repository.lead(lead.id)


def _content(address: Address, note: str) -> Content:
    return Content(
        permalink=address.url,
        text=note.strip()[:LONGEST_TEXT],
        handle=address.handle,
        profile=address.profile,
        accounts=list(address.accounts),
        elsewhere=list(address.elsewhere),
    )


__all__ = ["nominate"]
