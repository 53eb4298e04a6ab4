"""An institution with its policies, and the cohorts that learn in it. Pure."""

import re
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Final

from firsthand.shared.events.portal import InstitutionState
from firsthand.shared.identifiers import DEPLOYMENT
from firsthand.shared.inputs import is_name
from firsthand.shared.mail_address import NotMailAddress, mail_address, needs_utf8
from firsthand.shared.places import is_zone
from firsthand.shared.refused import Refused
from firsthand.shared.store import Document
from firsthand.shared.texts import N_

_COUNTRY = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True)
class Policy:
    """A number that an institution chooses. Its default is that of the field `name` of InstitutionState."""

    name: str
    label: str
    least: int
    most: int
    hint: str = ""


# The one place that knows them: pages, API and checks read them from here. They have bounds so that nobody is asked
# again at once, and nothing is kept for ever.
POLICIES: Final = (
    Policy("reminder_after_days", N_("Reminder after (days without an answer)"), 1, 60),
    Policy(
        "invitation_expires_after_days",
        N_("Invitation expires after (days without an answer)"),
        2,
        180,
        N_("After that, no one writes again."),
    ),
    Policy(
        "active_contacts_a_case",
        N_("Journeys in progress at the same time, per case"),
        1,
        500,
        N_("Do not contact more families than you can meet."),
    ),
    Policy(
        "cool_off_days",
        N_("Cooling-off period after a request (days)"),
        30,
        3650,
        N_("Counts for all institutions of this system."),
    ),
    Policy("keep_recordings_days", N_("Longest time to keep a recording (days)"), 1, 3650),
)


class Institution(Document):
    """An institution; id = slug. Its state is what the other services are told."""

    kind: ClassVar[str] = "institution"

    state: InstitutionState

    def change(self, state: InstitutionState) -> bool:
        """Take new policies; False if nothing is different. Raises Refused."""
        check(state)
        changed = state != self.state
        self.state = state
        return changed


class Cohort(Document):
    """Students who learn together; id = its short name within the institution."""

    kind: ClassVar[str] = "cohort"

    label: str  # as families read it, e.g. `third-year students`
    size: int
    learns_until: date


def check(state: InstitutionState) -> None:
    """Raise Refused for what cannot be an institution."""
    errors = [(field, text) for field, right, text in _rules(state) if not right]
    errors += [
        (policy.name, N_("This number is too small or too large."))
        for policy in POLICIES
        if not policy.least <= getattr(state, policy.name) <= policy.most
    ]
    if errors:
        raise Refused("not-right", kind="invalid", fields=dict(errors))


def _rules(state: InstitutionState) -> list[tuple[str, bool, str]]:
    """Field, whether it is right, and what to say if it is not."""
    later = state.invitation_expires_after_days > state.reminder_after_days
    safe = not state.website or state.website.startswith("https://")
    return [
        ("slug", state.slug != DEPLOYMENT, N_("This name is reserved. Choose another one.")),
        ("name", is_name(state.name), N_("Enter the institution's name.")),
        ("country", bool(_COUNTRY.fullmatch(state.country)), N_("Enter two capital letters, for example QA.")),
        ("zone", is_zone(state.zone), N_("We do not know this time zone. Write it like Asia/Qatar.")),
        ("languages", bool(state.languages), N_("Choose at least one language.")),
        ("website", safe, N_("A web address starts with https://")),
        (
            "reply_address",
            not state.reply_address or _is_mailbox(state.reply_address),
            N_("Enter an email address of your institution, for example families@example.org."),
        ),
        ("invitation_expires_after_days", later, N_("An invitation must expire after its reminder.")),
    ]


def _is_mailbox(text: str) -> bool:
    """Whether every mail server can write to it: an answer may come from anywhere."""
    try:
        return not needs_utf8(mail_address(text))
    except NotMailAddress:
        return False
