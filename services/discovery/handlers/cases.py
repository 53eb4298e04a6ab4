"""Cases and their approvals: open, change, approve, close."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from pydantic import ValidationError

from firsthand.services.discovery.model.cases import Approval, Case, CaseChange, CaseDetails, CaseDraft, Places
from firsthand.services.discovery.repository import Repository
from firsthand.shared.events.discovery import ApprovalKind, CaseChangedV1
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Staff
from firsthand.shared.store import AlreadyExists
from firsthand.shared.texts import N_


@use_case
async def open_case(context: Context, staff: Staff, draft: CaseDraft) -> Case:
    """Open a case. Raises Refused when the institution has one with this prefix."""
    repository, now = Repository(context, staff.institution), context.clock.now()
    case = Case(
        id=repository.case_id(draft.prefix),
        institution=staff.institution,
        prefix=draft.prefix,
        details=CaseDetails.model_validate(draft.model_dump(exclude={"prefix", "goals"})),
        goals=draft.goals,
        opened_by=staff.person_id,
        opened_at=now,
    )
    try:
        return await repository.cases.insert(case, _changed(case, staff, now))
    except AlreadyExists:
        raise Refused(
            "prefix-taken",
            N_("References start with it, so each case needs its own. Choose another one."),
            title=N_("Another case has this prefix"),
            fields={"prefix": N_("Another case has this prefix")},
        ) from None


@use_case
async def change_case(context: Context, staff: Staff, case_id: str, change: CaseChange) -> Case:
    """Change the given fields; closing deletes undecided leads. Raises Refused when fields contradict each other."""
    repository, now = Repository(context, staff.institution), context.clock.now()
    case = await repository.case(case_id)
    with _whole():
        case.change(change, now)
    return await repository.cases.save(case, _changed(case, staff, now))


@use_case
async def approve_case(
    context: Context, staff: Staff, case_id: str, kind: ApprovalKind, number: str, expires_at: datetime
) -> Case:
    """Enter an approval in the place of the former one."""
    repository, now = Repository(context, staff.institution), context.clock.now()
    case = await repository.case(case_id)
    with _whole():
        case.approve(kind, Approval(number=number, expires_at=expires_at, entered_by=staff.person_id, entered_at=now))
    return await repository.cases.save(case, _changed(case, staff, now))


async def let_leads_go(context: Context, case: Case) -> None:
    """Timer of a closed case: what waits in it lapses."""
    repository, now = Repository(context, case.institution), context.clock.now()
    if case.state == "closed":
        while waiting := (
            await repository.leads.find({"case_id": case.id, "state": "waiting"}, sort="posted_at", limit=200)
        ).items:
            for lead in waiting:
                lead.lapse("case-closed", now)
                await repository.leads.save(lead)
    case.due_at = None
    await repository.cases.save(case)


async def places_of(repository: Repository, case_id: str) -> Places:
    return await repository.places.get(case_id) or Places(id=case_id, institution=repository.institution)


async def keep_places(repository: Repository, places: Places) -> None:
    """Store the places, new or changed. Raises Conflict, AlreadyExists."""
    await repository.places.put(places)


def faults_of(invalid: ValidationError) -> dict[str, str]:
    """Give each faulty field, as a dotted path (empty for the whole), with what pydantic says of it."""
    return {".".join(map(str, fault["loc"])): fault["msg"] for fault in invalid.errors()}


@contextmanager
def _whole() -> Iterator[None]:
    """Refuse values that the model rejects together."""
    try:
        yield
    except ValidationError as invalid:
        raise Refused("not-right", kind="invalid", fields=faults_of(invalid)) from invalid


def _changed(case: Case, staff: Staff, at: datetime) -> CaseChangedV1:
    return CaseChangedV1.of(
        case,
        case.said(),
        at=at,
        actor=staff.person_id,
    )


__all__ = ["approve_case", "change_case", "faults_of", "keep_places", "let_leads_go", "open_case", "places_of"]
