"""What happened, and where a journey stands, in plain words (English, translated where shown)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from firsthand.services.portal.model.journey import Entry, Stage
from firsthand.services.portal.model.today import Doing, TaskList
from firsthand.shared.events.portal import Role
from firsthand.shared.texts import N_

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
    "linked": Said(N_("link made"), "go"),
    "consented": Said(N_("consent given"), "good"),
    "booked": Said(N_("meeting booked"), "go"),
    "met": Said(N_("meeting held"), "good"),
    "held": Said(N_("recording with the family"), "wait"),
    "released": Said(N_("recording released"), "good"),
    "unclear": Said(N_("known only to a newer version"), "wait"),
    "withdrawn": Said(N_("withdrawn"), "stop"),
    "declined": Said(N_("said no"), "off"),
    "expired": Said(N_("no answer"), "off"),
    "closed": Said(N_("closed"), "off"),
    "erased": Said(N_("deleted"), "off"),
}

DOING: Final[Mapping[Doing, str]] = {
    "send-message": N_("Send the first message"),
    "remind": N_("No answer yet: send the reminder"),
    "write-again": N_("They asked for later, and it is time: write once more"),
    "send-link": N_("They said yes: send the personal link"),
    "answer-question": N_("The family has a question: answer it"),
    "more-times": N_("No time chosen: offer more times"),
    "hold-meeting": N_("Meet the family"),
    "close-meeting": N_("Close the meeting"),
    "upload": N_("Upload the recording"),
    "choose-tracks": N_("The recording arrived: choose its picture and sound"),
    "change-asked": N_("The family asks for a change in its recording: make it"),
    "wider": N_("The recording shows more than is allowed: replace it"),
    "tell-family": N_("Something waits for the family: tell them"),
    "destroy-copies": N_("Destroy your copies of the recording, and confirm it"),
}

TASK_LISTS: Final[Mapping[TaskList, str]] = {
    "send-message": N_("First messages to send"),
    "remind": N_("Reminders to send"),
    "write-again": N_("Families that asked for later"),
    "send-link": N_("Personal links to send"),
    "answer-question": N_("Questions to answer"),
    "more-times": N_("More times to offer"),
    "meeting": N_("Meetings to hold or close"),
    "upload": N_("Recordings to upload"),
    "choose-tracks": N_("Recordings with a choice to make"),
    "change-asked": N_("Changes that families ask for"),
    "wider": N_("Recordings to replace"),
    "tell-family": N_("Families to tell"),
    "destroy-copies": N_("Copies to destroy"),
    "coming": N_("Upcoming meetings"),
}

ROLES: Final[Mapping[Role, tuple[str, str]]] = {
    "student": (N_("Student"), N_("watches what families share with their cohort")),
    "tutor": (N_("Tutor"), N_("clears contacts, sends messages, meets families")),
    "coordinator": (N_("Coordinator"), N_("sets up cases, people and policies; sees every journey")),
    "operator": (N_("Operator"), N_("runs the system; sees no personal data")),
    "machine": (N_("External system"), N_("uses the API with a token")),
}

_HAPPENED: Final[Mapping[str, Said]] = {
    "contact.discovered": Said(N_("A tutor cleared the contact"), "go"),
    "invitation.prepared": Said(N_("The first message was drafted"), "wait"),
    "invitation.sent": Said(N_("The first message was sent"), "go"),
    "invitation.sent reminder": Said(N_("The reminder was sent"), "go"),
    "invitation.answered": Said(N_("An answer was recorded"), "go"),
    "invitation.answered yes": Said(N_("The answer was yes"), "good"),
    "invitation.answered no": Said(N_("The answer was no. No one will write again."), "off"),
    "invitation.answered later": Said(N_("The answer was: later"), "wait"),
    "invitation.answered question": Said(N_("The family asked a question"), "wait"),
    "invitation.answered wrong-person": Said(N_("It was the wrong person. No one will write again."), "off"),
    "invitation.answered none": Said(N_("No answer came"), "off"),
    "invitation.linked": Said(N_("The personal link was created"), "go"),
    "invitation.expired": Said(N_("The invitation expired without an answer"), "off"),
    "consent.granted": Said(N_("The family chose what to allow"), "good"),
    "consent.declined": Said(N_("The family said no"), "off"),
    "consent.changed": Said(N_("The family changed what it allows"), "wait"),
    "consent.changed granted": Said(N_("The family changed what it allows, or resumed"), "good"),
    "consent.changed paused": Said(N_("The family paused everything"), "wait"),
    "consent.released": Said(N_("The family watched the recording and let students watch it"), "good"),
    "consent.withdrawn now": Said(N_("The family withdrew; deletion starts now"), "stop"),
    "consent.withdrawn in-7-days": Said(
        N_("The family withdrew; deletion starts in 7 days unless they undo it"), "stop"
    ),
    "erasure.requested": Said(N_("Every service was asked to delete its data"), "stop"),
    "discovery.erased": Said(N_("Discovery deleted its data"), "off"),
    "scheduling.erased": Said(N_("Scheduling deleted its data"), "off"),
    "archive.erased": Said(N_("The archive deleted its data"), "off"),
    "erasure.completed": Said(N_("Everything is deleted; the family has a certificate"), "good"),
    "meeting.offered": Said(N_("Booking opened"), "wait"),
    "meeting.scheduled": Said(N_("A time was chosen"), "go"),
    "meeting.scheduled moved": Said(N_("The meeting was moved to another time"), "go"),
    "meeting.finished": Said(N_("The meeting took place"), "good"),
    "meeting.finished expected": Said(N_("The meeting took place; the recording is expected"), "good"),
    "meeting.finished none": Said(N_("The meeting took place, without a recording"), "good"),
    "meeting.told": Said(N_("The family is told of something that waits for it"), "wait"),
    "meeting.told by-email": Said(N_("The family is told by email that something waits for it"), "go"),
    "meeting.told by-hand": Said(N_("Something waits for the family; somebody is to tell it"), "wait"),
    "meeting.told told": Said(N_("Somebody told the family what waits for it"), "good"),
    "meeting.cancelled": Said(N_("The meeting was cancelled"), "off"),
    "meeting.cancelled family": Said(N_("The family cancelled the meeting"), "off"),
    "meeting.cancelled tutor": Said(N_("The tutor cancelled the meeting"), "off"),
    "meeting.cancelled consent": Said(N_("The meeting was cancelled, because the family no longer allows it"), "stop"),
    "meeting.cancelled not-held": Said(N_("The meeting did not take place"), "off"),
    "recording.awaited": Said(N_("The recording is expected"), "wait"),
    "recording.archived": Said(N_("The recording was uploaded, checked and encrypted"), "go"),
    "recording.published": Said(N_("The people the family chose can watch the recording"), "good"),
    "recording.changed": Said(N_("The people who can watch the recording changed"), "wait"),
    "recording.changed working": Said(N_("The recording arrived and is being prepared"), "wait"),
    "recording.changed choosing": Said(N_("The recording arrived; a tutor chooses its picture and sound"), "wait"),
    "recording.changed refused": Said(N_("The file could not be prepared; another one is needed"), "stop"),
    "recording.changed copies-destroyed": Said(N_("Somebody confirmed that copies elsewhere were destroyed"), "good"),
    "recording.changed asked": Said(N_("The family asked for a change in its recording"), "wait"),
    "recording.changed made": Said(N_("What the family asked to change was changed"), "good"),
    "recording.changed wider-than-allowed": Said(N_("Not released: the recording shows more than is allowed"), "stop"),
    "recording.withdrawn": Said(N_("The recording was closed"), "stop"),
}


def happened(entry: Entry) -> Said:
    """Say an entry of a timeline; one of a newer service by its type."""
    name = entry.type.removeprefix("firsthand.").rsplit(".", 1)[0]
    known = _HAPPENED.get(f"{name} {entry.detail}".strip()) or _HAPPENED.get(name)
    return known or Said(f"{name} ({entry.detail})" if entry.detail else name, "go")
