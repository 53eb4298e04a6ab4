"""The copies that services keep of what others hold: institutions with their policies, and cases.

Each service that needs them lists the documents and handlers in its `app.py`; the facts stay the portal's and
discovery's.
"""

from typing import ClassVar

from firsthand.shared.events.discovery import CaseChangedV1, CaseState
from firsthand.shared.events.portal import InstitutionChangedV1, InstitutionState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context
from firsthand.shared.store import Document


class InstitutionCopy(Document):
    """An institution as the portal last told; id = slug."""

    kind: ClassVar[str] = "institution_copy"
    steady: ClassVar[bool] = True
    state: InstitutionState


class CaseCopy(Document):
    """A case as discovery last told; id = case id."""

    kind: ClassVar[str] = "case_copy"
    steady: ClassVar[bool] = True
    state: CaseState


async def keep_institution(context: Context, event: InstitutionChangedV1) -> None:
    copies = context.store.collection(InstitutionCopy, event.institution)
    copy = await copies.get(event.subject) or InstitutionCopy(
        id=event.subject, institution=event.institution, state=event.data
    )
    if copy.take(event):
        copy.state = event.data
        await copies.put(copy)


async def keep_case(context: Context, event: CaseChangedV1) -> None:
    copies = context.store.collection(CaseCopy, event.institution)
    copy = await copies.get(event.subject) or CaseCopy(
        id=event.subject, institution=event.institution, state=event.data
    )
    if copy.take(event):
        copy.state = event.data
        await copies.put(copy)


async def institution_of(context: Context, institution: InstitutionId) -> InstitutionState | None:
    """The institution's policies; None until the portal has told of it."""
    copy = await context.store.collection(InstitutionCopy, institution).get(institution)
    return copy.state if copy else None


async def case_of(context: Context, institution: InstitutionId, case_id: str) -> CaseState | None:
    """The case; None until discovery has told of it."""
    copy = await context.store.collection(CaseCopy, institution).get(case_id)
    return copy.state if copy else None


async def cases_of(context: Context, institution: InstitutionId) -> list[CaseState]:
    """The institution's cases, as far as discovery has told of them."""
    return [copy.state async for copy in context.store.collection(CaseCopy, institution).all()]
