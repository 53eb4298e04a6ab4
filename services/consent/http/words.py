"""Plain words for the codes of the rules."""

from collections.abc import Mapping
from typing import Final

from firsthand.services.consent.model import Journey
from firsthand.services.consent.model.consent import wider_text
from firsthand.services.consent.model.standing import Act, Point, Standing, WaitsFor
from firsthand.shared.events.contact import Scope
from firsthand.shared.texts import N_

SCOPES: Final[Mapping[Scope, str]] = {
    "meet": N_("A video call with students"),
    "record-video": N_("A recording with picture and sound"),
    "record-audio": N_("A recording with sound only"),
    "transcript": N_("A written transcript of the recording"),
    "share-cohort": N_("Our group of students and their teachers can watch it"),
    "share-institution": N_("All students and teachers of the institution can watch it"),
    "share-partners": N_("Students and teachers of partner universities can watch it"),
    "share-public": N_("Anyone can watch it"),
    "download": N_("People who watch it can keep a copy"),
}

SIGNERS: Final[Mapping[str, str]] = {
    "self": N_("For myself"),
    "parent": N_("As a mother or father"),
    "guardian": N_("As a legal guardian"),
    "carer": N_("As the person's carer"),
}

ASSENTS: Final[Mapping[str, str]] = {
    "agrees": N_("Yes, the child agrees"),
    "too-young": N_("The child is too young to understand the question"),
    "objects": N_("No, the child does not want to"),
}

SERVICES: Final[Mapping[str, str]] = {
    "discovery": N_("How we found you"),
    "consent": N_("Your decisions"),
    "scheduling": N_("Your video call"),
    "archive": N_("Your recording"),
    "webhooks": N_("Other systems of the institution"),
}

ERASED: Final[Mapping[str, str]] = {
    "handle": N_("the name of your account"),
    "profile": N_("the address of your profile"),
    "name": N_("your name"),
    "post": N_("what we noted from your public post"),
    "leads": N_("our notes on how we found you"),
    "media": N_("the recording itself"),
    "uploads": N_("unfinished uploads of the recording"),
    "key": N_("the key that every copy of the recording needs to be opened"),
    "transcripts": N_("its transcripts"),
    "clips": N_("the moments that teachers picked from it"),
    "view-log": N_("the list of who watched it"),
    "meeting-times": N_("the day and time of the video call"),
    "email-address": N_("your email address"),
    "notes": N_("notes on how to reach you"),
    "zone": N_("your time zone"),
    "mail": N_("the messages we kept"),
    "signer-name": N_("the name you signed with"),
    "decisions": N_("the details of what you decided"),
    "deliveries": N_("what we kept of the notices to other systems"),
    "link-token": N_("our copy of your personal link"),
    "draft-answers": N_("answers you had started"),
    "staff-copies": N_("the copies on our team's devices and with the provider of the call, as a person confirmed"),
}

KEPT: Final[Mapping[str, str]] = {
    "suppression-mark": N_(
        "a code that cannot be traced back to you without our key, so that we never contact you again"
    ),
    "minimal-receipt": N_("a short record without names, to show that there was a consent and that it ended"),
    "link-mark": N_("a code for your personal link, so that it can show you this certificate"),
    "obligations": N_("which systems we asked to delete what they were told, and their answers"),
    "recording-tombstone": N_("a note that there was a recording, so that it cannot be restored by mistake"),
}

OUT_OF_REACH: Final[Mapping[str, str]] = {
    "staff-copies": N_(
        "copies that our team may have on devices or with the provider of the call: they are asked to destroy them"
    ),
    "delivered-mail": N_("emails already in your inbox or in your email provider's copies"),
    "delivered-events": N_(
        "what other systems of the institution were told, without your name: they are asked to delete it"
    ),
    "platform-messages": N_("the messages we sent you on the platform: you and we can delete them there"),
}

OTHER: Final = N_("other details")

ACTS: Final[Mapping[str, str]] = {
    "granted": N_("You said yes"),
    "declined": N_("You said no"),
    "changed": N_("You changed what you allow"),
    "paused": N_("You paused everything"),
    "resumed": N_("You resumed"),
    "released": N_("You let students watch the recording"),
    "withdrawn": N_("You withdrew"),
    "undone": N_("You undid the withdrawal"),
}

CHOSE_END: Final = N_("You chose when everything is deleted")

ANSWERS: Final[Mapping[str, str]] = {
    "yes": N_("Yes, they want to know more"),
    "no": N_("No: nothing more will be sent"),
    "later": N_("Later"),
    "question": N_("They have a question"),
    "wrong-person": N_("It was the wrong person"),
    "none": N_("No answer expected"),
}

# What a page says after something was done, by the word in its address.
DONE: Final[Mapping[str, str]] = {
    "granted": N_("Thank you. We have saved your choices. You can change them here at any time."),
    "changed": N_("We have saved your choices."),
    "until": N_("We have saved the day. Until then you can change it again."),
    "paused": N_("You paused everything."),
    "resumed": N_("You resumed."),
    "released": N_("Thank you. You said yes to this recording."),
    "undone": N_("You undid the withdrawal."),
    "sent": N_("Marked as sent."),
    "answered": N_("Answer recorded."),
    "linked": N_("New link created. Any earlier link no longer works."),
    "logged": N_("Recorded. It applies from now on."),
    "saved": N_("Saved as a draft. It will be used once it is approved."),
    "approved": N_("Approved. This version is used from now on."),
    "saved-first": N_("You changed the text, so it is saved as a draft. Read it again, then approve it."),
}

# How things stand, in one sentence. `wider` has several, which are the rule's own (`consent.wider_text`).
STANDING: Final[Mapping[Point, str]] = {
    "closed": N_("This request is closed. We will not contact you again."),
    "undecided": N_("Nothing is agreed yet. You decide on the next pages, and you can take your time."),
    "declined": N_("You said no. We respect that and will not contact you again."),
    "withdrawn": N_("You have withdrawn. No student or teacher can watch a recording of you now."),
    "erasing": N_("We are deleting everything now."),
    "erased": N_("Everything was deleted."),
    "paused": N_("Everything is paused. No student can watch, and no call will take place, until you resume."),
    "unclear": N_("We cannot show you how things stand right now. What you allow has not changed. Look again later."),
    "choose-time": N_(
        "Next is the video call. You choose the time, in your local time. If no time is free yet, please check again "
        "in a day or two."
    ),
    "call-cancelled": N_("You cancelled the video call. You can choose another time if you like."),
    "call-called-off": N_("The video call will not take place. If there can be another time, you will find it here."),
    "booked": N_("Your video call is booked."),
    "time-passed": N_(
        "The time of your video call has passed. If it did not take place, reply to the message we sent you."
    ),
    "met": N_("Thank you for the call. There is no recording. You do not need to do anything else."),
    "preparing": N_(
        "Thank you for the call. We are preparing the recording. You can watch it here before any student does."
    ),
    "to-release": N_("Your recording is here. Take your time. No student can watch it unless you say yes again."),
    "chosen-nobody": N_("Your recording is here. Only you can watch it, because you have not let anyone else."),
    "opening": N_("You said yes. We are opening the recording to the people you chose."),
    "shown": N_("The people named here can watch your recording now. Thank you. No book can teach what you teach."),
    "shown-to-nobody": N_("Nobody can watch your recording now, because you have not let anyone."),
    "recording-closed": N_("Your recording is closed. Only you can watch it, until it is deleted."),
    "ended": N_("Your permission has ended. Nobody else can watch your recording now."),
    "deleted": N_("Your recording was deleted. No one can watch it."),
    "nothing-to-do": N_("You do not need to do anything now."),
}

WAITS_FOR: Final[Mapping[WaitsFor, str]] = {
    "family": N_("It is your turn, whenever you are ready."),
    "us": N_("It is our turn. You do not need to do anything now."),
}

# The main button: what it says, where it leads, and whether it does something (POST).
MAIN: Final[Mapping[Act, tuple[str, str, bool]]] = {
    "decide": (N_("Continue"), "/consent/family/questions", False),
    "resume": (N_("Resume"), "/consent/family/resume", True),
    "choose-time": (N_("Choose a time"), "/scheduling/family", False),
    "see-call": (N_("See your video call"), "/scheduling/family", False),
    "watch": (N_("Watch your recording"), "/archive/family", False),
    "change": (N_("Change what you allow"), "/consent/family/change", False),
    "undo": (N_("Undo"), "/consent/family/undo", True),
    "see-certificate": (N_("See the certificate"), "/consent/family/certificate", False),
}


def sentence_of(standing: Standing, journey: Journey) -> str:
    """How things stand for a family, in one sentence, to be translated."""
    recording = journey.recording
    if standing.point == "wider" and recording and recording.media:
        return wider_text(journey.consent.allowed, recording.media)
    return STANDING[standing.point]
