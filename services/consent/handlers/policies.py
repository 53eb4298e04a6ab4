"""What the institution and the case say now, brought into the words of the model."""

from dataclasses import dataclass
from datetime import timedelta

from firsthand.services.consent.model import Pace, Permission
from firsthand.services.consent.model.texts import Text
from firsthand.services.consent.repository import Texts
from firsthand.shared.copies import case_of, institution_of
from firsthand.shared.events.discovery import CaseState
from firsthand.shared.events.portal import InstitutionState
from firsthand.shared.identifiers import InstitutionId
from firsthand.shared.service import Context


@dataclass(frozen=True)
class Ground:
    """All that a message to a contact, or its decision, stands on."""

    institution: InstitutionState | None
    case: CaseState | None
    text: Text | None  # the newest approved one, in the wanted language or else in English
    permission: Permission
    pace: Pace
    keep_for: timedelta


async def ground_of(context: Context, institution: InstitutionId, case_id: str, *languages: str) -> Ground:
    """Look up what holds now. The first of `languages` with an approved text wins, its short form, then English."""
    told = await institution_of(context, institution)
    case = await case_of(context, institution, case_id)
    text = await _approved(Texts(context, institution), case_id, languages)
    return Ground(
        institution=told,
        case=case,
        text=text,
        permission=Permission(
            approved_until=case.approved_until() if case else None,
            case_open=case is None or case.state == "open",
            text_version=text.text_version if text else None,
        ),
        pace=_pace(told),
        keep_for=timedelta(days=told.keep_recordings_days if told else 730),
    )


def _pace(told: InstitutionState | None) -> Pace:
    if told is None:
        return Pace()
    return Pace(timedelta(days=told.reminder_after_days), timedelta(days=told.invitation_expires_after_days))


async def _approved(texts: Texts, case_id: str, languages: tuple[str, ...]) -> Text | None:
    wanted = [one for language in languages for one in (language, language.split("-", maxsplit=1)[0])]
    for language in dict.fromkeys([*wanted, "en"]):
        if text := await texts.approved(case_id, language):
            return text
    return None
