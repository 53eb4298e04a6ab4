"""The events that consent listens to, each with its use case."""

from collections.abc import Mapping

from services.consent.handlers.erasure import note_erased
from services.consent.handlers.following import follow_meeting, follow_recording
from services.consent.handlers.invitations import prepare_invitation
from shared.copies import keep_case, keep_institution
from shared.service import Handler

HANDLERS: Mapping[str, Handler] = {
    "keep_institution": keep_institution,
    "keep_case": keep_case,
    "prepare_invitation": prepare_invitation,
    "follow_meeting": follow_meeting,
    "follow_recording": follow_recording,
    "note_discovery_erased": note_erased,
    "note_scheduling_erased": note_erased,
    "note_archive_erased": note_erased,
}
