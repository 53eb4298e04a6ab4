"""Plain words for what the rules call by codes."""

from collections.abc import Mapping
from typing import Final

from shared.events.contact import Scope
from shared.texts import N_

SCOPES: Final[Mapping[Scope, str]] = {
    "meet": N_("A conversation with students"),
    "record-video": N_("A recording with picture and sound"),
    "record-audio": N_("A recording with sound only"),
    "transcript": N_("The words of the recording as a text"),
    "share-cohort": N_("The students who learn from this may see it"),
    "share-institution": N_("Other students and teachers of the institution may see it"),
    "share-partners": N_("Partner universities may see it"),
    "share-public": N_("Anybody may see it"),
    "download": N_("Those who may see it may keep a copy"),
}

SIGNERS: Final[Mapping[str, str]] = {
    "self": N_("For myself"),
    "parent": N_("As a mother or father"),
    "guardian": N_("As a legal guardian"),
    "carer": N_("As a carer of the person"),
}

ASSENTS: Final[Mapping[str, str]] = {
    "agrees": N_("Yes, the child agrees"),
    "too-young": N_("The child is too young to understand the question"),
    "objects": N_("No, the child does not want to"),
}

SERVICES: Final[Mapping[str, str]] = {
    "discovery": N_("Where we noted how we found you"),
    "consent": N_("Where we kept your decisions"),
    "scheduling": N_("Where we planned the conversation"),
    "archive": N_("Where we kept the recording"),
}

ERASED: Final[Mapping[str, str]] = {
    "handle": N_("the name of your account"),
    "profile": N_("the address of your profile"),
    "name": N_("your name"),
    "post": N_("what we noted of your public post"),
    "leads": N_("the notes on how we found you"),
    "media": N_("the recording itself"),
    "uploads": N_("unfinished uploads of the recording"),
    "key": N_("the key without which no copy of the recording can be opened"),
    "view-log": N_("the list of who watched it"),
    "meeting-times": N_("the day and time of the conversation"),
    "email-address": N_("your email address"),
    "notes": N_("notes on how to reach you"),
    "zone": N_("your time zone"),
    "mail": N_("the messages that we kept"),
    "signer-name": N_("the name with which you signed"),
    "decisions": N_("the details of what you decided"),
    "link-token": N_("our copy of your personal link"),
    "draft-answers": N_("answers that you had begun to give"),
}

KEPT: Final[Mapping[str, str]] = {
    "suppression-mark": N_(
        "a code that cannot be traced back to you without our key, so that we never contact you again"
    ),
    "minimal-receipt": N_("a short record without names, to show that there was a consent and that it ended"),
    "link-mark": N_("a mark of your personal link, so that it can show you this certificate"),
    "recording-tombstone": N_("that there was a recording, so that nothing of it can come back"),
}

OUT_OF_REACH: Final[Mapping[str, str]] = {
    "delivered-mail": N_("emails that are already in your inbox, or in a mail company's copies"),
    "platform-messages": N_("the messages that a person sent you on the platform: both sides can delete them there"),
}

OTHER: Final = N_("other details")

ACTS: Final[Mapping[str, str]] = {
    "granted": N_("You said yes"),
    "declined": N_("You said no"),
    "changed": N_("You changed what you allow"),
    "paused": N_("You paused everything"),
    "resumed": N_("You resumed"),
    "released": N_("You let students see the recording"),
    "withdrawn": N_("You withdrew"),
    "undone": N_("You undid the withdrawal"),
}

ANSWERS: Final[Mapping[str, str]] = {
    "yes": N_("Yes, they may be told more"),
    "no": N_("No: nothing is ever sent again"),
    "later": N_("Later"),
    "question": N_("They have a question"),
    "wrong-person": N_("It was the wrong person"),
    "none": N_("No answer is expected any more"),
}

# What a page says after something was done, by the word in its address.
DONE: Final[Mapping[str, str]] = {
    "granted": N_("Thank you. Your choices apply now. You can change them here at any time."),
    "changed": N_("Changed. This applies now."),
    "paused": N_("Paused. Nobody can watch until you resume."),
    "resumed": N_("Resumed. Your earlier choices apply again."),
    "released": N_("Thank you. The people you chose can watch the recording now."),
    "undone": N_("Undone. Your earlier choices apply again."),
    "sent": N_("Noted as sent."),
    "answered": N_("The answer is logged."),
    "linked": N_("New link created. Any earlier link no longer works."),
    "logged": N_("Logged. It holds from this moment."),
    "saved": N_("Saved as a draft. It is used once it is approved."),
    "approved": N_("Approved. This is what is used from now on."),
}
