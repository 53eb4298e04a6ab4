"""Texts of a case: a new version, its approval."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from firsthand.services.consent.handlers.templates import PLACES, places, template
from firsthand.services.consent.model.texts import Text, TextBody, checked, filled
from firsthand.services.consent.repository import Texts
from firsthand.shared.copies import case_of, institution_of
from firsthand.shared.events.discovery import CaseState
from firsthand.shared.events.portal import InstitutionState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.refused import NotFound, Refused
from firsthand.shared.service import Context, use_case
from firsthand.shared.sessions import Staff
from firsthand.shared.texts import N_


@use_case
async def edit_text(context: Context, staff: Staff, case_id: str, language: str, changes: Mapping[str, Any]) -> Text:
    """Make the next version from the newest one (or the template) with `changes`; it needs approval. An unapproved
    newest version is replaced, an approved one never changes.
    """
    case, institution = await _told(context, staff.institution, case_id)
    texts = Texts(context, staff.institution)
    newest = await texts.newest(case_id, language)
    base = newest.body if newest else template(language, with_reward=bool(institution.reward))
    body = filled(_merged(base, changes), places(institution, case, language))
    checked(body, [*case.condition.values()])
    number = 1 if newest is None else newest.number + (newest.state == "approved")
    text = newest if newest and newest.state == "draft" else None
    made = Text(
        id=Text.id_of(case_id, language, number),
        institution=staff.institution,
        version=text.version if text else 0,
        case_id=case_id,
        language=language,
        number=number,
        body=body,
        sha256=body.digest(language),
        made_by=staff.person_id,
        made_at=context.clock.now(),
    )
    return await texts.save(made)


@use_case
async def approve_text(
    context: Context, staff: Staff, case_id: str, language: str, *, approval_number: str, sha256: str | None = None
) -> Text:
    """Approve the newest version under an approval's number; from then on families read it.

    A case without a text of its own approves the one that was proposed, as its version 1.
    """
    texts = Texts(context, staff.institution)
    newest = await texts.newest(case_id, language)
    newest = newest or await edit_text(context, staff, case_id, language, {})
    newest.approve(context.clock.now(), staff.person_id, approval_number, sha256)
    return await texts.save(newest)


async def demand_case(context: Context, institution: InstitutionId, case_id: str) -> None:
    """Raises NotFound unless the institution has this case."""
    await _told(context, institution, case_id)


async def proposed_text(context: Context, institution: InstitutionId, case_id: str, language: str) -> TextBody:
    """The text that a case without one begins with."""
    case, told = await _told(context, institution, case_id)
    return filled(template(language, with_reward=bool(told.reward)), places(told, case, language))


def _merged(base: TextBody, changes: Mapping[str, Any]) -> TextBody:
    raw = base.model_dump(mode="json")
    if changes.get("audience", base.audience) != base.audience:  # the question that names it follows
        words = raw["scopes"]["share-cohort"]
        raw["scopes"]["share-cohort"] = {
            name: said.replace(base.audience, "{audience}") for name, said in words.items()
        }
    merged = {**raw, **changes}
    if isinstance(scopes := changes.get("scopes") or {}, Mapping):
        same = base.model_dump(mode="json")["scopes"]
        edited = {scope: said for scope, said in scopes.items() if said != same.get(scope)}
        merged["scopes"] = {**raw["scopes"], **edited}
    try:
        return TextBody.model_validate(merged)
    except ValidationError as error:
        fields = tuple(".".join(map(str, fault["loc"])) for fault in error.errors())
        raise Refused(
            "not-right", N_("Some fields of the text are empty, too long or unknown."), fields=fields, kind="invalid"
        ) from None


async def _told(context: Context, institution: InstitutionId, case_id: str) -> tuple[CaseState, InstitutionState]:
    case, told = await case_of(context, institution, case_id), await institution_of(context, institution)
    if case is None or told is None:
        raise NotFound
    return case, told


__all__ = ["PLACES", "approve_text", "demand_case", "edit_text", "proposed_text"]
