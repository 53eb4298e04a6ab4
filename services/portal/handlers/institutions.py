"""Institutions, their policies and their cohorts."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from firsthand.services.portal.model.institutions import Cohort, Institution, check
from firsthand.services.portal.repository import Institutions, all_slugs
from firsthand.shared.events.portal import InstitutionState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.texts import N_


@use_case
async def add_institution(context: Context, institution: InstitutionId, state: InstitutionState, *, actor: str) -> str:
    """Add an institution; returns its slug. Raises Refused (409 if it is there)."""
    check(state)
    repository = Institutions(context, institution)
    if await repository.get():
        raise Refused(
            "exists",
            title=N_("Another institution has this short name"),
            known=f"/portal/api/v1/institutions/{institution}",
        )
    await repository.save(Institution(id=institution, institution=institution, state=state), actor=actor)
    return institution


@use_case
async def change_institution(
    context: Context, institution: InstitutionId, changed: Mapping[str, Any], *, actor: str
) -> InstitutionState:
    """Take new policies; `changed` holds fields of InstitutionState, the others stay, and so does the slug."""
    repository = Institutions(context, institution)
    found = await repository.demand()
    if found.change(found.state.model_copy(update={**changed, "slug": institution})):
        found = await repository.save(found, actor=actor)
    return found.state


async def all_institutions(context: Context) -> list[InstitutionState]:
    found = [await Institutions(context, institution).get() for institution in await all_slugs(context)]
    return [one.state for one in found if one]


@use_case
async def put_cohort(
    context: Context, institution: InstitutionId, cohort_id: str, *, label: str, size: int, learns_until: date
) -> Cohort:
    """Add a cohort or change it. Raises Refused (422)."""
    if not label.strip():
        raise Refused.of_field("label", N_("Describe them, for example “third-year students”."))
    if not 1 <= size <= 10_000:  # noqa: PLR2004 - no cohort is larger
        raise Refused.of_field(
            "size", N_("Enter how many they are. Families read about how many people will watch a recording.")
        )
    cohorts = Institutions(context, institution).cohorts
    cohort = await cohorts.get(cohort_id) or Cohort(
        id=cohort_id, institution=institution, label=label, size=size, learns_until=learns_until
    )
    cohort.label, cohort.size, cohort.learns_until = label.strip(), size, learns_until
    return await cohorts.put(cohort)


async def cohorts_of(context: Context, institution: InstitutionId) -> list[Cohort]:
    return [cohort async for cohort in Institutions(context, institution).cohorts.all()]
