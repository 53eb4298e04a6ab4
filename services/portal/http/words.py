"""What happened, and where a journey stands, in plain words (English, translated where shown)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from services.portal.model.journey import Entry, Stage
from services.portal.model.today import Doing
from shared.events.portal import Role
from shared.texts import N_

Tone = Literal["good", "go", "wait", "stop", "off"]


@dataclass(frozen=True)
class Said:
    """A sentence and the tone in which it is shown."""

    text: str
    tone: Tone


STAGES: Final[Mapping[Stage, Said]] = {
    "discovered": Said(N_("cleared by a tutor"), "go"),
    "to-send": Said(N_("first message to send"), "wait"),
    "sent": Said(N_("message sent"), "wait"),
    "answered": Said(N_("answered"), "wait"),
    "linked": Said(N_("link sent"), "go"),
    "consented": Said(N_("consent given, times offered"), "good"),
    "booked": Said(N_("meeting booked"), "go"),
    "met": Said(N_("meeting held"), "good"),
    "held": Said(N_("recording with the family"), "wait"),
    "released": Said(N_("recording released"), "good"),
    "unclear": Said(N_("known to a newer version only"), "wait"),
    "withdrawn": Said(N_("withdrawn"), "stop"),
    "declined": Said(N_("said no"), "off"),
    "expired": Said(N_("no answer"), "off"),
    "closed": Said(N_("closed"), "off"),
    "erased": Said(N_("erased"), "off"),
}

DOING: Final[Mapping[Doing, str]] = {
    "send-message": N_("Send the first message"),
    "remind": N_("No answer yet: send the one reminder"),
    "send-link": N_("The answer was yes: send the personal link"),
    "answer-question": N_("The family asked something: answer it"),
    "more-times": N_("No time chosen: offer more times"),
    "hold-meeting": N_("Meet the family"),
    "close-meeting": N_("Close the meeting"),
    "upload": N_("Upload the recording"),
    "wider": N_("The recording shows more than is allowed: replace it"),
}

ROLES: Final[Mapping[Role, tuple[str, str]]] = {
    "student": (N_("Student"), N_("watches what families released for the cohort")),
    "tutor": (N_("Tutor"), N_("clears contacts, sends messages, meets families")),
    "coordinator": (N_("Coordinator"), N_("sets up cases, people and policies; sees every journey")),
    "operator": (N_("Operator"), N_("runs the system; sees nothing personal")),
    "machine": (N_("Machine"), N_("uses the interfaces by a token")),
}

_HAPPENED: Final[Mapping[str, Said]] = {
    "contact.discovered": Said(N_("A tutor cleared the contact"), "go"),
    "invitation.prepared": Said(N_("The first message was drafted"), "wait"),
    "invitation.sent": Said(N_("A person sent the first message"), "go"),
    "invitation.sent reminder": Said(N_("A person sent the one reminder"), "go"),
    "invitation.answered": Said(N_("An answer was logged"), "go"),
    "invitation.answered yes": Said(N_("The answer was yes"), "good"),
    "invitation.answered no": Said(N_("The answer was no. Nobody writes again."), "off"),
    "invitation.answered later": Said(N_("The answer was: later"), "wait"),
    "invitation.answered question": Said(N_("The family asked a question"), "wait"),
    "invitation.answered wrong-person": Said(N_("It was the wrong person. Nobody writes again."), "off"),
    "invitation.answered none": Said(N_("No answer came"), "off"),
    "invitation.linked": Said(N_("The personal link was made"), "go"),
    "invitation.expired": Said(N_("The invitation ended without an answer"), "off"),
    "consent.granted": Said(N_("The family chose what is allowed"), "good"),
    "consent.declined": Said(N_("The family said no"), "off"),
    "consent.changed": Said(N_("What is allowed changed"), "wait"),
    "consent.changed granted": Said(N_("What is allowed changed, or is in force again"), "good"),
    "consent.changed paused": Said(N_("Everything was paused"), "wait"),
    "consent.released": Said(N_("The family saw the recording and released it"), "good"),
    "consent.withdrawn now": Said(N_("Consent was withdrawn; deletion starts at once"), "stop"),
    "consent.withdrawn in-7-days": Said(
        N_("Consent was withdrawn; deletion starts in 7 days unless it is undone"), "stop"
    ),
    "erasure.requested": Said(N_("Every service was told to delete what it holds"), "stop"),
    "discovery.erased": Said(N_("Discovery deleted what it held"), "off"),
    "scheduling.erased": Said(N_("Scheduling deleted what it held"), "off"),
    "archive.erased": Said(N_("The archive deleted what it held"), "off"),
    "erasure.completed": Said(N_("Everything is deleted; the family has a certificate"), "good"),
    "meeting.offered": Said(N_("Times were offered"), "wait"),
    "meeting.scheduled": Said(N_("A time was chosen"), "go"),
    "meeting.scheduled moved": Said(N_("The meeting was moved to another time"), "go"),
    "meeting.finished": Said(N_("The meeting took place"), "good"),
    "meeting.finished expected": Said(N_("The meeting took place; a recording is to come"), "good"),
    "meeting.finished none": Said(N_("The meeting took place, without a recording"), "good"),
    "meeting.cancelled": Said(N_("The meeting was cancelled"), "off"),
    "meeting.cancelled family": Said(N_("The family cancelled the meeting"), "off"),
    "meeting.cancelled tutor": Said(N_("The tutor cancelled the meeting"), "off"),
    "meeting.cancelled consent": Said(N_("The meeting was cancelled, as it is no longer allowed"), "stop"),
    "meeting.cancelled not-held": Said(N_("The meeting did not take place"), "off"),
    "recording.awaited": Said(N_("A recording is awaited"), "wait"),
    "recording.archived": Said(N_("The recording was taken in, checked and sealed"), "go"),
    "recording.published": Said(N_("The recording is open to those whom the family allowed"), "good"),
    "recording.changed": Said(N_("Who may see the recording changed"), "wait"),
    "recording.changed wider-than-allowed": Said(N_("Not released: the recording shows more than is allowed"), "stop"),
    "recording.withdrawn": Said(N_("The recording was closed"), "stop"),
}


def happened(entry: Entry) -> Said:
    """Say an entry of a timeline; one of a newer service by its type."""
    name = entry.type.removeprefix("firsthand.").rsplit(".", 1)[0]
    known = _HAPPENED.get(f"{name} {entry.detail}".strip()) or _HAPPENED.get(name)
    return known or Said(f"{name} ({entry.detail})" if entry.detail else name, "go")
